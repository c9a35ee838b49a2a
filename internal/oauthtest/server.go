package oauthtest

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Server is the authorization server and the MCP server that it protects. Its
// methods may be called from everywhere at once.
type Server struct {
	// MCP is the URL of the MCP endpoint, and the resource (RFC 8707).
	MCP string
	// Second is the MCP endpoint of a second server, with the same people and
	// the same authorization server: tokens for one do not open the other.
	Second string
	// Issuer is the authorization server's identifier.
	Issuer string
	// Other is an origin on which nothing is but what Options moves to it: the
	// authorization server with SeparateOrigin, endpoints with CrossOrigin.
	Other string
	// Addr and OtherAddr are where the two origins listen, as host and port: what
	// a proxy in between forwards to.
	Addr, OtherAddr string

	mcpOrigin, issuerOrigin string
	sse                     bool

	now     func() time.Time
	traffic *traffic
	closing sync.Once
	closed  chan struct{}
	serving sync.WaitGroup
	// answering counts the requests under way, none of which begins once over.
	answering sync.WaitGroup
	http      []*http.Server
	mcp       protected

	mu      sync.Mutex
	over    bool           // guarded by mu
	o       Options        // guarded by mu
	records *records       // guarded by mu
	spent   map[string]int // how often Instead was used, by endpoint; guarded by mu
	lost    map[string]int // how many answers were lost, by endpoint; guarded by mu
}

// Start is New for a test: the server ends with it.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// New starts the servers on loopback. Close ends them.
func New(o Options) (*Server, error) {
	first, err := net.Listen("tcp", cmp.Or(o.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("listening for the MCP server: %w", err)
	}
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = first.Close()
		return nil, fmt.Errorf("listening on a second origin: %w", err)
	}
	s := &Server{now: o.Now, sse: o.SSE, traffic: newTraffic(), closed: make(chan struct{}), o: o,
		records: newRecords(o), spent: map[string]int{}, lost: map[string]int{},
		Addr: first.Addr().String(), OtherAddr: second.Addr().String()}
	if s.now == nil {
		s.now = time.Now
	}
	s.mcpOrigin, s.Other = cmp.Or(o.Public, origin(first, o)), cmp.Or(o.PublicOther, origin(second, o))
	s.issuerOrigin = s.mcpOrigin
	if o.SeparateOrigin {
		s.issuerOrigin = s.Other
	}
	path := "/mcp"
	if o.SSE {
		path = "/sse"
	}
	s.MCP, s.Second, s.Issuer = s.mcpOrigin+path, s.mcpOrigin+"/second"+path, s.issuerOrigin+o.IssuerPath
	s.resetMCP()
	s.serve(first, s.mcpOrigin)
	s.serve(second, s.Other)
	return s, nil
}

func origin(ln net.Listener, o Options) string {
	return fmt.Sprintf("http://%s:%d", cmp.Or(o.Host, "127.0.0.1"), ln.Addr().(*net.TCPAddr).Port)
}

func (s *Server) serve(ln net.Listener, here string) {
	h := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if s.begin() {
				defer s.answering.Done()
				s.answer(w, r, here)
			}
		})}
	s.http = append(s.http, h)
	s.serving.Go(func() { _ = h.Serve(ln) })
}

func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.answering.Add(1)
	}
	return !s.over
}

// Close cuts off everyone and returns when nothing is left running. Closing
// again does nothing.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.closed) })
	for _, h := range s.http {
		_ = h.Close()
	}
	s.serving.Wait()
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.mcp.close()
	s.answering.Wait()
	s.mcp.close() // what they opened meanwhile
}

// Set changes how the servers behave from the next request on, and makes
// Answer.Times and Lose count anew.
func (s *Server) Set(change func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Requests under way read the maps that they began with.
	s.o.Redirects, s.o.Instead = fresh(s.o.Redirects), fresh(s.o.Instead)
	s.o.Resource, s.o.Override = fresh(s.o.Resource), fresh(s.o.Override)
	s.o.Registration, s.o.Token, s.o.Lose = fresh(s.o.Registration), fresh(s.o.Token), fresh(s.o.Lose)
	change(&s.o)
	clear(s.spent)
	clear(s.lost)
}

// fresh is a copy that can be written to.
func fresh[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}

func (s *Server) options() Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o
}

package upstream

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/wire"
)

// guests is a server with logins, whose tokens are the callers' names. Its tool
// t answers with whose token came, and "own" with that name added is there for
// one caller only.
type guests struct {
	*httptest.Server
	mu     sync.Mutex
	opened map[string]int // initialize, by caller
	called map[string]int // tools/call
	left   map[string]int // MCP sessions that were ended
	asked  map[string]int // server/discover
	// trouble answers a caller's request itself and says so; it may wait.
	trouble func(w http.ResponseWriter, r *http.Request, who, method string) bool
	// stranger is a caller without a login.
	stranger caller.ID
	same     bool // all have the same tools
}

var errNoLogin = errors.New("a login is needed")

func newGuests(t *testing.T) *guests {
	t.Helper()
	g := &guests{opened: map[string]int{}, called: map[string]int{}, left: map[string]int{}, asked: map[string]int{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

// door starts what is tested in front of the guests.
func (g *guests) door(t *testing.T, o Options, a Access) *Server {
	t.Helper()
	o.Log, o.Identity = slog.New(slog.DiscardHandler), wire.Identity{Name: "upstream-test", Version: "1"}
	a.Required = func(err error) bool { return errors.Is(err, errNoLogin) }
	a.RoundTripper = func(who caller.ID, next http.RoundTripper) http.RoundTripper { return token{g, who, next} }
	s := New(config.Server{Name: "guests", Transport: config.StreamableHTTP, URL: g.URL}, o, &a)
	s.Start()
	t.Cleanup(func() { s.Close(testContext(t)) })
	return s
}

// token puts a caller's token into requests.
type token struct {
	g    *guests
	who  caller.ID
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t token) RoundTrip(r *http.Request) (*http.Response, error) {
	t.g.mu.Lock()
	stranger := t.who == t.g.stranger
	t.g.mu.Unlock()
	if stranger {
		return nil, errNoLogin
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", t.who.Name())
	return t.next.RoundTrip(r)
}

// ServeHTTP implements http.Handler.
func (g *guests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := r.Header.Get("Authorization")
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &m) // a DELETE has none
	g.mu.Lock()
	switch {
	case r.Method == http.MethodDelete:
		g.left[who]++
	case m.Method == "initialize":
		g.opened[who]++
	case m.Method == "tools/call":
		g.called[who]++
	case m.Method == "server/discover":
		g.asked[who]++
	}
	trouble, same := g.trouble, g.same
	g.mu.Unlock()
	if trouble != nil && trouble(w, r, who, m.Method) {
		return
	}
	own := who
	if same {
		own = "ed_by_all"
	}
	results := map[string]string{
		"initialize": `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"guests","version":"1"},"instructions":"Call them ` + own + `."}`,
		"tools/list": `{"tools":[{"name":"t","inputSchema":{"type":"object"}},{"name":"own` + own + `","inputSchema":{"type":"object"}}]}`,
		"tools/call": `{"content":[{"type":"text","text":"` + who + `"}]}`,
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Mcp-Session-Id", "of-"+who)
	switch result := results[m.Method]; {
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	case result == "":
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"error":{"code":-32601,"message":"no"}}`)
	default:
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":`+result+`}`)
	}
}

// set changes the guests while they run.
func (g *guests) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// count reads one of the counts.
func (g *guests) count(of map[string]int, who caller.ID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return of[who.Name()]
}

// hold keeps a caller's requests of a method back until release. held tells of
// each that has come.
func (g *guests) hold(who caller.ID, method string) (held chan struct{}, release func()) {
	held, gate := make(chan struct{}, 100), make(chan struct{})
	g.set(func() {
		before := g.trouble
		g.trouble = func(w http.ResponseWriter, r *http.Request, name, m string) bool {
			if name == who.Name() && m == method {
				held <- struct{}{}
				select {
				case <-gate:
				case <-r.Context().Done():
				}
				return false
			}
			return before != nil && before(w, r, name, m)
		}
	})
	return held, sync.OnceFunc(func() { close(gate) })
}

// guest is the n-th caller.
func guest(n int) caller.ID { return caller.User("guest" + strconv.Itoa(n)) }

// asks calls t for a caller, and fails the test unless the answer is theirs.
func asks(t *testing.T, s *Server, who caller.ID) {
	t.Helper()
	reply, err := s.Call(testContext(t), who, "t", json.RawMessage(`{}`), nil)
	if err != nil || !strings.Contains(string(reply.Result), `"`+who.Name()+`"`) {
		t.Errorf("%s is answered %s, %v", who, reply.Result, err)
	}
}

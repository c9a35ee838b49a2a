package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/limit"
	"mcpo/internal/mcptest"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// hurry bounds what has to happen; only a defect makes a test wait so long.
const hurry = 30 * time.Second

// api is the handler of a test's behind a socket.
type api struct {
	t       *testing.T
	url     string
	servers []*upstream.Server
	handler *Handler
	log     *safeBuffer
}

// setup is what a test's handler is made of.
type setup struct {
	Options
	single   bool
	upstream upstream.Options
	debug    bool // log everything
	unready  bool // do not wait for the servers
	servers  []config.Server
	limits   limit.Rules
	breaks   limit.BreakerRules
	identify caller.Options
}

// serve starts the servers and the handler.
func serve(t *testing.T, s setup) *api {
	t.Helper()
	a := &api{t: t, log: &safeBuffer{}}
	level := slog.LevelInfo
	if s.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: level}))
	s.upstream.Log, s.upstream.Identity = log, wire.Identity{Name: "httpapi-test", Version: "1"}
	s.Log = log
	if s.MaxBody == 0 {
		s.MaxBody = 4 << 20
	}
	if s.CORSOrigins == nil {
		s.CORSOrigins = []string{"*"}
	}
	for _, cfg := range s.servers {
		server := upstream.New(cfg, s.upstream, nil)
		server.Start()
		t.Cleanup(func() { server.Close(soon(t)) })
		if !s.unready {
			if _, err := server.Ready(soon(t), caller.Shared()); err != nil {
				t.Fatal(err)
			}
		}
		a.servers = append(a.servers, server)
	}
	h, wrapped := New(s.Options)
	a.handler = h
	served := make([]Served, len(a.servers))
	for i, server := range a.servers {
		served[i] = Served{Server: server, Limiter: limit.New[caller.ID](s.limits),
			Breaker: limit.NewBreaker(s.breaks, func(who caller.ID, open bool) { log.Info("changed", "caller", who.String(), "open", open) })}
	}
	h.Publish(NewGeneration(served, s.single, caller.NewIdentifier(s.identify)))
	listener := httptest.NewServer(wrapped)
	t.Cleanup(func() {
		listener.CloseClientConnections()
		listener.Close()
	})
	a.url = listener.URL
	return a
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	t.Cleanup(cancel)
	return ctx
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are "Name: value".
func (a *api) do(method, path, body string, headers ...string) reply {
	a.t.Helper()
	req, err := http.NewRequestWithContext(soon(a.t), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(raw)}
}

// want fails the test unless the answer has the status and holds the text.
func (r reply) want(t *testing.T, what string, status int, part string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.body, part) {
		t.Errorf("%s = %d %.300s, want %d with %q", what, r.status, r.body, status, part)
	}
}

// real is a server of package mcptest over streamable HTTP.
func real(t *testing.T, name string) config.Server {
	return config.Server{Name: name, Transport: config.StreamableHTTP, URL: mcptest.StartHTTP(t, mcptest.Options{})}
}

// rawCall is a tools/call as it arrived.
type rawCall struct {
	id     json.RawMessage
	params []byte
	header http.Header
	gone   <-chan struct{}
}

// answer writes a member of a JSON-RPC response: result or error.
func (c rawCall) answer(w http.ResponseWriter, member, value string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(c.id)+`,"`+member+`":`+value+`}`)
}

// scripted is a streamable HTTP server with the tools and answers of a test's:
// those that no sane server would give.
func scripted(t *testing.T, name, tools string, call func(w http.ResponseWriter, c rawCall)) config.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&m) != nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		c := rawCall{m.ID, m.Params, r.Header, r.Context().Done()}
		switch {
		case m.ID == nil:
			w.WriteHeader(http.StatusAccepted)
		case m.Method == "initialize":
			c.answer(w, "result", `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"scripted","version":"1"},"instructions":"Be brief."}`)
		case m.Method == "tools/list":
			c.answer(w, "result", `{"tools":`+tools+`}`)
		case m.Method == "tools/call":
			call(w, c)
		default:
			c.answer(w, "error", `{"code":-32601,"message":"no such method"}`)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return config.Server{Name: name, Transport: config.StreamableHTTP, URL: server.URL}
}

// oneTool is the list of a server with the tool t, which takes anything.
const oneTool = `[{"name":"t","inputSchema":{"type":"object"}}]`

// safeBuffer is a log that many goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

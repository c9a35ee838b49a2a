package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/mcptest"
	"mcpo/internal/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// hurry bounds what has to happen; only a defect makes a test wait so long.
const hurry = 30 * time.Second

var who = caller.Shared()

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, cfg config.Server, o Options) *Server {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	o.Identity = wire.Identity{Name: "upstream-test", Version: "1"}
	s := New(cfg, o, nil)
	s.Start()
	t.Cleanup(func() { s.Close(testContext(t)) })
	return s
}

func stdioConfig(t *testing.T, args ...string) config.Server {
	return config.Server{Name: "stdio", Transport: config.Stdio, Command: mcptest.BuildStdio(t), Args: args}
}

// echo calls the echo tool and fails the test if that goes wrong.
func echo(t *testing.T, s *Server, message string) {
	t.Helper()
	quoted, _ := json.Marshal(message)
	reply, err := s.Call(testContext(t), who, "echo", json.RawMessage(`{"message":`+string(quoted)+`}`), nil)
	if err != nil || reply.Error != nil || !strings.Contains(string(reply.Result), message) {
		t.Errorf("echo = %s, %v, %v", reply.Result, reply.Error, err)
	}
}

func TestAllTransports(t *testing.T) {
	for name, cfg := range map[string]config.Server{
		"stdio":           stdioConfig(t),
		"streamable-http": {Name: "h", Transport: config.StreamableHTTP, URL: mcptest.StartHTTP(t, mcptest.Options{})},
		"stateless": {Name: "h", Transport: config.StreamableHTTP,
			URL: mcptest.StartHTTP(t, mcptest.Options{Stateless: true})},
		"sse":             {Name: "s", Transport: config.SSE, URL: mcptest.StartSSE(t, mcptest.Options{})},
		"auto finds http": {Name: "a", Transport: config.Auto, URL: mcptest.StartHTTP(t, mcptest.Options{})},
		"auto finds sse":  {Name: "a", Transport: config.Auto, URL: mcptest.StartSSE(t, mcptest.Options{})},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, cfg, Options{})
			echo(t, s, "through "+name)
			if st := s.Status(who); st.State != StateConnected || st.Tools == 0 {
				t.Errorf("status = %+v", st)
			}
		})
	}
}

// TestToolFilters: hidden tools neither show nor can be called.
func TestToolFilters(t *testing.T) {
	cfg := stdioConfig(t)
	cfg.EnabledTools, cfg.DisabledTools = []string{"echo", "add"}, []string{"add"}
	s := start(t, cfg, Options{})
	list, err := s.Ready(testContext(t), who)
	if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "echo" {
		t.Fatalf("tools = %+v, %v", list, err)
	}
	if _, err := s.Call(testContext(t), who, "add", json.RawMessage(`{"a":1,"b":2}`), nil); !errors.Is(err, ErrUnknownTool) {
		t.Errorf("a hidden tool: %v", err)
	}
}

// TestCrashIsolation: a crash ends the call that caused it; the next call
// works, and a server beside never notices.
func TestCrashIsolation(t *testing.T) {
	crashing, steady := start(t, stdioConfig(t, "--crash-on", "fail"), Options{}), start(t, stdioConfig(t), Options{})
	echo(t, crashing, "before")
	stop := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				echo(t, steady, "beside")
			}
		}
	})
	for range 3 {
		var lost *LostError
		if _, err := crashing.Call(testContext(t), who, "fail", json.RawMessage(`{"message":"x"}`), nil); !errors.As(err, &lost) {
			t.Errorf("the call that crashed: %v", err)
		}
		echo(t, crashing, "after")
	}
	close(stop)
	beside.Wait()
}

// TestNeverReplayed: a call that may have run is not sent again, not even by
// net/http for a header that makes it believe it may (threats 27).
func TestNeverReplayed(t *testing.T) {
	var calls int
	var mu sync.Mutex
	cfg := fakeHTTP(t, func(w http.ResponseWriter, method string) bool {
		if method == "tools/call" {
			mu.Lock()
			calls++
			mu.Unlock()
			panic(http.ErrAbortHandler) // the connection breaks after the request was read
		}
		return false
	})
	cfg.Forward.Enabled = true
	s := start(t, cfg, Options{})
	header := http.Header{"Idempotency-Key": {"k"}, "X-Idempotency-Key": {"k"}}
	if _, err := s.Call(testContext(t), who, "t", json.RawMessage(`{}`), header); err == nil {
		t.Error("a broken call succeeded")
	}
	mu.Lock()
	defer mu.Unlock()
	if calls != 1 {
		t.Errorf("the server saw the call %d times", calls)
	}
}

// TestSessionLost: after a 404 there is one new handshake, and the call, which
// did not run, is sent again (threats 27).
func TestSessionLost(t *testing.T) {
	var handshakes, calls int
	var mu sync.Mutex
	s := start(t, fakeHTTP(t, func(w http.ResponseWriter, method string) bool {
		mu.Lock()
		defer mu.Unlock()
		switch method {
		case "initialize":
			handshakes++
		case "tools/call":
			if calls++; calls == 1 {
				http.Error(w, "no such session", http.StatusNotFound)
				return true
			}
		}
		return false
	}), Options{})
	reply, err := s.Call(testContext(t), who, "t", json.RawMessage(`{}`), nil)
	if err != nil || string(reply.Result) != `{"content":[]}` {
		t.Errorf("call = %s, %v", reply.Result, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if handshakes != 2 || calls != 2 {
		t.Errorf("%d handshakes, %d calls", handshakes, calls)
	}
}

// TestRefusalsStayWithTheirCall: a status that refuses one call ends neither
// the connection nor the MCP session.
func TestRefusalsStayWithTheirCall(t *testing.T) {
	for _, code := range []int{400, 401, 403, 413, 429, 500, 503} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			var handshakes int
			refuse := true
			var mu sync.Mutex
			s := start(t, fakeHTTP(t, func(w http.ResponseWriter, method string) bool {
				mu.Lock()
				defer mu.Unlock()
				if method == "initialize" {
					handshakes++
				}
				if method == "tools/call" && refuse {
					refuse = false
					http.Error(w, "plain words", code)
					return true
				}
				return false
			}), Options{})
			var status *wire.StatusError
			if _, err := s.Call(testContext(t), who, "t", json.RawMessage(`{}`), nil); !errors.As(err, &status) || status.Code != code {
				t.Errorf("error = %v", err)
			}
			if _, err := s.Call(testContext(t), who, "t", json.RawMessage(`{}`), nil); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if handshakes != 1 {
				t.Errorf("%d handshakes", handshakes)
			}
		})
	}
}

// fakeHTTP is a streamable HTTP server with one tool, t. override answers a
// request itself and says so.
func fakeHTTP(t *testing.T, override func(w http.ResponseWriter, method string) bool) config.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&m) != nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if override(w, m.Method) {
			return
		}
		results := map[string]string{
			"initialize": `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}`,
			"tools/list": `{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}`,
			"tools/call": `{"content":[]}`,
		}
		w.Header().Set("Content-Type", "application/json")
		switch result := results[m.Method]; {
		case m.ID == nil:
			w.WriteHeader(http.StatusAccepted)
		case result == "":
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"error":{"code":-32601,"message":"no"}}`))
		default:
			if m.Method == "initialize" {
				w.Header().Set("Mcp-Session-Id", "s1")
			}
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":` + result + `}`))
		}
	}))
	t.Cleanup(server.Close)
	return config.Server{Name: "fake", Transport: config.StreamableHTTP, URL: server.URL}
}

// TestListChanged: a tool that a server adds is there without a restart.
func TestListChanged(t *testing.T) {
	s := start(t, stdioConfig(t), Options{})
	if _, err := s.Call(testContext(t), who, "add_tool", json.RawMessage(`{"name":"brand_new"}`), nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the new tool", func() bool { _, ok := s.Tools(who).find("brand_new"); return ok })
}

// await polls for what another goroutine brings about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	ctx := testContext(t)
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not come", what)
		}
	}
}

// TestNeverAnswers: a server that ignores initialize is reported and ended,
// and costs a call no more than its own time.
func TestNeverAnswers(t *testing.T) {
	s := start(t, stdioConfig(t, "--ignore-initialize"), Options{ConnectTimeout: 200 * time.Millisecond})
	<-s.Tried()
	var unavailable *UnavailableError
	if _, err := s.Call(testContext(t), who, "echo", json.RawMessage(`{}`), nil); !errors.As(err, &unavailable) {
		t.Errorf("error = %v", err)
	}
}

// TestTimeout: the server's own timeout ends a call, in words.
func TestTimeout(t *testing.T) {
	cfg := stdioConfig(t)
	cfg.Timeout = time.Second // in which the call reaches the server on any machine
	s := start(t, cfg, Options{})
	if _, err := s.Ready(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call(testContext(t), who, "slow", json.RawMessage(`{"ms":3600000}`), nil); !errors.Is(err, ErrTimeout) {
		t.Errorf("error = %v", err)
	}
}

// TestCloseWaitsForCalls: a server that is taken away finishes what it was
// asked, refuses what is new, and leaves no process behind.
func TestCloseWaitsForCalls(t *testing.T) {
	s := start(t, stdioConfig(t), Options{})
	echo(t, s, "warm")
	done := make(chan error, 1)
	go func() {
		_, err := s.Call(testContext(t), who, "slow", json.RawMessage(`{"ms":300}`), nil)
		done <- err
	}()
	await(t, "the call", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.inFlight == 1 })
	s.Close(testContext(t))
	if err := <-done; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if _, err := s.Call(testContext(t), who, "echo", json.RawMessage(`{}`), nil); !errors.Is(err, ErrRemoved) {
		t.Errorf("a call after the end: %v", err)
	}
}

// TestKilledChildComesBack: kill -9 from outside; the next call works.
func TestKilledChildComesBack(t *testing.T) {
	pids := make(chan int, 8)
	cfg := config.Server{Name: "sh", Transport: config.Stdio, Command: "/bin/sh",
		Args: []string{"-c", `echo "pid $$" >&2; exec "$0"`, mcptest.BuildStdio(t)}}
	log := slog.New(stderrHook{slog.DiscardHandler, pids})
	s := New(cfg, Options{Log: log, Identity: wire.Identity{Name: "t", Version: "1"}}, nil)
	s.Start()
	t.Cleanup(func() { s.Close(testContext(t)) })
	for range 3 {
		echo(t, s, "hello")
		if err := syscall.Kill(<-pids, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, "the loss", func() bool { return s.Status(who).State != StateConnected })
	}
	echo(t, s, "again")
}

// stderrHook is a log handler that picks process ids out of what servers say.
type stderrHook struct {
	slog.Handler
	pids chan int
}

func (h stderrHook) Enabled(context.Context, slog.Level) bool { return true }
func (h stderrHook) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h stderrHook) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if pid, ok := strings.CutPrefix(a.Value.String(), "pid "); ok {
			n, _ := strconv.Atoi(pid)
			h.pids <- n
		}
		return true
	})
	return nil
}

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"mcpo/internal/mcptest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// hurry bounds what has to happen; only a defect makes a test wait so long.
const hurry = 30 * time.Second

// running is an mcpo of a test's.
type running struct {
	t      *testing.T
	url    string
	key    string // sent along if not empty
	reload chan struct{}
	stop   func() error // ends it and gives what Run returned
}

func run(t *testing.T, o Options) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	reload := make(chan struct{})
	o.Host, o.CORSAllowOrigins, o.MaxBody = "127.0.0.1", []string{"*"}, 4<<20
	o.ShutdownTimeout, o.Build = hurry, "test"
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Ready, o.Reload = func(addr string) { ready <- addr }, reload
	if o.ServerType == "" {
		o.ServerType = "stdio"
	}
	go func() { done <- Run(ctx, o) }()
	m := &running{t: t, reload: reload}
	m.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	select {
	case addr := <-ready:
		m.url = "http://" + addr
	case err := <-done:
		done <- err
		t.Fatalf("Run = %v", err)
	}
	return m
}

// get asks and gives status and body.
func (m *running) get(method, path, body string) (int, string) {
	m.t.Helper()
	req, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	return m.send(req)
}

// send sends a request and gives status and body.
func (m *running) send(req *http.Request) (int, string) {
	m.t.Helper()
	if m.key != "" {
		req.Header.Set("Authorization", "Bearer "+m.key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Error(err)
	}
	return resp.StatusCode, string(raw)
}

// await polls until a request is answered with the status.
func (m *running) await(status int, method, path, body string) string {
	m.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for deadline := time.Now().Add(hurry); time.Now().Before(deadline); <-tick.C {
		var got int
		if got, last = m.get(method, path, body); got == status {
			return last
		}
	}
	m.t.Fatalf("%s %s was never answered with %d; last: %s", method, path, status, last)
	return ""
}

// configFile writes a configuration of stdio test servers: name → arguments.
func configFile(t *testing.T, path string, servers map[string][]string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"mcpServers":{`)
	separator := ""
	for name, args := range servers {
		quoted := `"` + strings.Join(args, `","`) + `"`
		if len(args) == 0 {
			quoted = ""
		}
		fmt.Fprintf(&b, `%s%q:{"command":%q,"args":[%s]}`, separator, name, mcptest.BuildStdio(t), quoted)
		separator = ","
	}
	b.WriteString("}}")
	write(t, path, b.String())
	return path
}

// write replaces a file in one step.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestSingleServer(t *testing.T) {
	m := run(t, Options{Command: []string{mcptest.BuildStdio(t)}})
	if status, body := m.get("POST", "/echo", `{"message":"hello"}`); status != 200 || body != `"hello"` {
		t.Errorf("echo: %d %s", status, body)
	}
	if status, body := m.get("GET", "/openapi.json", ""); status != 200 || !strings.Contains(body, `"/echo"`) {
		t.Errorf("openapi.json: %d %s", status, body)
	}
}

func TestSingleServerThatCannotStart(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	defer cancel()
	err := Run(ctx, Options{Host: "127.0.0.1", ServerType: "stdio", Command: []string{"sh", "-c", "echo 'token missing' >&2; exit 4"},
		Log: slog.New(slog.DiscardHandler), ShutdownTimeout: hurry, MaxBody: 1})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 1 || !strings.Contains(exit.Error(), "token missing") {
		t.Errorf("Run = %v", err)
	}
}

// TestReload adds, changes, removes and renames servers under load: servers
// that stay the same keep their connections, and no call to them fails.
func TestReload(t *testing.T) {
	path := configFile(t, filepath.Join(t.TempDir(), "config.json"), map[string][]string{"stays": nil, "changes": {"--name", "one"}, "goes": nil})
	m := run(t, Options{ConfigPath: path, HotReload: true})
	m.await(200, "POST", "/stays/echo", `{"message":"x"}`)
	m.await(200, "POST", "/stays/add_tool", `{"name":"mark"}`) // lives as long as this connection
	m.await(200, "POST", "/stays/mark", `{}`)
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if status, body := m.get("POST", "/stays/echo", `{"message":"x"}`); status != 200 {
					t.Errorf("a call beside the reload: %d %s", status, body)
				}
			}
		}
	})
	configFile(t, path, map[string][]string{"stays": nil, "changes": {"--name", "two"}, "comes": nil})
	m.await(200, "POST", "/comes/echo", `{"message":"x"}`)
	m.await(404, "POST", "/goes/echo", `{"message":"x"}`)
	m.await(200, "POST", "/changes/echo", `{"message":"x"}`)
	if _, body := m.get("GET", "/changes/openapi.json", ""); !strings.Contains(body, `"two"`) {
		t.Errorf("the changed server is still the old one: %.200s", body)
	}
	close(stop)
	load.Wait()
	m.await(200, "POST", "/stays/mark", `{}`)
}

// TestReloadKeepsTheOldOnMistakes: a half-written file changes nothing.
func TestReloadKeepsTheOldOnMistakes(t *testing.T) {
	path := configFile(t, filepath.Join(t.TempDir(), "config.json"), map[string][]string{"a": nil})
	m := run(t, Options{ConfigPath: path})
	m.await(200, "POST", "/a/echo", `{"message":"x"}`)
	write(t, path, `{"mcpServers":{"a":`)
	m.reload <- struct{}{}
	m.await(200, "POST", "/a/echo", `{"message":"x"}`)
	configFile(t, path, map[string][]string{"a": nil, "b": nil})
	m.reload <- struct{}{}
	m.await(200, "POST", "/b/echo", `{"message":"x"}`)
}

// TestReloadSymlinkSwap: as Kubernetes updates a ConfigMap.
func TestReloadSymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	version := func(n int, servers map[string][]string) {
		folder := filepath.Join(dir, fmt.Sprintf("..v%d", n))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		configFile(t, filepath.Join(folder, "config.json"), servers)
		if err := os.Symlink(filepath.Base(folder), filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version(1, map[string][]string{"a": nil})
	path := filepath.Join(dir, "config.json")
	if err := os.Symlink("..data/config.json", path); err != nil {
		t.Fatal(err)
	}
	m := run(t, Options{ConfigPath: path, HotReload: true})
	m.await(200, "POST", "/a/echo", `{"message":"x"}`)
	version(2, map[string][]string{"b": nil})
	m.await(200, "POST", "/b/echo", `{"message":"x"}`)
	m.await(404, "POST", "/a/echo", `{"message":"x"}`)
}

// TestCallsInFlightFinish: those that a reload or the end of mcpo meets.
func TestCallsInFlightFinish(t *testing.T) {
	for _, end := range []string{"reload", "shutdown"} {
		t.Run(end, func(t *testing.T) {
			arrived, release := make(chan struct{}), make(chan struct{})
			url := waitingServer(t, arrived, release)
			path := filepath.Join(t.TempDir(), "config.json")
			write(t, path, fmt.Sprintf(`{"mcpServers":{"a":{"type":"http","url":%q}}}`, url))
			m := run(t, Options{ConfigPath: path})
			done := make(chan string, 1)
			go func() {
				status, body := m.get("POST", "/a/wait", `{}`)
				done <- fmt.Sprint(status, " ", body)
			}()
			select {
			case <-arrived:
			case got := <-done:
				t.Fatalf("the call never reached the server: %s", got)
			}
			ended := make(chan error, 1)
			if end == "reload" {
				configFile(t, path, map[string][]string{"b": nil})
				m.reload <- struct{}{}
				m.await(404, "GET", "/a/openapi.json", "") // a call to see it would wait itself
				ended <- nil
			} else {
				go func() { ended <- m.stop() }()
			}
			close(release)
			if got := <-done; got != `200 "waited"` {
				t.Errorf("the call in flight: %s", got)
			}
			if err := <-ended; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
	}
}

// waitingServer is an MCP server whose one tool says when it was called and
// answers when it is released.
func waitingServer(t *testing.T, arrived chan<- struct{}, release <-chan struct{}) (url string) {
	s := mcp.NewServer(&mcp.Implementation{Name: "waiting", Version: "1"}, nil)
	s.AddTool(&mcp.Tool{Name: "wait", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			arrived <- struct{}{}
			select {
			case <-release:
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "waited"}}}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
	server := httptest.NewServer(mcptest.Handler(s, mcptest.Options{}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestListensAtOnce: a server that never answers delays nobody.
func TestListensAtOnce(t *testing.T) {
	path := configFile(t, filepath.Join(t.TempDir(), "config.json"), map[string][]string{"dead": {"--ignore-initialize"}, "good": nil})
	m := run(t, Options{ConfigPath: path, ConnectTimeout: hurry})
	if status, _ := m.get("GET", "/healthz", ""); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	m.await(200, "POST", "/good/echo", `{"message":"x"}`)
	if status, body := m.get("GET", "/dead/openapi.json", ""); status != 200 || !strings.Contains(body, `"paths":{}`) {
		t.Errorf("openapi.json of a server that is starting: %d %s", status, body)
	}
	if status, body := m.get("GET", "/readyz", ""); status != 503 || !strings.Contains(body, `"starting"`) {
		t.Errorf("readyz: %d %s", status, body)
	}
}

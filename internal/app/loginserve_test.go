package app

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// household is the folder of an mcpo with logins: its configuration and its
// storage.
type household struct {
	t    *testing.T
	dir  string
	path string // of the configuration
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	dir := t.TempDir()
	return &household{t: t, dir: dir, path: filepath.Join(dir, "config.json")}
}

// write writes the configuration: servers are members of mcpServers.
func (h *household) write(servers ...string) {
	h.t.Helper()
	write(h.t, h.path, fmt.Sprintf(`{"storage": {"path": %q}, "mcpServers": {%s}}`, filepath.Join(h.dir, "storage"), strings.Join(servers, ",")))
}

// guarded is a server that asks for a login, with more members of its oauth
// block.
func guarded(name, at string, port int, more string) string {
	return fmt.Sprintf(`%q: {"type": "http", "url": %q, "oauth": {"server_url": "auto", "callback_port": %d%s}}`, name, at, port, more)
}

// open is a server that asks for nothing.
func open(t *testing.T, name string) string {
	return fmt.Sprintf(`%q: {"command": %q}`, name, mcptest.BuildStdio(t))
}

const (
	one   = `, "multi_user": false`
	paste = `, "multi_user": false, "use_loopback": false`
)

// TestStartLogsIn: whoever starts mcpo is led through the login, and tools come
// without a restart.
func TestStartLogsIn(t *testing.T) {
	for name, more := range map[string]string{"one login": one, "logins of each": ""} {
		t.Run(name, func(t *testing.T) {
			s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
			h.write(guarded("lab", s.MCP, freePort(t), more))
			browse, page := p.browser(oauthtest.BrowseOptions{})
			m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p, Browse: browse}})
			if got := page(); got.Status != http.StatusOK || !strings.Contains(got.Body, "Connected. You can close this tab.") {
				t.Errorf("the browser shows %d %s", got.Status, got.Body)
			}
			if body := m.await(200, "POST", "/lab/whoami", "{}"); body != `"alice"` {
				t.Errorf("whoami: %s", body)
			}
			if got := p.reads("Open this page to connect lab:\n" + s.Endpoint("authorize") + "?"); strings.Count(got, "Open this page") != 1 {
				t.Errorf("the terminal shows:\n%s", got)
			}
		})
	}
}

// TestStartPrintsTheLink for a person whose browser is elsewhere.
func TestStartPrintsTheLink(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	h.write(guarded("lab", s.MCP, freePort(t), one))
	m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p, Browse: func(string) error { return fmt.Errorf("no display") }}})
	p.reads("No browser could be opened (no display)")
	if status, body := m.get("POST", "/lab/whoami", "{}"); status != 401 || !strings.Contains(body, "authentication_required") {
		t.Errorf("before the login: %d %s", status, body)
	}
	browseTo(t, p.link(), oauthtest.BrowseOptions{})
	m.await(200, "POST", "/lab/whoami", "{}")
}

func browseTo(t *testing.T, at string, o oauthtest.BrowseOptions) oauthtest.Page {
	t.Helper()
	page, err := oauthtest.Browse(t.Context(), at, o)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// TestStartPastes: a wrong address is asked for again, the right one finishes
// the login.
func TestStartPastes(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	h.write(guarded("lab", s.MCP, freePort(t), paste))
	m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{In: p.read, Out: p}})
	end := browseTo(t, p.link(), oauthtest.BrowseOptions{StopBefore: true}).URL
	p.types("")
	p.types("http://localhost:3030/callback")
	p.reads("No authorization code found. Copy the complete callback URL")
	p.types(strings.Replace(end, "state=", "state=x", 1))
	p.reads("its state differs")
	p.types(" " + end + " ")
	p.reads("Connected to lab.")
	m.await(200, "POST", "/lab/whoami", "{}")
	if n := s.Requests("token"); n != 1 {
		t.Errorf("%d codes were exchanged", n)
	}
}

// TestStartFindsThePortTaken: that is one error, which says what to set, and
// nobody else has to wait.
func TestStartFindsThePortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	s, h, p, log := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t), newPerson(t)
	h.write(guarded("lab", s.MCP, port, one), open(t, "clock"))
	m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p}, Log: slog.New(slog.NewTextHandler(log, nil))})
	m.await(200, "POST", "/clock/echo", `{"message":"x"}`)
	log.reads("port " + strconv.Itoa(port) + " is in use: set callback_port")
	if status, body := m.get("POST", "/lab/whoami", "{}"); status != 401 || !strings.Contains(body, "authorization_url") {
		t.Errorf("a call: %d %s", status, body)
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if all := log.reads(""); strings.Count(all, "is in use") != 1 {
		t.Errorf("the log says:\n%s", all)
	}
}

// TestTwoLoginsAtOnePort: the loopback port is shared by all logins that wait.
func TestTwoLoginsAtOnePort(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	port := freePort(t)
	h.write(guarded("a", s.MCP, port, one), guarded("b", s.Second, port, one))
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p, Browse: browse}})
	for range 2 {
		if got := page(); !strings.Contains(got.Body, "Connected.") {
			t.Errorf("the browser shows %d %s", got.Status, got.Body)
		}
	}
	m.await(200, "POST", "/a/whoami", "{}")
	m.await(200, "POST", "/b/whoami", "{}")
}

// TestWaitingForAPersonHoldsNothingUp: neither the start nor the end.
func TestWaitingForAPersonHoldsNothingUp(t *testing.T) {
	for name, more := range map[string]string{"for a browser": one, "for a paste": paste} {
		t.Run(name, func(t *testing.T) {
			s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
			port := freePort(t)
			h.write(guarded("lab", s.MCP, port, more), guarded("other", s.Second, port, more), open(t, "clock"))
			m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{In: p.read, Out: p}})
			p.link()
			m.await(200, "POST", "/clock/echo", `{"message":"x"}`)
			if err := m.stop(); err != nil {
				t.Error(err)
			}
			p.in.Close()
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				t.Fatalf("the callback port is not free after the end: %v", err)
			}
			l.Close()
		})
	}
}

// TestWaitingForAServerHoldsNothingUp: an authorization server that never answers
// keeps neither others nor the end waiting.
func TestWaitingForAServerHoldsNothingUp(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	release := s.Hold("metadata")
	defer release()
	h.write(guarded("lab", s.MCP, freePort(t), one), open(t, "clock"))
	m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p}})
	if err := s.Await(t.Context(), "metadata", 1); err != nil {
		t.Fatal(err)
	}
	m.await(200, "POST", "/clock/echo", `{"message":"x"}`)
	if status, _ := m.get("POST", "/lab/whoami", "{}"); status != 401 {
		t.Errorf("a call meanwhile: %d", status)
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
}

// TestRestartNeedsNoLogin: logins outlive the process, unless they are to be
// kept in memory.
func TestRestartNeedsNoLogin(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	h.write(guarded("lab", s.MCP, freePort(t), one), guarded("fleeting", s.Second, freePort(t), one+`, "storage_type": "memory"`))
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m := run(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p, Browse: browse}})
	page()
	page()
	m.await(200, "POST", "/lab/whoami", "{}")
	m.await(200, "POST", "/fleeting/whoami", "{}")
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	asked := s.Requests("authorize")
	m = run(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p}})
	m.await(200, "POST", "/lab/whoami", "{}")
	m.await(401, "POST", "/fleeting/whoami", "{}")
	if n := s.Requests("authorize") - asked; n != 0 {
		t.Errorf("a person was asked %d times after the restart", n)
	}
}

// TestReloadOfLogins: servers with logins come and go with the file. Those that
// stay keep their logins, and so do those that change.
func TestReloadOfLogins(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	port, second := freePort(t), freePort(t)
	h.write(guarded("stays", s.MCP, port, one))
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m := run(t, Options{ConfigPath: h.path, HotReload: true, Terminal: Terminal{Out: p, Browse: browse}})
	page()
	m.await(200, "POST", "/stays/whoami", "{}")
	h.write(guarded("stays", s.MCP, port, one), guarded("comes", s.Second, second, one))
	page()
	m.await(200, "POST", "/comes/whoami", "{}")
	asked := s.Requests("authorize")
	h.write(guarded("stays", s.MCP, port, one+`, "scopes": ["mcp"]`))
	m.await(404, "POST", "/comes/whoami", "{}")
	m.await(200, "POST", "/stays/whoami", "{}")
	h.write(guarded("stays", s.MCP, port, one+`, "scopes": ["mcp"]`), guarded("comes", s.Second, second, one))
	m.await(200, "POST", "/comes/whoami", "{}")
	if n := s.Requests("authorize") - asked; n != 0 {
		t.Errorf("a person was asked %d times for what there was", n)
	}
	if status, body := m.get("GET", "/oauth/stays/status", ""); status != 200 || !strings.Contains(body, `"authenticated":true`) {
		t.Errorf("status: %d %s", status, body)
	}
}

// TestReloadThatFails leaves nothing behind of the servers that it made.
func TestReloadThatFails(t *testing.T) {
	h, log := newHousehold(t), slog.New(slog.DiscardHandler)
	a := &app{opts: Options{Log: log}}
	a.logins = newLogins(a.opts, "http://localhost:8000", false, http.NotFoundHandler())
	defer a.logins.loopback.Close()
	nowhere := filepath.Join(h.dir, "file")
	write(t, nowhere, "no folder")
	write(t, h.path, fmt.Sprintf(`{"storage": {"path": %q}, "mcpServers": {%s, %s, %s}}`, nowhere,
		open(t, "clock"), guarded("made", "http://127.0.0.1:1/mcp", 3030, `, "storage_type": "memory"`), guarded("fails", "http://127.0.0.1:1/mcp", 3030, "")))
	cfg, err := configuration(Options{ConfigPath: h.path, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.swap(cfg); err == nil || len(a.servers) != 0 {
		t.Errorf("%v; %d servers", err, len(a.servers))
	}
	// Who was not closed is still known where browsers come back to.
	if users := reflect.ValueOf(a.logins.loopback).Elem().FieldByName("users").Len(); users != 0 {
		t.Errorf("%d servers with logins were not closed", users)
	}
}

// TestReloadEndsAPrompt: a server that is taken away asks for no address any
// more, and leaves the terminal to the next.
func TestReloadEndsAPrompt(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	h.write(guarded("first", s.MCP, freePort(t), paste))
	m := run(t, Options{ConfigPath: h.path, HotReload: true, Terminal: Terminal{In: p.read, Out: p}})
	p.reads("Open this page to connect first:")
	h.write(guarded("second", s.Second, freePort(t), paste))
	m.await(404, "POST", "/first/whoami", "{}")
	shown := p.reads("Open this page to connect second:")
	_, rest, _ := strings.Cut(shown, "connect second:\n")
	link, _, _ := strings.Cut(rest, "\n")
	p.types(browseTo(t, link, oauthtest.BrowseOptions{StopBefore: true}).URL)
	p.reads("Connected to second.")
	m.await(200, "POST", "/second/whoami", "{}")
}

// TestHintWithoutBlock: a server that wants a login, and was not given one, is
// told with what to write.
func TestHintWithoutBlock(t *testing.T) {
	s, h, log := oauthtest.Start(t, oauthtest.Options{IssuerPath: "/tenant"}), newHousehold(t), newPerson(t)
	h.write(fmt.Sprintf(`"lab": {"type": "http", "url": %q}`, s.MCP), open(t, "clock"))
	m := run(t, Options{ConfigPath: h.path, Log: slog.New(slog.NewTextHandler(log, nil))})
	all := log.reads("add this to its configuration")
	if want := strconv.Quote(fmt.Sprintf(`"oauth": {"server_url": %q}`, s.Issuer)); !strings.Contains(all, "server=lab oauth="+want) {
		t.Errorf("the log says:\n%s", all)
	}
	m.await(200, "POST", "/clock/echo", `{"message":"x"}`)
	if _, body := m.get("GET", "/readyz", ""); !strings.Contains(body, "add an oauth block to its configuration") {
		t.Errorf("readyz: %s", body)
	}
	if s.Requests("register") != 0 {
		t.Error("mcpo registered without having been asked")
	}
}

// TestLoginOverHTTP: where nobody is at the terminal, the link that a call is
// answered with does it all, and readyz says what is missing.
func TestLoginOverHTTP(t *testing.T) {
	s, h := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t)
	h.write(guarded("lab", s.MCP, freePort(t), ""))
	m := run(t, Options{ConfigPath: h.path})
	body := m.await(401, "POST", "/lab/whoami", "{}")
	_, rest, _ := strings.Cut(body, `"authorization_url":"`)
	link, _, _ := strings.Cut(rest, `"`)
	if u, err := url.Parse(link); err != nil || u.Hostname() != "localhost" {
		t.Fatalf("the link is %q", link)
	}
	m.await(200, "GET", "/readyz", "")
	if _, body := m.get("GET", "/readyz", ""); !strings.Contains(body, `"login_required"`) {
		t.Errorf("readyz: %s", body)
	}
	if page := browseTo(t, link, oauthtest.BrowseOptions{}); !strings.Contains(page.Body, "Connected.") {
		t.Errorf("the browser shows %d %s", page.Status, page.Body)
	}
	m.await(200, "POST", "/lab/whoami", "{}")
}

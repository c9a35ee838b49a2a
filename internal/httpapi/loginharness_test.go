package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// doorSetup is what a test's mcpo with logins is made of.
type doorSetup struct {
	Options
	outside oauthtest.Options
	oauth   func(*config.OAuth)
	web     bool   // browsers come back to the public URL, not to the loopback port
	name    string // of the server, "notes" when empty
	beyond  bool   // listens beyond loopback, as far as the handler knows
	second  bool   // a second server, "other", at the same authorization server
	store   oauth.Store
	// identify tells callers apart; nil knows nobody.
	identify *caller.Identifier
	watch    func(http.Handler) http.Handler // sees what the handlers answer
	webUI    string                          // takes lines for chats
	happened func(oauth.Happening)
	burst    int // logins that a caller may begin at once
}

// door is an mcpo with the server "notes", whose tools need a login. Its URL is
// the public one, with the name localhost.
type door struct {
	*api
	outside *oauthtest.Server
	store   oauth.Store
	logins  *oauth.Authorizer // of notes
	server  *upstream.Server  // notes
}

// openDoor starts all of it.
func openDoor(t *testing.T, s doorSetup) *door {
	t.Helper()
	d := &door{api: &api{t: t, log: &safeBuffer{}}, outside: oauthtest.Start(t, s.outside), store: s.store}
	if d.store == nil {
		d.store = store.NewMemory()
	}
	if s.watch == nil {
		s.watch = func(next http.Handler) http.Handler { return next }
	}
	listener := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(listener.Listener.Addr().String())
	d.url = "http://localhost:" + port
	if s.PublicURL == "" {
		s.PublicURL = d.url
	}
	if s.CORSOrigins == nil {
		s.CORSOrigins = []string{"*"}
	}
	s.MaxBody, s.Loopback = 4<<20, !s.beyond
	s.Log = slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h, wrapped := New(s.Options)
	s.happened = func(e oauth.Happening) {
		if e.Event == oauth.LoggedIn && e.Err == nil {
			h.Connected(e.Server, e.Caller)
		}
	}
	loopback := oauth.NewLoopback(s.watch(http.HandlerFunc(h.ServeCallback)), s.Log)
	t.Cleanup(loopback.Close)
	served := []Served{d.add(s, cmp.Or(s.name, "notes"), d.outside.MCP, loopback)}
	d.logins, d.server = served[0].Logins, served[0].Server
	if s.second {
		served = append(served, d.add(s, "other", d.outside.Second, loopback))
	}
	h.Publish(NewGeneration(served, false, s.identify))
	listener.Config.Handler = s.watch(wrapped)
	listener.Start()
	t.Cleanup(func() {
		listener.CloseClientConnections()
		listener.Close()
	})
	return d
}

// add makes a server with logins.
func (d *door) add(s doorSetup, name, at string, loopback *oauth.Loopback) Served {
	d.t.Helper()
	block := &config.OAuth{ServerURL: "auto", CallbackPort: freePort(d.t), UseLoopback: true, StorageType: "memory", MultiUser: true,
		SessionTimeout: hurry, Resource: "auto", Catalog: "shared"}
	if s.oauth != nil {
		s.oauth(block)
	}
	transport := config.StreamableHTTP
	if s.outside.SSE {
		transport = config.SSE
	}
	cfg := config.Server{Name: name, Transport: transport, URL: at, OAuth: block}
	var server *upstream.Server
	logins, err := oauth.New(oauth.Options{Server: cfg, Store: d.store, Loopback: loopback, PublicURL: s.PublicURL, WebCallback: s.web, Burst: cmp.Or(s.burst, 1000),
		Changed: func(who caller.ID) { server.Wake(who) }, Happened: s.happened, Log: s.Log})
	if err != nil {
		d.t.Fatal(err)
	}
	first := caller.Shared()
	if block.MultiUser {
		first = caller.Local()
	}
	server = upstream.New(cfg, upstream.Options{Log: s.Log, Identity: wire.Identity{Name: "httpapi-test", Version: "1"}}, &upstream.Access{
		RoundTripper: logins.RoundTripper, First: first,
		Required: func(err error) bool { return errors.As(err, new(*oauth.LoginRequiredError)) }})
	server.Start()
	d.t.Cleanup(func() {
		server.Close(soon(d.t))
		logins.Close()
	})
	return Served{Server: server, Logins: logins, WebUI: s.webUI}
}

// freePort is a port that nobody has now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// refusal is the 401 of a caller who has to log in.
func (r reply) refusal(t *testing.T) loginDetail {
	t.Helper()
	var body struct {
		Detail loginDetail `json:"detail"`
	}
	if r.status != http.StatusUnauthorized || json.Unmarshal([]byte(r.body), &body) != nil || body.Detail.AuthorizationURL == "" {
		t.Fatalf("%d %s is no call to log in", r.status, r.body)
	}
	return body.Detail
}

// link is the link that a call without a login is answered with.
func (d *door) link(server string) string {
	d.t.Helper()
	return d.do("POST", "/"+server+"/whoami", "{}").refusal(d.t).AuthorizationURL
}

// browse plays a person with a browser.
func (d *door) browse(at string, o oauthtest.BrowseOptions) oauthtest.Page {
	d.t.Helper()
	page, err := oauthtest.Browse(soon(d.t), at, o)
	if err != nil {
		d.t.Fatalf("browsing to %s: %v", at, err)
	}
	return page
}

// login is a whole login at a server, as alice.
func (d *door) login(server string) {
	d.t.Helper()
	page := d.browse(d.link(server), oauthtest.BrowseOptions{})
	wantPage(d.t, page, http.StatusOK, "Connected. You can close this tab.")
}

// wantPage fails the test unless a page has the status and the text, and is
// guarded as pages are to be.
func wantPage(t *testing.T, p oauthtest.Page, status int, part string) {
	t.Helper()
	if p.Status != status || !strings.Contains(p.Body, part) {
		_, text, _ := strings.Cut(p.Body, "</head>")
		t.Errorf("the page at %s is %d %s, want %d with %q", p.URL, p.Status, text, status, part)
	}
	wantGuarded(t, p.Header)
}

// wantGuarded checks the headers of a page (threats 6).
func wantGuarded(t *testing.T, h http.Header) {
	t.Helper()
	policy := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy %q lacks %s", policy, part)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
		t.Errorf("the policy %q lets scripts run", policy)
	}
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("a page without nosniff or no-store: %v", h)
	}
	if r := h.Get("Referrer-Policy"); r != "no-referrer" && r != "same-origin" {
		t.Errorf("Referrer-Policy is %q", r)
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("pages from elsewhere may read this one: %s: %s", name, h.Get(name))
		}
	}
}

// newBrowser is a browser's memory for cookies.
func newBrowser(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

// form is our page with a form in a browser: what the form would send, and the
// header with the browser's cookie.
func (d *door) form(at string) (csrf, cookie string) {
	d.t.Helper()
	page := d.browse(at, oauthtest.BrowseOptions{StopAtForm: true})
	pair, _, _ := strings.Cut(page.Header.Get("Set-Cookie"), ";")
	return csrfOf(d.t, page.Body), "Cookie: " + pair
}

// csrfOf is the token in the form of a page.
func csrfOf(t *testing.T, page string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, `name="csrf" value="`)
	if !found {
		t.Fatalf("the page has no form: %s", page)
	}
	csrf, _, _ := strings.Cut(rest, `"`)
	return csrf
}

const formType = "Content-Type: application/x-www-form-urlencoded"

// send posts a form; path begins with a slash or with our URL.
func (d *door) send(path string, form url.Values, headers ...string) reply {
	d.t.Helper()
	return d.do("POST", strings.TrimPrefix(path, d.url), form.Encode(), append([]string{formType}, headers...)...)
}

// empty fails the test if anybody is logged in.
func (d *door) empty(what string) {
	d.t.Helper()
	if grants, err := d.store.List(context.Background(), store.Grants); err != nil || len(grants) != 0 {
		d.t.Errorf("%s: %d logins are stored, %v", what, len(grants), err)
	}
}

// await calls a tool until it is answered with the status.
func (d *door) await(status int, path string) {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := reply{}
	for deadline := time.Now().Add(hurry); time.Now().Before(deadline); <-tick.C {
		if last = d.do("POST", path, "{}"); last.status == status {
			return
		}
	}
	d.t.Fatalf("%s was never answered with %d; last: %d %s", path, status, last.status, last.body)
}

// shared makes one login of all callers'.
func shared(o *config.OAuth) { o.MultiUser = false }

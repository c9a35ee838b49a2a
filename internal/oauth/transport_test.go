package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// roundTripper is a function as one.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// holding is an authorizer for a server at url, whose caller holds a grant.
func holding(t testing.TB, url string, change func(*Options)) *Authorizer {
	t.Helper()
	a := authorizer(t, url, change)
	if err := a.keep(testContext(t), who, &grant{Issuer: "https://auth.example", AccessToken: "t0ken", Server: a.url.String()}); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestTokenStaysHome: a token goes to the server's own origin and path.
func TestTokenStaysHome(t *testing.T) {
	for _, test := range []struct {
		server, to string
		sse, goes  bool
	}{
		{"https://mcp.example/mcp", "https://mcp.example/mcp", false, true},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/", false, true},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/v1?x=1", false, true},
		{"https://mcp.example/mcp", "https://MCP.example/mcp", false, true},
		{"https://mcp.example/mcp/", "https://mcp.example/mcp", false, true},
		{"https://mcp.example", "https://mcp.example/anything", false, true},
		{"https://mcp.example/mcp", "https://mcp.example/other", false, false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp2", false, false},
		{"https://mcp.example/mcp", "https://mcp.example/", false, false},
		{"https://mcp.example/mcp", "https://mcp.example/MCP", false, false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/../admin", false, false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/%2e%2e/admin", false, false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/..%2fadmin", false, false},
		{"https://mcp.example/mcp", `https://mcp.example/mcp/..%5cadmin`, false, false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/..;/admin", false, false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/%252e%252e/admin", false, false},
		{"https://mcp.example/mcp", "http://mcp.example/mcp", false, false},
		{"https://mcp.example/mcp", "https://mcp.example:8443/mcp", false, false},
		{"https://mcp.example/mcp", "https://mcp.example.evil.example/mcp", false, false},
		{"https://mcp.example/mcp", "https://evil.example/mcp", false, false},
		{"https://mcp.example/mcp", "https://mcp.example@evil.example/mcp", false, false},
		{"https://\u212Acp.example/mcp", "https://kcp.example/mcp", false, false},
		{"https://mcp.example/sse", "https://mcp.example/messages?session=1", true, true},
		{"https://mcp.example/sse", "https://evil.example/messages", true, false},
	} {
		a := holding(t, test.server, func(o *Options) {
			if test.sse {
				o.Server.Transport = config.SSE
			}
		})
		req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, test.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		sent := ""
		next := roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r.Header.Get("Authorization")
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})
		_, err = a.RoundTripper(who, next).RoundTrip(req)
		if got := sent == "Bearer t0ken"; got != test.goes || (err == nil) != test.goes {
			t.Errorf("%s → %s: sent %q, %v", test.server, test.to, sent, err)
		}
		if err != nil && strings.Contains(err.Error(), "t0ken") {
			t.Errorf("the token is in an error: %v", err)
		}
	}
}

// TestTokenOfAnyTransport: with a URL that does not say what is spoken there,
// the token stays below it until the server has opened an event stream, which
// names the address for messages.
func TestTokenOfAnyTransport(t *testing.T) {
	a := holding(t, "https://mcp.example/sse", func(o *Options) { o.Server.Transport = config.Auto })
	by := a.RoundTripper(who, roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: 202, Body: http.NoBody}, nil
	}))
	for _, step := range []struct {
		method, to string
		goes       bool
	}{
		{"POST", "https://mcp.example/sse", true},
		{"POST", "https://mcp.example/messages", false},
		{"GET", "https://mcp.example/other", false},
		{"GET", "https://mcp.example/sse", true},
		{"POST", "https://mcp.example/messages", true},
		{"POST", "https://evil.example/messages", false},
	} {
		req, err := http.NewRequestWithContext(testContext(t), step.method, step.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := by.RoundTrip(req); (err == nil) != step.goes {
			t.Errorf("%s %s: %v", step.method, step.to, err)
		}
	}
}

// TestRedirectWithToken: net/http asks the RoundTripper for the place that a
// server redirects to.
func TestRedirectWithToken(t *testing.T) {
	var seen []string
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Header.Get("Authorization")) }))
	defer evil.Close()
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, evil.URL+"/mcp", http.StatusTemporaryRedirect)
	}))
	defer home.Close()
	a := holding(t, home.URL+"/mcp", nil)
	by := &http.Client{Transport: a.RoundTripper(who, a.direct)}
	if resp, err := by.Post(home.URL+"/mcp", "application/json", strings.NewReader("{}")); err == nil {
		resp.Body.Close()
		t.Error("the redirect was followed")
	}
	if len(seen) != 0 {
		t.Errorf("the other server saw %q", seen)
	}
}

// TestSlashRedirect: from /mcp to /mcp/ the token comes along.
func TestSlashRedirect(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, SlashRedirect: true})
	a := granted(t, s, nil)
	by := &http.Client{Transport: a.RoundTripper(who, a.direct)}
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, s.MCP, strings.NewReader(initializeBody))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := by.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the server answers %d", resp.StatusCode)
	}
}

// TestRequestIsLeftAlone: the request belongs to who made it, and nothing that
// it says in Authorization gets past.
func TestRequestIsLeftAlone(t *testing.T) {
	a := holding(t, "https://mcp.example/mcp", nil)
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "https://mcp.example/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["authorization"] = []string{"Bearer other"}
	req.Header.Set("Authorization", "Bearer another")
	var sent http.Header
	next := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})
	if _, err := a.RoundTripper(who, next).RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	if got := req.Header.Get("Authorization"); got != "Bearer another" {
		t.Errorf("the request was changed to %q", got)
	}
	for name, values := range sent {
		if strings.EqualFold(name, "Authorization") && (len(values) != 1 || values[0] != "Bearer t0ken") {
			t.Errorf("%s: %q was sent", name, values)
		}
	}
}

// body tells whether it was closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error { b.closed = true; return nil }

// TestBodyIsClosed: as net/http asks of every RoundTripper, also when nothing
// is sent.
func TestBodyIsClosed(t *testing.T) {
	for name, to := range map[string]string{"no grant": "https://mcp.example/mcp", "elsewhere": "https://evil.example/"} {
		sent := &body{Reader: strings.NewReader("{}")}
		req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, to, sent)
		if err != nil {
			t.Fatal(err)
		}
		a := authorizer(t, "https://mcp.example/mcp", nil)
		if _, err := a.RoundTripper(who, a.direct).RoundTrip(req); err == nil || !sent.closed {
			t.Errorf("%s: %v; closed: %v", name, err, sent.closed)
		}
	}
}

// TestBodyIsSentAgain: whole, or the request is not repeated.
func TestBodyIsSentAgain(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	for _, again := range []bool{true, false} {
		a := granted(t, s, nil)
		s.Expire()
		req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, s.MCP, strings.NewReader("whole"))
		if err != nil {
			t.Fatal(err)
		}
		if !again {
			req.GetBody = nil
		}
		var bodies []string
		next := roundTripper(func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			bodies = append(bodies, string(b))
			if len(bodies) == 1 {
				return &http.Response{StatusCode: 401, Body: http.NoBody}, err
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody}, err
		})
		resp, err := a.RoundTripper(who, next).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "whole whole", false: "whole"}[again]
		if got := strings.Join(bodies, " "); got != want || (resp.StatusCode == 200) != again {
			t.Errorf("sent %q, answered %d", got, resp.StatusCode)
		}
	}
}

// TestRefusedWhateverComes: a server that will not have the new token either is
// asked twice, and the caller is sent to log in.
func TestRefusedWhateverComes(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	s.Set(func(o *oauthtest.Options) { o.NeverAccept = true })
	before := s.Requests("mcp")
	_, err := ask(t, a)
	needsLogin(t, err, true)
	if n := s.Requests("mcp") - before; n != 2 {
		t.Errorf("%d requests", n)
	}
	if status, err := a.Status(testContext(t), who); err != nil || status.Authenticated {
		t.Errorf("Status = %+v, %v", status, err)
	}
	s.Set(func(o *oauthtest.Options) { o.NeverAccept = false })
	works(t, a)
	if status, err := a.Status(testContext(t), who); err != nil || !status.Authenticated {
		t.Errorf("when it changed its mind, Status = %+v, %v", status, err)
	}
}

// TestRefusedAgainAndAgain: a server that refuses whatever comes costs the
// authorization server a refresh from time to time, and not one for each request.
func TestRefusedAgainAndAgain(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	s.Set(func(o *oauthtest.Options) { o.NeverAccept = true })
	for n := range 2 {
		for range 5 {
			_, err := ask(t, a)
			needsLogin(t, err, true)
		}
		if got := s.Requests("refresh"); got != n+1 {
			t.Errorf("%d refreshes", got)
		}
		h, ok := a.memory(who)
		if !ok {
			t.Fatal("nothing is in memory")
		}
		h.refusedAt = h.refusedAt.Add(-retry)
		a.grants.Store(who, h)
	}
}

// TestRefusedWithoutRefresh: without a refresh token there is nothing to try.
func TestRefusedWithoutRefresh(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, NoRefreshTokens: true})
	a := granted(t, s, nil)
	works(t, a)
	s.Set(func(o *oauthtest.Options) { o.NeverAccept = true })
	_, err := ask(t, a)
	needsLogin(t, err, true)
	if n := s.Requests("refresh"); n != 0 {
		t.Errorf("%d refreshes", n)
	}
	s.Set(func(o *oauthtest.Options) { o.NeverAccept = false })
	works(t, a)
}

// TestServerMoves: the token that one address got does not go to the next one
// that the configuration has under the same name.
func TestServerMoves(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), store.NewMemory()
	granted(t, s, func(o *Options) { o.Store = shared })
	next := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, next.MCP, func(o *Options) { o.Store = shared })
	before := next.Requests("mcp")
	_, err := ask(t, a)
	var required *LoginRequiredError
	if !errors.As(err, &required) || next.Requests("mcp") != before {
		t.Errorf("%v; %d requests", err, next.Requests("mcp")-before)
	}
	if had, err := a.Logout(testContext(t), who); !had || err != nil {
		t.Errorf("Logout = %v, %v", had, err)
	}
	noneActive(t, s)
	if err := logIn(t, a); err != nil {
		t.Fatal(err)
	}
	works(t, a)
}

// TestNoTokenInURLs: nor in what a browser is sent to.
func TestNoTokenInURLs(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	b := begun(t, a)
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range s.Tokens() {
		if strings.Contains(u.RawQuery, token) {
			t.Errorf("%s is in %s", token, b.URL)
		}
	}
	if u.Query().Has("code_verifier") || u.Query().Has("client_secret") {
		t.Errorf("a secret is in %s", b.URL)
	}
}

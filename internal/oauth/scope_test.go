package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/oauthtest"
)

// TestScopes that are asked for: the configuration's, else the challenge's,
// else the metadata's, else none.
func TestScopes(t *testing.T) {
	for name, test := range map[string]struct {
		o          oauthtest.Options
		configured []string
		want       string
		consent    bool // prompt=consent
	}{
		"configured":                 {o: oauthtest.Options{ChallengeScope: "mcp"}, configured: []string{"admin"}, want: "admin"},
		"configured to be none":      {o: oauthtest.Options{ChallengeScope: "mcp"}, configured: []string{}, want: ""},
		"of the challenge":           {o: oauthtest.Options{ChallengeScope: "admin mcp"}, want: "admin mcp"},
		"of the metadata":            {want: "mcp"},
		"none":                       {o: oauthtest.Options{Resource: map[string]any{"scopes_supported": nil}}, want: ""},
		"an empty list":              {o: oauthtest.Options{Resource: map[string]any{"scopes_supported": []string{}}}, want: ""},
		"offline":                    {o: oauthtest.Options{OfflineAccess: true}, want: "mcp offline_access", consent: true},
		"offline, challenge":         {o: oauthtest.Options{OfflineAccess: true, ChallengeScope: "admin"}, want: "admin offline_access", consent: true},
		"offline, not configured":    {o: oauthtest.Options{OfflineAccess: true}, configured: []string{"mcp"}, want: "mcp"},
		"offline, configured":        {o: oauthtest.Options{OfflineAccess: true}, configured: []string{"mcp", "offline_access"}, want: "mcp offline_access", consent: true},
		"offline, named by resource": {o: oauthtest.Options{OfflineAccess: true, ChallengeScope: "offline_access mcp"}, want: "offline_access mcp", consent: true},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.AutoApprove = true
			s := oauthtest.Start(t, test.o)
			a := granted(t, s, func(o *Options) { o.Server.OAuth.Scopes = test.configured })
			asked := s.LastForm("authorize")
			if asked.Get("scope") != test.want || asked.Has("scope") != (test.want != "") {
				t.Errorf("asked for %q", asked["scope"])
			}
			if got := asked.Get("prompt") == "consent"; got != test.consent {
				t.Errorf("prompt is %q", asked.Get("prompt"))
			}
			if got := storedGrant(t, a).RefreshToken != ""; got != (!test.o.OfflineAccess || test.consent) {
				t.Errorf("there is a refresh token: %v", got)
			}
		})
	}
}

// TestAuthorizeParams go along, and do not get in the way.
func TestAuthorizeParams(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, RefreshWith: "access_type=offline", OfflineAccess: true})
	a := granted(t, s, func(o *Options) {
		o.Server.OAuth.AuthorizeParams = map[string]string{"access_type": "offline", "prompt": "login", "state": "x", "client_id": "x", "redirect_uri": "https://evil.example",
			"code_challenge": "x", "code_challenge_method": "plain", "response_type": "token", "resource": "https://evil.example"}
	})
	if prompt := s.LastForm("authorize").Get("prompt"); prompt != "login" || storedGrant(t, a).RefreshToken == "" {
		t.Errorf("prompt is %q", prompt)
	}
}

// TestEndpointWithQuery keeps it (RFC 6749 §3.1).
func TestEndpointWithQuery(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	with := map[string]any{"authorization_endpoint": s.Endpoint("authorize") + "?tenant=a%26b&state=mine&x=", "token_endpoint": s.Endpoint("token") + "?p=1"}
	s.Set(func(o *oauthtest.Options) { o.Override = with })
	granted(t, s, nil)
	form := s.LastForm("authorize")
	if form.Get("tenant") != "a&b" || !form.Has("x") || len(form["state"]) != 1 {
		t.Errorf("asked with %v", form)
	}
}

// TestResourceParameter is the same in all requests for tokens.
func TestResourceParameter(t *testing.T) {
	for configured, want := range map[string]string{"auto": "MCP", "": "MCP", "off": "", "api://notes": "api://notes"} {
		s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, OptionalResource: true})
		if want == "MCP" {
			want = s.MCP
		}
		a := authorizer(t, s.MCP, func(o *Options) { o.Server.OAuth.Resource = configured })
		b := begun(t, a)
		u, err := url.Parse(b.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Query()["resource"]; strings.Join(got, " ") != want {
			t.Errorf("%q: authorization asks for %q", configured, got)
		}
		if configured == "api://notes" {
			continue // the server in this test knows but one
		}
		if _, err := a.Finish(testContext(t), browsed(t, b.URL, oauthtest.BrowseOptions{}), ""); err != nil {
			t.Fatal(err)
		}
		s.Expire()
		works(t, a)
		for _, endpoint := range []string{"token", "refresh"} {
			if got := s.LastForm(endpoint)["resource"]; strings.Join(got, " ") != want {
				t.Errorf("%q: %s asks for %q", configured, endpoint, got)
			}
		}
	}
}

// TestResourceWithoutMetadata is the server's address, without what does not
// belong there.
func TestResourceWithoutMetadata(t *testing.T) {
	for address, want := range map[string]string{
		"https://MCP.example/Path/": "https://mcp.example/Path/", "https://mcp.example/mcp#x": "https://mcp.example/mcp", "https://mcp.example": "https://mcp.example",
		"https://a:b@mcp.example/mcp": "https://mcp.example/mcp", "https://mcp.example:8443/mcp?tenant=1": "https://mcp.example:8443/mcp?tenant=1",
	} {
		if got := authorizer(t, address, nil).resourceIndicator(nil); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}

// callAdmin calls the tool that wants a scope of its own.
func callAdmin(t testing.TB, s *oauthtest.Server, a *Authorizer) int {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, s.MCP, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := a.RoundTripper(who, a.direct).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestStepUp: a server that wants more gets a login that asks for all of it.
func TestStepUp(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	if a.MoreScopes(who) {
		t.Error("nothing was refused yet")
	}
	if status := callAdmin(t, s, a); status != http.StatusForbidden || !a.MoreScopes(who) {
		t.Fatalf("the server answers %d; more scopes: %v", status, a.MoreScopes(who))
	}
	before := s.Requests("token")
	b := begun(t, a)
	if n := s.Requests("token") - before; n != 0 {
		t.Error("whether the registration is known was asked, though it is in use")
	}
	if _, err := a.Finish(testContext(t), browsed(t, b.URL, oauthtest.BrowseOptions{}), ""); err != nil {
		t.Fatal(err)
	}
	if scope := s.LastForm("authorize").Get("scope"); scope != "mcp admin" {
		t.Errorf("asked for %q", scope)
	}
	if status := callAdmin(t, s, a); status == http.StatusForbidden {
		t.Error("it is still refused")
	}
	if a.MoreScopes(somebody("bob")) {
		t.Error("somebody else is sent to log in")
	}
}

// TestStepUpEnds after three logins that were of no use. Renewals are none.
func TestStepUpEnds(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, NeverEnough: true})
	a := granted(t, s, nil)
	callAdmin(t, s, a)
	for range 5 {
		s.Expire()
		works(t, a)
		callAdmin(t, s, a)
	}
	for i := range 3 {
		if !a.MoreScopes(who) {
			t.Fatalf("after %d logins there is no other", i)
		}
		if err := logIn(t, a); err != nil {
			t.Fatal(err)
		}
		callAdmin(t, s, a)
	}
	if a.MoreScopes(who) {
		t.Error("there is a fourth login")
	}
}

// TestStepUpAfterStepUp: what helped does not count against what is wanted
// next.
func TestStepUpAfterStepUp(t *testing.T) {
	a := authorizer(t, "https://mcp.example/mcp", nil)
	g := &grant{Scopes: []string{"mcp"}}
	for _, scope := range []string{"a", "b", "c", "d", "e"} {
		a.notEnough(who, []string{scope}, g)
		if !a.MoreScopes(who) {
			t.Fatalf("no login for %s", scope)
		}
		asked := a.scopesFor(&Discovered{Metadata: &Metadata{}}, who)
		if !includes(asked, g.Scopes) || !includes(asked, []string{scope}) {
			t.Errorf("%s: asked for %v", scope, asked)
		}
		a.mu.Lock()
		a.tried(who)
		a.mu.Unlock()
		g = &grant{Scopes: asked}
	}
	if diff := cmp.Diff([]string{"mcp", "a", "b", "c", "d", "e"}, g.Scopes); diff != "" {
		t.Error(diff)
	}
	for range stepUpMax { // each time another scope, which is never given
		a.notEnough(who, []string{random()}, g)
		a.mu.Lock()
		a.tried(who)
		a.mu.Unlock()
	}
	a.notEnough(who, []string{"z"}, g)
	if a.MoreScopes(who) {
		t.Error("there is no end of logins")
	}
}

// TestConfiguredScopesAndStepUp: what is configured is not all, then.
func TestConfiguredScopesAndStepUp(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, func(o *Options) { o.Server.OAuth.Scopes = []string{"mcp"} })
	callAdmin(t, s, a)
	begun := begun(t, a)
	u, err := url.Parse(begun.URL)
	if err != nil {
		t.Fatal(err)
	}
	if scope := u.Query().Get("scope"); scope != "mcp admin" {
		t.Errorf("asked for %q", scope)
	}
}

// TestScopesHaveBounds: whatever a server asks for, what is remembered and sent
// of it stays small, and has what was wanted last.
func TestScopesHaveBounds(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	g := storedGrant(t, a)
	long := strings.Repeat("x", scopeMax+1)
	for n := range 10 {
		wanted := []string{long}
		for i := range 300 {
			wanted = append(wanted, fmt.Sprintf("s%d.%d", n, i))
		}
		c, ok := ParseChallenge(http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope", scope="` + strings.Join(wanted, " ") + `"`}})
		if !ok {
			t.Fatal("the challenge cannot be read")
		}
		if diff := cmp.Diff(wanted[1:scopesMax+1], c.Scopes); diff != "" {
			t.Errorf("read of the challenge (-want +got):\n%s", diff)
		}
		a.notEnough(who, []string{fmt.Sprintf("t%d", n)}, g)
		a.notEnough(who, c.Scopes, g)
		a.notEnough(who, []string{fmt.Sprintf("u%d", n)}, g)
		if w := a.wants[who].scopes; len(w) > scopesMax || w[len(w)-1] != fmt.Sprintf("u%d", n) {
			t.Errorf("%d scopes are remembered: %v", len(w), w)
		}
	}
	s.Set(func(o *oauthtest.Options) {
		o.Resource = map[string]any{"scopes_supported": strings.Fields(strings.Repeat("more ", 10000))}
	})
	u, err := url.Parse(begun(t, a).URL)
	if err != nil {
		t.Fatal(err)
	}
	if asked := strings.Fields(u.Query().Get("scope")); len(asked) > scopesMax || asked[len(asked)-1] != "u9" {
		t.Errorf("asked for %d scopes: %v", len(asked), asked)
	}
}

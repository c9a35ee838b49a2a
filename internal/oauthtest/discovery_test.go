package oauthtest_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
)

const (
	prm  = "/.well-known/oauth-protected-resource"
	as   = "/.well-known/oauth-authorization-server"
	oidc = "/.well-known/openid-configuration"
)

func TestChallenges(t *testing.T) {
	for name, c := range map[string]struct {
		o    oauthtest.Options
		want []string // with $ for the MCP server's origin
	}{
		"usual":       {oauthtest.Options{}, []string{`Bearer resource_metadata="$` + prm + `/mcp"`}},
		"none":        {oauthtest.Options{NoChallenge: true}, nil},
		"bare":        {oauthtest.Options{BareChallenge: true}, []string{"Bearer"}},
		"no metadata": {oauthtest.Options{NoResourceMetadata: true}, []string{"Bearer"}},
		"at the root": {oauthtest.Options{ResourceAtRoot: true}, []string{"Bearer"}},
		"scope":       {oauthtest.Options{BareChallenge: true, ChallengeScope: "a b"}, []string{`Bearer scope="a b"`}},
		"elsewhere":   {oauthtest.Options{ChallengeMetadata: "http://10.0.0.1/"}, []string{`Bearer resource_metadata="http://10.0.0.1/"`}},
		"one more":    {oauthtest.Options{BareChallenge: true, OtherChallenge: `Basic realm="x"`}, []string{`Basic realm="x"`, "Bearer"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, c.o)
			r := p.knock("", hello)
			want := strings.ReplaceAll(strings.Join(c.want, "|"), "$", strings.TrimSuffix(p.s.MCP, "/mcp"))
			if got := strings.Join(r.header.Values("WWW-Authenticate"), "|"); got != want || r.status != http.StatusUnauthorized {
				t.Errorf("answered %d with %s, not with %s", r.status, got, want)
			}
		})
	}
}

func TestWhereMetadataLies(t *testing.T) {
	for name, c := range map[string]struct {
		o     oauthtest.Options
		found string // the only paths that answer 200 with JSON, with commas
	}{
		"usual":         {oauthtest.Options{}, prm + "/mcp," + as + "/t"},
		"root":          {oauthtest.Options{ResourceAtRoot: true}, prm + "," + as + "/t"},
		"no resource":   {oauthtest.Options{NoResourceMetadata: true}, as + "/t"},
		"oidc inserted": {oauthtest.Options{Metadata: oauthtest.OIDCInserted}, prm + "/mcp," + oidc + "/t"},
		"oidc appended": {oauthtest.Options{Metadata: oauthtest.OIDCAppended}, prm + "/mcp,/t" + oidc},
		"pages":         {oauthtest.Options{Metadata: oauthtest.OIDCAppended, HTMLForUnknown: true}, prm + "/mcp,/t" + oidc},
		"nowhere":       {oauthtest.Options{Metadata: oauthtest.Nowhere}, prm + "/mcp"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.IssuerPath = "/t"
			p := visit(t, c.o)
			var found []string
			for _, path := range []string{prm + "/mcp", prm, as + "/t", oidc + "/t", "/t" + oidc, as, oidc} {
				r := p.get(strings.TrimSuffix(p.s.MCP, "/mcp") + path)
				if r.status == http.StatusOK && r.json != nil {
					found = append(found, path)
				} else if isPage := r.status == http.StatusOK && strings.Contains(r.body, "<"); isPage != c.o.HTMLForUnknown {
					t.Errorf("%s answers %d: %s", path, r.status, r.body)
				}
			}
			if got := strings.Join(found, ","); got != c.found {
				t.Errorf("found %s, not %s", got, c.found)
			}
		})
	}
}

func TestWhatMetadataSays(t *testing.T) {
	for name, c := range map[string]struct {
		o    oauthtest.Options
		want string // part of the document, or with ! before it, no part
	}{
		"S256":            {oauthtest.Options{}, `"code_challenge_methods_supported":["S256"]`},
		"no S256":         {oauthtest.Options{PKCEMethods: []string{"plain"}}, `"code_challenge_methods_supported":["plain"]`},
		"no PKCE":         {oauthtest.Options{PKCEMethods: []string{}}, `!code_challenge_methods_supported`},
		"no registration": {oauthtest.Options{NoRegistration: true}, `!registration_endpoint`},
		"no revocation":   {oauthtest.Options{NoRevocation: true}, `!revocation_endpoint`},
		"slash":           {oauthtest.Options{IssuerSlash: true}, `/","registration_endpoint"`},
		"iss":             {oauthtest.Options{}, `"authorization_response_iss_parameter_supported":true`},
		"no iss":          {oauthtest.Options{Iss: oauthtest.IssNone}, `!authorization_response_iss`},
		"documents":       {oauthtest.Options{ClientDocuments: true}, `"client_id_metadata_document_supported":true`},
		"offline":         {oauthtest.Options{OfflineAccess: true}, `"scopes_supported":["mcp","admin","offline_access"]`},
		"overridden":      {oauthtest.Options{Override: map[string]any{"issuer": "x", "token_endpoint": nil}}, `"issuer":"x"`},
		"removed":         {oauthtest.Options{Override: map[string]any{"token_endpoint": nil}}, `!token_endpoint"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, c.o)
			r := p.get(p.s.Issuer + as)
			text, absent := strings.CutPrefix(c.want, "!")
			if r.json == nil || strings.Contains(r.body, text) == absent {
				t.Errorf("answered %s", r.body)
			}
		})
	}
}

func TestResourceMetadataCanLie(t *testing.T) {
	p := visit(t, oauthtest.Options{Resource: map[string]any{"resource": "https://other.example/mcp"}})
	if r := p.get(p.s.Issuer + prm + "/mcp"); r.text("resource") != "https://other.example/mcp" {
		t.Errorf("answered %s", r.body)
	}
}

func TestEndpointsMove(t *testing.T) {
	for name, to := range map[string]oauthtest.Redirect{"same": oauthtest.SameOrigin, "cross": oauthtest.CrossOrigin} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, oauthtest.Options{Redirects: map[string]oauthtest.Redirect{"metadata": to, "mcp": to}})
			r := p.get(p.s.Issuer + as)
			location := r.header.Get("Location")
			if r.status != http.StatusTemporaryRedirect || strings.HasPrefix(location, p.s.Other) != (to == oauthtest.CrossOrigin) {
				t.Fatalf("answered %d to %s", r.status, location)
			}
			if followed := p.get(location); followed.text("issuer") != p.s.Issuer || p.s.Requests("moved") != 1 {
				t.Errorf("there: %d %s", followed.status, followed.body)
			}
			moved := p.do(http.MethodPost, p.knock("", hello).header.Get("Location"), "application/json", hello)
			if moved.status != http.StatusUnauthorized {
				t.Errorf("the MCP endpoint that moved answered %d", moved.status)
			}
		})
	}
}

func TestAnswersCanBeReplaced(t *testing.T) {
	p := visit(t, oauthtest.Options{Instead: map[string]oauthtest.Answer{
		"metadata": {Status: http.StatusServiceUnavailable, Body: "{", Pad: 1 << 20, Times: 2, Header: http.Header{"Retry-After": {"1"}}}}})
	for range 2 {
		r := p.get(p.s.Issuer + as)
		if r.status != http.StatusServiceUnavailable || len(r.body) != 1+1<<20 || r.header.Get("Retry-After") != "1" {
			t.Errorf("answered %d with %d bytes", r.status, len(r.body))
		}
	}
	if r := p.get(p.s.Issuer + as); r.status != http.StatusOK {
		t.Errorf("the third answer is %d", r.status)
	}
	p.s.Set(func(o *oauthtest.Options) { o.Instead["metadata"] = oauthtest.Answer{Status: http.StatusTeapot} })
	if r := p.get(p.s.Issuer + as); r.status != http.StatusTeapot {
		t.Errorf("after Set it answers %d", r.status)
	}
}

// TestBehindProxies: the origins are those of proxies in between, one for each.
func TestBehindProxies(t *testing.T) {
	to := [2]*url.URL{{Scheme: "http"}, {Scheme: "http"}} // hosts to be told
	var public [2]string
	for i := range to {
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to[i]) }})
		t.Cleanup(proxy.Close)
		public[i] = proxy.URL
	}
	p := visit(t, oauthtest.Options{SeparateOrigin: true, Public: public[0], PublicOther: public[1], AutoApprove: true})
	to[0].Host, to[1].Host = p.s.Addr, p.s.OtherAddr
	if p.s.MCP != public[0]+"/mcp" || p.s.Issuer != public[1] {
		t.Fatalf("the server is at %s, its issuer at %s", p.s.MCP, p.s.Issuer)
	}
	session, err := p.connect(p.login(oauthtest.BrowseOptions{}).text("access_token"), false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := call(testContext(t), session, "whoami", nil); err != nil || got != "alice" {
		t.Errorf("the call through the proxy: %q, %v", got, err)
	}
}

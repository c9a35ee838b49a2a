package oauth

import (
	"log/slog"
	"strings"
	"testing"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestMissingPKCE: who does not say that it knows S256 is refused, unless the
// operator lets it pass, which is logged. S256 is sent all the same
// (threats 8).
func TestMissingPKCE(t *testing.T) {
	for name, methods := range map[string][]string{"none told": {}, "plain": {"plain"}, "lower case": {"s256"}} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, PKCEMethods: methods})
			_, err := authorizer(t, s.MCP, nil).Begin(testContext(t), who, "")
			refusedFor(t, err, "allow_missing_pkce")
			if n := s.Requests("register"); n != 0 {
				t.Errorf("%d registrations", n)
			}
			var log strings.Builder
			granted(t, s, func(o *Options) {
				o.Server.OAuth.AllowMissingPKCE = true
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "allow_missing_pkce") {
				t.Errorf("the log says %q", log.String())
			}
			if s.LastForm("authorize").Get("code_challenge_method") != "S256" || len(s.LastForm("token").Get("code_verifier")) != 43 {
				t.Error("S256 was not used")
			}
		})
	}
}

// TestResourceMismatch: metadata of another resource is not this server's
// (threats 9).
func TestResourceMismatch(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	for name, resource := range map[string]any{
		"another host":     "https://mcp.example/mcp",
		"another port":     s.Other + "/mcp",
		"another scheme":   strings.Replace(s.MCP, "http://", "https://", 1),
		"another path":     s.MCP + "2",
		"beside":           strings.TrimSuffix(s.MCP, "/mcp") + "/mc",
		"below":            s.MCP + "/deeper",
		"another case":     strings.TrimSuffix(s.MCP, "/mcp") + "/MCP",
		"with a query":     s.MCP + "?x=1",
		"with a fragment":  s.MCP + "#x",
		"two slashes":      s.MCP + "//",
		"with a name":      strings.Replace(s.MCP, "http://", "http://a@", 1),
		"above, a query":   strings.TrimSuffix(s.MCP, "/mcp") + "/?x=1",
		"above, a name":    strings.Replace(strings.TrimSuffix(s.MCP, "/mcp"), "http://", "http://a@", 1),
		"empty":            "",
		"no text":          7,
		"no scheme":        strings.TrimPrefix(s.MCP, "http:") + "/a://b",
		"a list":           []string{s.MCP},
		"prefix of a host": strings.TrimSuffix(s.MCP, "/mcp")[:len(s.MCP)-5],
	} {
		t.Run(name, func(t *testing.T) {
			s.Set(func(o *oauthtest.Options) { o.Resource = map[string]any{"resource": resource} })
			_, err := authorizer(t, s.MCP, nil).Begin(testContext(t), who, "")
			refusedFor(t, err, "not for this server")
		})
	}
	if n := s.Requests("metadata") + s.Requests("register"); n != 0 {
		t.Errorf("%d requests to authorization servers", n)
	}
}

// TestResourceAccepted: a slash at the end, letters of the host and an address
// above on the same origin are the same party. What the metadata writes is what
// is asked for.
func TestResourceAccepted(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{Host: "localhost"})
	origin := strings.TrimSuffix(s.MCP, "/mcp")
	for _, resource := range []string{s.MCP, s.MCP + "/", strings.Replace(s.MCP, "localhost", "LocalHost", 1), origin, origin + "/"} {
		s.Set(func(o *oauthtest.Options) { o.Resource = map[string]any{"resource": resource} })
		d, err := authorizer(t, s.MCP, nil).Discover(testContext(t))
		if err != nil || d.Indicator != resource {
			t.Errorf("%s: %+v, %v", resource, d, err)
		}
	}
}

// TestConfiguredResource: a configured resource (such as api://…) is what is
// asked for, beside metadata that names the server's own address, or itself.
func TestConfiguredResource(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	configured := func(o *Options) { o.Server.OAuth.Resource = "api://notes" }
	for _, resource := range []string{s.MCP, "api://notes"} {
		s.Set(func(o *oauthtest.Options) { o.Resource = map[string]any{"resource": resource} })
		d, err := authorizer(t, s.MCP, configured).Discover(testContext(t))
		if err != nil || d.Indicator != "api://notes" {
			t.Errorf("%s: %+v, %v", resource, d, err)
		}
	}
	s.Set(func(o *oauthtest.Options) { o.Resource = map[string]any{"resource": "api://others"} })
	_, err := authorizer(t, s.MCP, configured).Discover(testContext(t))
	refusedFor(t, err, "not for this server")
}

// TestIssuerMismatch: metadata of another issuer is refused (threats 9).
func TestIssuerMismatch(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{IssuerPath: "/tenant"})
	for name, issuer := range map[string]any{
		"another": "https://auth.example/tenant", "another path": s.Issuer + "2", "the origin": strings.TrimSuffix(s.Issuer, "/tenant"),
		"none": nil, "empty": "", "no text": 1, "two slashes": s.Issuer + "//", "a query": s.Issuer + "?a", "no scheme": "//127.0.0.1/a://b",
		"long": "https://" + strings.Repeat("a", 100000),
	} {
		t.Run(name, func(t *testing.T) {
			s.Set(func(o *oauthtest.Options) { o.Override = map[string]any{"issuer": issuer} })
			_, err := authorizer(t, s.MCP, nil).Begin(testContext(t), who, "")
			refusedFor(t, err, "names the issuer")
		})
	}
	if n := s.Requests("register"); n != 0 {
		t.Errorf("%d registrations", n)
	}
}

// TestIssuerSlash: the metadata's spelling counts from there on, in the
// callback too.
func TestIssuerSlash(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, IssuerSlash: true})
	a := granted(t, s, nil)
	if g := storedGrant(t, a); g.Issuer != s.Issuer+"/" {
		t.Errorf("the issuer is %q", g.Issuer)
	}
	s.Expire()
	works(t, a)
}

// TestNewIssuer: a server that moves to another authorization server gets
// nothing there that the old one gave: neither the registration nor a token
// (threats 9).
func TestNewIssuer(t *testing.T) {
	old := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthMethod: "client_secret_post"})
	a := granted(t, old, nil)
	secret := storedGrant(t, a).Registration.Secret
	refreshes := old.Requests("refresh")
	next := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, OptionalResource: true})
	old.Set(func(o *oauthtest.Options) {
		o.Resource = map[string]any{"authorization_servers": []string{next.Issuer}}
	})

	old.Expire()
	works(t, a)
	if old.Requests("refresh") != refreshes+1 || next.Requests("refresh") != 0 {
		t.Error("the old grant was not renewed at its own authorization server")
	}
	b := begun(t, a)
	if next.Requests("register") != 1 || next.Requests("token") != 0 || !strings.HasPrefix(b.URL, next.Issuer) {
		t.Errorf("%d registrations, %d token requests at the new one; the browser goes to %s", next.Requests("register"), next.Requests("token"), b.URL)
	}
	if sent := next.LastBody("register") + b.URL; secret == "" || strings.Contains(sent, secret) {
		t.Errorf("the secret %q was sent", secret)
	}
}

// TestSecretStaysAtItsIssuer: what the operator got at one authorization server
// does not go to another one that the MCP server names.
func TestSecretStaysAtItsIssuer(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, SeparateOrigin: true, Clients: []oauthtest.Client{{ID: "mine", Secret: "hidden"}}})
	byHand := func(serverURL string) func(*Options) {
		return func(o *Options) {
			o.Server.OAuth.ServerURL = serverURL
			o.Server.OAuth.ClientMetadata = &config.ClientMetadata{ClientID: "mine", ClientSecret: "hidden"}
		}
	}
	a := authorizer(t, s.MCP, byHand("https://auth.example/tenant"))
	_, err := a.Begin(testContext(t), who, "")
	refusedFor(t, err, "server_url")
	if n := kept(t, a, store.Logins); n != 0 {
		t.Errorf("%d logins", n)
	}
	for name, serverURL := range map[string]string{"the issuer": s.Issuer, "its origin": s.Issuer + "/", "any": "auto", "the MCP server": s.MCP} {
		if err := logIn(t, authorizer(t, s.MCP, byHand(serverURL))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMetadataIsReadAgain: after a failure, the endpoints may be elsewhere.
func TestMetadataIsReadAgain(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Override: map[string]any{"token_endpoint": "http://127.0.0.1:1/token"}})
	a := authorizer(t, s.MCP, nil)
	if err := logIn(t, a); err == nil {
		t.Fatal("nobody is at the token endpoint")
	}
	s.Set(func(o *oauthtest.Options) { o.Override = nil })
	if err := logIn(t, a); err != nil {
		t.Error(err)
	}
	before := s.Requests("metadata")
	if err := logIn(t, a); err != nil || s.Requests("metadata") != before {
		t.Errorf("%v; it was read again without need", err)
	}
}

// TestIssuerBelowBase: where only an address is known at which to look, the
// issuer is whom the metadata there names, at that address or below it.
func TestIssuerBelowBase(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, NoResourceMetadata: true, Iss: oauthtest.IssNone})
	for issuer, good := range map[string]bool{
		s.Issuer: true, s.Issuer + "/tenant": true, s.Issuer + "/a/b/": true,
		s.Other: false, "https://auth.example": false, s.Issuer + "/../x": false, s.Issuer + "x": false, "": false,
	} {
		s.Set(func(o *oauthtest.Options) { o.Override = map[string]any{"issuer": issuer} })
		a := authorizer(t, s.MCP, nil)
		if err := logIn(t, a); (err == nil) != good {
			t.Errorf("%s: %v", issuer, err)
		}
		if !good {
			continue
		}
		if g := storedGrant(t, a); g.Issuer != issuer {
			t.Errorf("the grant is of %q", g.Issuer)
		}
		s.Expire()
		a.forget()
		works(t, a)
	}
}

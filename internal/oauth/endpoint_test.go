package oauth

import (
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// hostile are addresses that go neither to a browser nor into a request.
func hostile() map[string]string {
	return map[string]string{
		"javascript":        "javascript:alert(1)",
		"javascript host":   "javascript://auth.example/%0aalert(1)",
		"data":              "data:text/html,<script>alert(1)</script>",
		"file":              "file:///etc/passwd",
		"file with a host":  "file://auth.example/authorize",
		"custom scheme":     "ms-settings://auth.example/x",
		"capital scheme":    "JAVASCRIPT://auth.example/x",
		"name and password": "https://alice:secret@auth.example/authorize",
		"name":              "https://auth.example@evil.example/authorize",
		"line break":        "https://auth.example/authorize\r\nX: y",
		"escaped as host":   "https://auth.example%0d%0a/authorize",
		"newline first":     "\nhttps://auth.example/authorize",
		"null byte":         "https://auth.example/\x00",
		"blank":             "https://auth.example/a b",
		"option":            "-https://auth.example/authorize",
		"long option":       "--gpu-launcher=calc",
		"command":           "$(calc.exe)",
		"10 kB":             "https://auth.example/" + strings.Repeat("a", 10<<10),
		"http":              "http://auth.example/authorize",
		"http private":      "http://192.168.1.1/authorize",
		"backslash":         `https://auth.example\@evil.example/`,
		"no scheme":         "//auth.example/authorize",
		"no host":           "https:///authorize",
		"port alone":        "https://:443/authorize",
		"path":              "/authorize",
		"opaque":            "https:auth.example/authorize",
		"fragment":          "https://auth.example/authorize#x",
		"empty fragment":    "https://auth.example/authorize#",
		"right to left":     "https://auth.example/\u202Eezirohtua",
		"not localhost":     "http://localhost.example/authorize",
		"not 127.0.0.1":     "http://127.0.0.1.example/authorize",
		"quoted":            `https://auth.example/"><script>`,
		"quoted host":       `https://auth"example/`,
		"command as host":   "https://$(calc)/",
		"ampersand as host": "https://auth.example&calc/",
		"template":          "https://auth.example/{tenant}/authorize",
		"bad port":          "https://auth.example:port/",
		"empty":             " ",
	}
}

// TestHostileAuthorizationEndpoint: none is given to who opens a browser, and
// nothing is registered or stored for it (threats 1).
func TestHostileAuthorizationEndpoint(t *testing.T) {
	for name, address := range hostile() {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{Override: map[string]any{"authorization_endpoint": address}})
			a := authorizer(t, s.MCP, nil)
			b, err := a.Begin(testContext(t), who, "")
			refusedFor(t, err, "authorization_endpoint")
			if b != nil || s.Requests("register") != 0 || kept(t, a, store.Logins) != 0 {
				t.Errorf("Begin = %v; %d registrations, %d logins", b, s.Requests("register"), kept(t, a, store.Logins))
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestOtherEndpoints: the rest is held to the same rules, wherever it is named
// (threats 1).
func TestOtherEndpoints(t *testing.T) {
	for what, o := range map[string]oauthtest.Options{
		"token_endpoint":        {Override: map[string]any{"token_endpoint": "http://auth.example/token"}},
		"registration_endpoint": {Override: map[string]any{"registration_endpoint": "https://a:b@auth.example/register"}},
		"revocation_endpoint":   {Override: map[string]any{"revocation_endpoint": "file:///dev/null"}},
		"issuer":                {Resource: map[string]any{"authorization_servers": []string{"http://auth.example"}}},
		"resource metadata":     {ChallengeMetadata: "gopher://auth.example/"},
		"no token_endpoint":     {Override: map[string]any{"token_endpoint": nil}},
	} {
		t.Run(what, func(t *testing.T) {
			s := oauthtest.Start(t, o)
			_, err := authorizer(t, s.MCP, nil).Begin(testContext(t), who, "")
			refusedFor(t, err, what)
		})
	}
}

// TestConfiguredEndpoints: static ones are looked at too (threats 1).
func TestConfiguredEndpoints(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{NoResourceMetadata: true, Metadata: oauthtest.Nowhere})
	a := authorizer(t, s.MCP, func(o *Options) {
		o.Server.OAuth.ClientMetadata = clientMetadata()
		o.Server.OAuth.ClientMetadata.AuthorizationEndpoint = "javascript:alert(1)"
	})
	_, err := a.Begin(testContext(t), who, "")
	refusedFor(t, err, "authorization_endpoint")
}

func TestGoodEndpoints(t *testing.T) {
	g := authorizer(t, "https://mcp.example/mcp", func(o *Options) {
		o.Server.OAuth.AllowHosts = []string{"auth.lan", "10.0.0.0/8", "192.168.1.1"}
	}).guard
	for _, address := range []string{
		"https://auth.example/authorize", "https://auth.example:8443/a/b?tenant=1&x=%0a", "HTTPS://AUTH.example", "https://[2001:db8::1]/a",
		"http://localhost/authorize", "http://127.0.0.1:9000/", "http://[::1]:9000/", "http://localhost.:1/", "http://app.localhost/", "http://127.8.8.8/",
		"http://auth.lan/authorize", "http://AUTH.lan/", "http://10.1.2.3/", "http://192.168.1.1:80/",
	} {
		if _, err := g.checkEndpoint("endpoint", address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"http://auth.lan.example/", "http://11.0.0.1/", "http://192.168.1.2/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/"} {
		if _, err := g.checkEndpoint("endpoint", address); err == nil {
			t.Errorf("%s is let through", address)
		}
	}
}

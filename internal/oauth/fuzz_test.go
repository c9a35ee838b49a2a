package oauth

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/oauthtest"
)

// TestParseChallenge in the ways that servers write it.
func TestParseChallenge(t *testing.T) {
	const at = "https://mcp.example/.well-known/oauth-protected-resource"
	for header, want := range map[string]*Challenge{
		`Bearer`:                                {},
		`bearer realm=x`:                        {},
		`Bearer resource_metadata="` + at + `"`: {ResourceMetadata: at},
		`Bearer resource_metadata=` + at:        {ResourceMetadata: at},
		`Bearer realm="a, b=\"c\"", resource_metadata = "` + at + `",scope="a  b"`: {ResourceMetadata: at, Scopes: []string{"a", "b"}},
		`BEARER Error="insufficient_scope", SCOPE="a"`:                             {Error: "insufficient_scope", Scopes: []string{"a"}},
		`Basic realm="Bearer error=x", Bearer error="invalid_token"`:               {Error: "invalid_token"},
		`Negotiate YWJj==, Bearer scope=a`:                                         {Scopes: []string{"a"}},
		`Negotiate, Bearer scope=a, Digest scope=b`:                                {Scopes: []string{"a"}},
		`Bearer scope="a", Bearer scope="b"`:                                       {Scopes: []string{"a"}},
		`Bearer scope="a", scope="b"`:                                              {Scopes: []string{"a"}},
		`Bearer error="unfinished`:                                                 {Error: "unfinished"},
		`,, ,Bearer error=x`:                                                       {Error: "x"},
		`Basic realm="x"`:                                                          nil,
		`Bearerx scope=a`:                                                          nil,
		``:                                                                         nil,
		`"Bearer" scope=a`:                                                         {Scopes: []string{"a"}},
		`Bearer scope="` + strings.Repeat("a", 9<<10) + `"`:                        nil,
		`DPoP algs="ES256", Bearer error="invalid_token", error_description="say \"Basic x=\"`: {Error: "invalid_token"},
	} {
		c, ok := ParseChallenge(http.Header{"Www-Authenticate": {header}})
		if ok != (want != nil) {
			t.Errorf("%.60s: found: %v", header, ok)
			continue
		}
		if want == nil {
			want = &Challenge{}
		}
		if diff := cmp.Diff(strings.Join(want.Scopes, " "), strings.Join(c.Scopes, " ")); diff != "" || c.Error != want.Error || c.ResourceMetadata != want.ResourceMetadata {
			t.Errorf("%.60s: %+v", header, c)
		}
	}
	c, ok := ParseChallenge(http.Header{"Www-Authenticate": {"Basic realm=x", "Bearer error=y", "Bearer error=z"}})
	if !ok || c.Error != "y" {
		t.Errorf("of several headers: %+v", c)
	}
}

func FuzzParseChallenge(f *testing.F) {
	for _, seed := range []string{`Bearer realm="x", scope="a b"`, `Basic abc==, Bearer error=x`, `Bearer "`, `Bearer a="\`, `=,=`, `Bearer a=b=c`} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		c, ok := ParseChallenge(http.Header{"Www-Authenticate": {one, two}})
		if !ok && (c.ResourceMetadata != "" || c.Error != "" || c.Scopes != nil) {
			t.Errorf("%+v without a challenge", c)
		}
		if ok && !strings.Contains(strings.ToLower(one+two), "bearer") {
			t.Errorf("%+v in %q, %q", c, one, two)
		}
		for _, s := range c.Scopes {
			if s == "" || strings.ContainsFunc(s, unicode.IsSpace) {
				t.Errorf("the scope %q", s)
			}
		}
	})
}

// FuzzCallback: whatever comes to the redirect URI, no code is sent but the one
// that was given for this login.
func FuzzCallback(f *testing.F) {
	s := oauthtest.Start(f, oauthtest.Options{AutoApprove: true, Instead: map[string]oauthtest.Answer{"token": {Status: 400, Body: `{"error":"invalid_grant"}`}}})
	a := authorizer(f, s.MCP, func(o *Options) { o.Burst = math.MaxInt32 })
	for _, seed := range []string{"code=a&state=STATE&iss=ISS", "code=a&state=STATE", "state=STATE&error=x&error_description=%E2%80%AE&iss=ISS", "state=STATE&state=b", "code=a;state=STATE",
		"code=a&code=b&state=STATE&iss=ISS", "code=&state=STATE&iss=ISS&iss=ISS", "%", "state=STATE%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := a.Begin(testContext(t), who, "")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Done()
		text = strings.NewReplacer("STATE", b.State, "ISS", url.QueryEscape(s.Issuer)).Replace(text)
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		before := s.Requests("token")
		_, err = a.Finish(testContext(t), query, "")
		if err == nil {
			t.Errorf("%q logs in", text)
		}
		var refused *TokenError
		sent := errors.As(err, &refused)
		good := query.Get("state") == b.State && len(query["state"]) == 1 && query.Get("iss") == s.Issuer && len(query["iss"]) == 1 && len(query["code"]) == 1 &&
			query.Get("code") != "" && !query.Has("error")
		if sent != good || s.Requests("token")-before > 1 {
			t.Errorf("%q: %v", text, err)
		}
		if strings.ContainsAny(err.Error(), "\r\n\x1b") || strings.Contains(err.Error(), "\u202e") || len(err.Error()) > 500 {
			t.Errorf("the error %q", err)
		}
	})
}

// FuzzCheckEndpoint: what is let through is a plain http(s) URL.
func FuzzCheckEndpoint(f *testing.F) {
	for _, address := range hostile() {
		if len(address) < 1000 {
			f.Add(address)
		}
	}
	for _, address := range []string{"https://auth.example/a?b=c", "http://localhost:1/", "https://[::1]/", "https://[fe80::1%25eth0]/", "https://auth.example:0/", "HTTPS://A", "https://0\"0", "https://$(calc)/"} {
		f.Add(address)
	}
	g := authorizer(f, "https://mcp.example/mcp", nil).guard
	f.Fuzz(func(t *testing.T, address string) {
		u, err := g.checkEndpoint("endpoint", address)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b") || len(err.Error()) > 700 {
				t.Errorf("the error %q", err)
			}
			return
		}
		if u.User != nil || u.Fragment != "" || u.Host == "" || u.Scheme != "https" && !isLoopbackName(u.Hostname()) || len(address) > pathMax {
			t.Errorf("%q is let through as %#v", address, u)
		}
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host {
			t.Errorf("%q becomes %q", address, u)
		}
		if strings.HasPrefix(u.String(), "-") || strings.ContainsAny(u.String(), " \t\r\n\"<>`\\\x00") || strings.ContainsAny(u.Host, "$&'();!*") {
			t.Errorf("%q becomes %q", address, u)
		}
	})
}

// FuzzSameURL never fails, and is what it says.
func FuzzSameURL(f *testing.F) {
	f.Add("//host/a://b", "https://host/")
	f.Add("https://HOST/a/", "https://host/a")
	f.Add("https://a@host", "https://[::1")
	f.Add("://", ":/")
	f.Fuzz(func(t *testing.T, a, b string) {
		if sameURL(a, b) != (sameURL(b, a) && a != "") && a != "" && b != "" {
			t.Errorf("%q and %q", a, b)
		}
		if a != "" && !sameURL(a, a) {
			t.Errorf("%q is not the same as itself", a)
		}
		if sameURL(a, b) && !strings.EqualFold(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/")) {
			t.Errorf("%q and %q are the same", a, b)
		}
		_ = contains(a, b)
	})
}

// FuzzClean: one line, short, without what turns a text around.
func FuzzClean(f *testing.F) {
	f.Add("a\r\nb\u202e\x1b[31m\xff\u2028", 5)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 1 || n > 1000 {
			return
		}
		got := clean(s, n)
		if len(got) > n+len("…") || strings.ContainsFunc(got, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
		}) {
			t.Errorf("clean(%q, %d) = %q", s, n, got)
		}
	})
}

package oauth

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"mcpo/internal/oauthtest"
)

// ear hears all that is logged and all errors.
type ear struct {
	mu   sync.Mutex
	said strings.Builder
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.Write(p)
}

func (e *ear) hears(what string, err error) {
	fmt.Fprintf(e, "%s: %v\n%+v\n%#v\n", what, err, err, err)
}

// TestNoSecretIsTold in a log line or an error, at whatever level, though the
// authorization server echoes what it was sent.
func TestNoSecretIsTold(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthMethod: "client_secret_basic"})
	listening := &ear{}
	var secrets []string
	a := authorizer(t, s.MCP, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(listening, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	// A code that is refused, with a server that says which.
	b := begun(t, a)
	query := browsed(t, b.URL, oauthtest.BrowseOptions{})
	code := query.Get("code")
	s.Set(func(o *oauthtest.Options) { o.Instead = echo("token", code) })
	_, err := a.Finish(testContext(t), query, "")
	listening.hears("a code that is refused", err)
	secrets = append(secrets, code, b.State)
	// A login, requests, and a refresh.
	s.Set(func(o *oauthtest.Options) { o.Instead = nil })
	if err := logIn(t, a); err != nil {
		t.Fatal(err)
	}
	form := s.LastForm("token")
	secrets = append(secrets, form.Get("code"), form.Get("code_verifier"), storedGrant(t, a).Registration.Secret)
	works(t, a)
	s.Expire()
	works(t, a)
	slog.New(slog.NewJSONHandler(listening, nil)).Info("a grant", "grant", storedGrant(t, a))
	// Refreshes that fail: with an error, and with a token that is of no use.
	g := storedGrant(t, a)
	for name, answer := range map[string]map[string]oauthtest.Answer{
		"an echo":     {"refresh": {Status: 429, Body: fmt.Sprintf(`{"error":"slow_down","error_description":%q}`, strings.Repeat("x", 150)+g.RefreshToken+" "+g.Registration.Secret)}},
		"as an error": {"refresh": {Status: 429, Body: fmt.Sprintf(`{"error":%q}`, g.RefreshToken)}},
		"token type":  {"refresh": {Body: `{"access_token":"another-secret","token_type":"mac"}`}},
		"a page":      {"refresh": {Body: "<html>" + g.RefreshToken}},
		"a redirect":  {"refresh": {Status: 302, Header: map[string][]string{"Location": {"/x?token=" + g.RefreshToken}}}},
	} {
		s.Set(func(o *oauthtest.Options) { o.Instead = answer })
		over(t, s, a)
		_, err := ask(t, a)
		listening.hears(name, err)
	}
	// A logout, with an echo.
	s.Set(func(o *oauthtest.Options) { o.Instead = echo("revoke", g.RefreshToken+" "+g.AccessToken) })
	_, err = a.Logout(testContext(t), who)
	listening.hears("a logout", err)
	secrets = append(secrets, "another-secret")
	secrets = append(secrets, s.Tokens()...)
	for _, secret := range secrets {
		if len(secret) < 10 {
			t.Fatalf("%q is no secret to look for", secret)
		}
		if strings.Contains(listening.said.String(), secret[:len(secret)/2]) {
			t.Errorf("%s was told", secret)
		}
	}
	if !strings.Contains(listening.said.String(), "level=DEBUG") || !strings.Contains(listening.said.String(), "level=INFO") {
		t.Error("the test has heard nothing")
	}
}

func echo(endpoint, secret string) map[string]oauthtest.Answer {
	return map[string]oauthtest.Answer{endpoint: {Status: 400, Body: fmt.Sprintf(`{"error":"invalid_grant","error_description":"no such thing: %s"}`, secret)}}
}

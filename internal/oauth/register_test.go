package oauth

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestRegistrationRequest is what mcpo says of itself: no empty members, no
// scope, native where the browser comes back to this machine.
func TestRegistrationRequest(t *testing.T) {
	plain := map[string]any{
		"client_name": "mcpo", "redirect_uris": []any{"http://localhost:3030/callback"}, "response_types": []any{"code"},
		"grant_types": []any{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none", "application_type": "native",
	}
	with := func(changes map[string]any) map[string]any {
		all := map[string]any{}
		for _, members := range []map[string]any{plain, changes} {
			for name, value := range members {
				all[name] = value
			}
		}
		return all
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   map[string]any
	}{
		"plain": {nil, plain},
		"web": {func(o *Options) { o.PublicURL, o.WebCallback = "https://mcpo.example", true },
			with(map[string]any{"redirect_uris": []any{"https://mcpo.example/oauth/test/callback"}, "application_type": "web"})},
		"web at home": {func(o *Options) { o.WebCallback = true }, with(map[string]any{"redirect_uris": []any{"http://localhost:8000/oauth/test/callback"}})},
		"configured": {func(o *Options) {
			o.Server.OAuth.ClientMetadata = &config.ClientMetadata{ClientName: "my mcpo", RedirectURIs: []string{"http://localhost:9/a", "https://x.example/b"},
				GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, TokenEndpointAuthMethod: "client_secret_post", Scope: "mcp",
				Extra: map[string]json.RawMessage{"client_uri": json.RawMessage(`"https://me.example"`), "logo_uri": json.RawMessage(`""`), "contacts": json.RawMessage(`[ ]`),
					"jwks": json.RawMessage(`{}`)}}
		}, with(map[string]any{"client_name": "my mcpo", "redirect_uris": []any{"http://localhost:9/a", "https://x.example/b"},
			"grant_types": []any{"authorization_code"}, "token_endpoint_auth_method": "client_secret_post", "client_uri": "https://me.example"})},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{RefuseScope: true, NativeOnly: name != "configured", RefuseEmpty: true})
			begun(t, authorizer(t, s.MCP, test.change))
			var sent map[string]any
			if err := json.Unmarshal([]byte(s.LastBody("register")), &sent); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, sent); diff != "" {
				t.Errorf("registered with (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRegistrationIsObeyed: whatever method the answer names is used.
func TestRegistrationIsObeyed(t *testing.T) {
	for _, method := range []string{"none", "client_secret_basic", "client_secret_post"} {
		t.Run(method, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthMethod: method})
			a := granted(t, s, nil)
			s.Expire()
			works(t, a)
			form, header := s.LastForm("refresh"), s.LastHeader("refresh")
			if got := strings.HasPrefix(header.Get("Authorization"), "Basic "); got != (method == "client_secret_basic") {
				t.Errorf("Basic: %v", got)
			}
			if got := form.Has("client_secret"); got != (method == "client_secret_post") {
				t.Errorf("client_secret in the form: %v", got)
			}
			if had, err := a.Logout(testContext(t), who); !had || err != nil {
				t.Errorf("Logout = %v, %v", had, err)
			}
		})
	}
}

// TestMethodThatIsOffered: a server that has no clients without a secret is
// asked for one that it has.
func TestMethodThatIsOffered(t *testing.T) {
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true,
			Override: map[string]any{"token_endpoint_auth_methods_supported": []string{"private_key_jwt", method}}})
		if g := storedGrant(t, granted(t, s, nil)); g.Registration.AuthMethod != method {
			t.Errorf("%s: registered with %s", method, g.Registration.AuthMethod)
		}
	}
}

// TestHostileRegistrations: an answer that cannot be used ends the login, and
// is not kept (threats 11).
func TestHostileRegistrations(t *testing.T) {
	for name, test := range map[string]struct {
		o    oauthtest.Options
		word string
	}{
		"other redirect URIs": {oauthtest.Options{RegisteredRedirects: []string{"https://evil.example/"}}, "redirect URI"},
		"no redirect URIs":    {oauthtest.Options{RegisteredRedirects: []string{}}, "redirect URI"},
		"expired secret":      {oauthtest.Options{AuthMethod: "client_secret_basic", SecretTTL: -time.Hour}, "expired"},
		"secret kept":         {oauthtest.Options{AuthMethod: "client_secret_post", Registration: map[string]any{"client_secret": nil}}, "did not tell"},
		"unknown method":      {oauthtest.Options{Registration: map[string]any{"token_endpoint_auth_method": "private_key_jwt\n\x1b"}}, "private_key_jwt"},
		"no client_id":        {oauthtest.Options{Registration: map[string]any{"client_id": nil}}, "client_id"},
		"empty client_id":     {oauthtest.Options{Registration: map[string]any{"client_id": ""}}, "client_id"},
		"client_id as number": {oauthtest.Options{Registration: map[string]any{"client_id": 7}}, "client_id"},
		"line break":          {oauthtest.Options{Registration: map[string]any{"client_id": "a\r\nb"}}, "client_id"},
		"long client_id":      {oauthtest.Options{Registration: map[string]any{"client_id": strings.Repeat("a", 100000)}}, "client_id"},
		"long secret": {oauthtest.Options{AuthMethod: "client_secret_basic", Registration: map[string]any{"client_secret": strings.Repeat("a", 100000)}},
			"client_id"},
		"a list":     {oauthtest.Options{Instead: map[string]oauthtest.Answer{"register": {Status: 201, Body: `[]`}}}, ""},
		"null":       {oauthtest.Options{Instead: map[string]oauthtest.Answer{"register": {Status: 201, Body: `null`}}}, ""},
		"a page":     {oauthtest.Options{Instead: map[string]oauthtest.Answer{"register": {Body: `<html>`}}}, ""},
		"a refusal":  {oauthtest.Options{Instead: map[string]oauthtest.Answer{"register": {Status: 400, Body: `{"error":"invalid_redirect_uri"}`}}}, "invalid_redirect_uri"},
		"overloaded": {oauthtest.Options{Instead: map[string]oauthtest.Answer{"register": {Status: 503}}}, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, test.o)
			a := authorizer(t, s.MCP, nil)
			_, err := a.Begin(testContext(t), who, "")
			if err == nil || !strings.Contains(err.Error(), test.word) || strings.ContainsAny(err.Error(), "\r\n\x1b") || len(err.Error()) > 500 {
				t.Errorf("Begin: %v", err)
			}
			if n := kept(t, a, store.Registrations) + kept(t, a, store.Logins); n != 0 {
				t.Errorf("%d records were kept", n)
			}
		})
	}
}

// TestSparseRegistration: what an answer leaves out is as it was asked for, or
// as the specification has it.
func TestSparseRegistration(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{
		"status 200": {RegisterStatus: http.StatusOK},
		"all but the id": {Registration: map[string]any{"redirect_uris": nil, "token_endpoint_auth_method": nil, "grant_types": nil, "response_types": nil,
			"client_name": nil, "client_id_issued_at": nil}},
		"secret, no method": {AuthMethod: "client_secret_basic", Registration: map[string]any{"token_endpoint_auth_method": nil}},
		"empty secret":      {Registration: map[string]any{"client_secret": ""}},
	} {
		o.AutoApprove = true
		if err := logIn(t, authorizer(t, oauthtest.Start(t, o).MCP, nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRegisterOnce: of many logins at once, in two processes' worth of
// authorizers, one registers (threats 11).
func TestRegisterOnce(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	files := openFiles(t, t.TempDir())
	var all sync.WaitGroup
	for range 2 {
		a := authorizer(t, s.MCP, func(o *Options) { o.Store = files })
		for range 10 {
			all.Go(func() {
				if _, err := a.Begin(testContext(t), who, ""); err != nil {
					t.Errorf("Begin: %v", err)
				}
			})
		}
	}
	all.Wait()
	if n := s.Requests("register"); n != 1 {
		t.Errorf("%d registrations", n)
	}
	// Another redirect URI is another registration.
	begun(t, authorizer(t, s.MCP, func(o *Options) { o.Store, o.WebCallback = files, true }))
	if n := s.Requests("register"); n != 2 {
		t.Errorf("%d registrations", n)
	}
}

// TestRegisterAgain: only when the authorization server does not know mcpo.
func TestRegisterAgain(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	for name, answer := range map[string]oauthtest.Answer{
		"invalid_grant": {Status: 400, Body: `{"error":"invalid_grant"}`}, "invalid_request": {Status: 400, Body: `{"error":"invalid_request"}`},
		"server_error": {Status: 500, Body: `{"error":"server_error"}`}, "unavailable": {Status: 503}, "a page": {Body: "<html>"},
		"unauthorized_client": {Status: 400, Body: `{"error":"unauthorized_client"}`},
	} {
		s.Set(func(o *oauthtest.Options) { o.Instead = map[string]oauthtest.Answer{"token": answer} })
		begun(t, a)
		if n := s.Requests("register"); n != 1 {
			t.Fatalf("%s: %d registrations", name, n)
		}
	}
	s.Set(func(o *oauthtest.Options) { o.Instead = nil })
	s.Forget()
	if err := logIn(t, a); err != nil || s.Requests("register") != 2 {
		t.Errorf("after the server forgot: %v, %d registrations", err, s.Requests("register"))
	}
	works(t, a)
}

// TestForgottenWhileLoggingIn: the login fails, and the next one works.
func TestForgottenWhileLoggingIn(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
	s.Forget()
	if _, err := a.Finish(testContext(t), query, ""); !unknownRegistration(err) {
		t.Errorf("Finish: %v", err)
	}
	if err := logIn(t, a); err != nil {
		t.Error(err)
	}
}

// TestForgottenGrant: an authorization server that lost everything costs one
// login, and nothing is sent in vain after that.
func TestForgottenGrant(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	s.Forget()
	_, err := ask(t, a)
	needsLogin(t, err, true)
	before := s.Requests("refresh")
	_, err = ask(t, a)
	needsLogin(t, err, true)
	if n := s.Requests("refresh"); n != before {
		t.Errorf("%d more refreshes", n-before)
	}
	if err := logIn(t, a); err != nil {
		t.Fatal(err)
	}
	works(t, a)
}

// TestSecretsExpire: a registration is made anew when its secret has run out.
func TestSecretsExpire(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthMethod: "client_secret_basic", SecretTTL: time.Hour})
	a := granted(t, s, nil)
	records, err := a.store.List(testContext(t), store.Registrations)
	if err != nil || len(records) != 1 || time.Until(records[0].Expires).Round(time.Minute) != time.Hour {
		t.Fatalf("registrations: %v, %v", records, err)
	}
	records[0].Expires = time.Now().Add(-time.Second)
	if err := a.store.Put(testContext(t), records[0]); err != nil {
		t.Fatal(err)
	}
	if err := logIn(t, a); err != nil || s.Requests("register") != 2 {
		t.Errorf("%v, %d registrations", err, s.Requests("register"))
	}
}

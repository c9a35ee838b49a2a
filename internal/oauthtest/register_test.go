package oauthtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/oauthtest"
)

func TestRegistrations(t *testing.T) {
	with := func(name string, v any) map[string]any { return map[string]any{name: v} }
	for name, c := range map[string]struct {
		o    oauthtest.Options
		sent map[string]any
		want string // the error, or else a member
	}{
		"usual":              {oauthtest.Options{}, nil, "none"},
		"without a method":   {oauthtest.Options{}, with("token_endpoint_auth_method", "client_secret_basic"), "client_secret_basic"},
		"another method":     {oauthtest.Options{AuthMethod: "client_secret_post"}, nil, "client_secret_post"},
		"overridden":         {oauthtest.Options{Registration: with("token_endpoint_auth_method", "x")}, nil, "x"},
		"unknown method":     {oauthtest.Options{}, with("token_endpoint_auth_method", "tls"), "invalid_client_metadata"},
		"no redirect":        {oauthtest.Options{}, with("redirect_uris", []string{}), "invalid_redirect_uri"},
		"odd redirect":       {oauthtest.Options{}, with("redirect_uris", []string{"http://x/#f"}), "invalid_redirect_uri"},
		"no code":            {oauthtest.Options{}, with("grant_types", []string{"refresh_token"}), "invalid_client_metadata"},
		"scope":              {oauthtest.Options{}, with("scope", ""), "none"},
		"scope refused":      {oauthtest.Options{RefuseScope: true}, with("scope", ""), "invalid_client_metadata"},
		"native refused":     {oauthtest.Options{NativeOnly: true}, nil, "invalid_redirect_uri"},
		"native":             {oauthtest.Options{NativeOnly: true}, with("application_type", "native"), "none"},
		"web elsewhere":      {oauthtest.Options{NativeOnly: true}, with("redirect_uris", []string{"https://app.example/cb"}), "none"},
		"empty refused":      {oauthtest.Options{RefuseEmpty: true}, with("client_uri", ""), "invalid_client_metadata"},
		"empty list refused": {oauthtest.Options{RefuseEmpty: true}, with("contacts", []string{}), "invalid_client_metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, c.o)
			r := p.register(c.sent)
			if got := r.text("error") + r.text("token_endpoint_auth_method"); got != c.want {
				t.Errorf("answered %d %s", r.status, r.body)
			}
			if refused := r.text("error") != ""; refused != (r.status == http.StatusBadRequest) || refused == (r.status == http.StatusCreated) {
				t.Errorf("the status is %d", r.status)
			}
		})
	}
}

func TestRegistrationIsNotAlwaysThere(t *testing.T) {
	if r := visit(t, oauthtest.Options{NoRegistration: true}).register(nil); r.status != http.StatusNotFound {
		t.Errorf("answered %d", r.status)
	}
	if r := visit(t, oauthtest.Options{RegisterStatus: http.StatusOK}).register(nil); r.status != http.StatusOK || r.text("client_id") == "" {
		t.Errorf("answered %d", r.status)
	}
}

func TestRegisteredRedirects(t *testing.T) {
	p := visit(t, oauthtest.Options{RegisteredRedirects: []string{"https://elsewhere.example/cb"}})
	if diff := cmp.Diff([]any{"https://elsewhere.example/cb"}, p.register(nil).json["redirect_uris"]); diff != "" {
		t.Errorf("redirect_uris (-want +got):\n%s", diff)
	}
	if page, err := oauthtest.Browse(testContext(t), p.authorizeURL(nil), oauthtest.BrowseOptions{}); err != nil || page.Status != http.StatusBadRequest {
		t.Errorf("the redirect URI that was asked for leads to %d, %v", page.Status, err)
	}
}

func TestSecrets(t *testing.T) {
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		t.Run(method, func(t *testing.T) {
			now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			p := visit(t, oauthtest.Options{AuthMethod: method, SecretTTL: time.Hour, Now: func() time.Time { return now }})
			r := p.register(nil)
			if got := r.json["client_secret_expires_at"]; got != float64(now.Add(time.Hour).Unix()) {
				t.Errorf("client_secret_expires_at is %v", got)
			}
			secret := func(f url.Values) { f.Set("client_secret", p.secret) }
			if method == "client_secret_basic" {
				p.basic, secret = true, nil
			}
			if r := p.exchange(p.browse(oauthtest.BrowseOptions{}, nil).Get("code"), secret); r.status != http.StatusOK {
				t.Fatalf("answered %d %s", r.status, r.body)
			}
			right := p.secret
			p.secret = "wrong"
			if r := p.exchange("x", secret); r.status != http.StatusUnauthorized || r.text("error") != "invalid_client" {
				t.Errorf("with a wrong secret: %d %s", r.status, r.body)
			}
			p.secret = right
			if method == "client_secret_post" {
				now = now.Add(time.Hour)
				if r := p.exchange("x", secret); r.text("error") != "invalid_client" {
					t.Errorf("with an old secret: %s", r.body)
				}
			}
		})
	}
}

func TestClientsByHand(t *testing.T) {
	p := visit(t, oauthtest.Options{NoRegistration: true, Clients: []oauthtest.Client{{ID: "by-hand"}}})
	p.id = "by-hand"
	p.login(oauthtest.BrowseOptions{})
	p.s.Forget()
	p.login(oauthtest.BrowseOptions{})
}

func TestClientDocuments(t *testing.T) {
	documents := httptest.NewServer(nil)
	t.Cleanup(documents.Close)
	p := visit(t, oauthtest.Options{ClientDocuments: true, DocumentClient: documents.Client()})
	named := documents.URL + "/client.json"
	documents.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"client_id": named, "client_name": "Test", "redirect_uris": []string{p.redirect},
			"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none"})
	})
	p.id = named
	if r := p.login(oauthtest.BrowseOptions{}); r.text("refresh_token") == "" {
		t.Errorf("answered %s", r.body)
	}
	p.id = named + "?another"
	if page, err := oauthtest.Browse(testContext(t), p.authorizeURL(nil), oauthtest.BrowseOptions{}); err != nil || page.Status != http.StatusBadRequest {
		t.Errorf("a document of another client leads to %d, %v", page.Status, err)
	}
}

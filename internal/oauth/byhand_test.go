package oauth

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestByHand: a registration by hand is used as it is written.
func TestByHand(t *testing.T) {
	for name, test := range map[string]struct {
		method, secret string   // configured
		offered        []string // by the server
		want           string
	}{
		"public":        {want: "none"},
		"secret":        {secret: "s3cret: /+%ü", want: "client_secret_basic"},
		"post":          {method: "client_secret_post", secret: "s3cret", want: "client_secret_post"},
		"basic":         {method: "client_secret_basic", secret: "s3cret", want: "client_secret_basic"},
		"only post":     {secret: "s3cret", offered: []string{"client_secret_post"}, want: "client_secret_post"},
		"both":          {secret: "s3cret", offered: []string{"client_secret_post", "client_secret_basic"}, want: "client_secret_basic"},
		"none of these": {secret: "s3cret", offered: []string{"tls_client_auth"}, want: "client_secret_basic"},
	} {
		t.Run(name, func(t *testing.T) {
			o := oauthtest.Options{AutoApprove: true, NoRegistration: true, Clients: []oauthtest.Client{{ID: "my app", Secret: test.secret, Method: test.want}}}
			if test.offered != nil {
				o.Override = map[string]any{"token_endpoint_auth_methods_supported": test.offered}
			}
			s := oauthtest.Start(t, o)
			a := granted(t, s, func(o *Options) {
				o.Server.OAuth.ClientMetadata = &config.ClientMetadata{ClientID: "my app", ClientSecret: config.Secret(test.secret), TokenEndpointAuthMethod: test.method}
			})
			s.Expire()
			works(t, a)
		})
	}
}

// TestSecretIsChanged: a new secret in the configuration serves the grants that
// there are.
func TestSecretIsChanged(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Clients: []oauthtest.Client{{ID: "mine", Secret: "new"}}})
	a := authorizer(t, s.MCP, func(o *Options) {
		o.Server.OAuth.ClientMetadata = &config.ClientMetadata{ClientID: "mine", ClientSecret: "new"}
	})
	if err := logIn(t, a); err != nil {
		t.Fatal(err)
	}
	changeGrant(t, a, func(g *grant) { g.Registration.Secret = "old" })
	s.Expire()
	works(t, a)
	if had, err := a.Logout(testContext(t), who); !had || err != nil {
		t.Errorf("Logout = %v, %v", had, err)
	}
}

// TestSecretStays with the authorization server that it was first used at,
// whomever the MCP server names later, unless the operator names another.
func TestSecretStays(t *testing.T) {
	for name, serverURL := range map[string]func(*oauthtest.Server) string{
		"auto": func(*oauthtest.Server) string { return "auto" },
		"own":  func(s *oauthtest.Server) string { return s.Issuer },
	} {
		t.Run(name, func(t *testing.T) {
			mine := []oauthtest.Client{{ID: "mine", Secret: "s3cret"}, {ID: "other", Secret: "s3cret"}}
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Clients: mine})
			other := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Clients: mine})
			shared := store.NewMemory()
			with := func(id, serverURL string) *Authorizer {
				return authorizer(t, s.MCP, func(o *Options) {
					o.Store = shared
					o.Server.OAuth.ServerURL = serverURL
					o.Server.OAuth.ClientMetadata = &config.ClientMetadata{ClientID: id, ClientSecret: "s3cret"}
				})
			}
			for range 2 {
				if err := logIn(t, with("mine", serverURL(s))); err != nil {
					t.Fatal(err)
				}
			}
			s.Set(func(o *oauthtest.Options) {
				o.Resource = map[string]any{"authorization_servers": []string{other.Issuer}}
			})
			_, err := with("mine", serverURL(s)).Begin(testContext(t), who, "")
			refusedFor(t, err, `"server_url"`)
			for _, may := range []*Authorizer{with("other", serverURL(s)), with("mine", other.Issuer), with("mine", "auto")} {
				if _, err := may.Begin(testContext(t), who, ""); err != nil {
					t.Errorf("%s at %s: %v", may.cfg.ClientMetadata.ClientID, may.cfg.ServerURL, err)
				}
			}
		})
	}
}

// TestDocument: where the server takes client ID metadata documents, mcpo's is
// its client id.
func TestDocument(t *testing.T) {
	var document []byte
	served := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == DocumentPath {
			_, _ = w.Write(document)
		}
	}))
	defer served.Close()
	redirect := served.URL + "/oauth/test/callback"
	document, err := Document(served.URL, []string{redirect})
	if err != nil {
		t.Fatal(err)
	}
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, ClientDocuments: true, DocumentClient: served.Client()})
	for name, change := range map[string]func(*Options){
		"public URL": func(o *Options) { o.PublicURL, o.WebCallback = served.URL+"/", true },
		"configured": func(o *Options) {
			o.Server.OAuth.ClientMetadataURL = served.URL + DocumentPath
			o.Server.OAuth.ClientMetadata = &config.ClientMetadata{RedirectURIs: []string{redirect}}
		},
	} {
		a := authorizer(t, s.MCP, change)
		if err := logIn(t, a); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if id := storedGrant(t, a).Registration.ClientID; id != served.URL+DocumentPath {
			t.Errorf("%s: the client id is %q", name, id)
		}
		s.Expire()
		works(t, a)
	}
	if n := s.Requests("register"); n != 0 {
		t.Errorf("%d registrations", n)
	}
	s.Set(func(o *oauthtest.Options) { o.ClientDocuments = false })
	if err := logIn(t, authorizer(t, s.MCP, func(o *Options) { o.PublicURL, o.WebCallback = served.URL, true })); err != nil || s.Requests("register") != 1 {
		t.Errorf("without support: %v, %d registrations", err, s.Requests("register"))
	}
}

// TestNoRegistration: who registers nobody wants it done by hand, which is
// said. A client_metadata block without an id is tried with a fixed one.
func TestNoRegistration(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, NoRegistration: true, Clients: []oauthtest.Client{{ID: "mcpo-client"}}})
	_, err := authorizer(t, s.MCP, nil).Begin(testContext(t), who, "")
	refusedFor(t, err, `"client_id"`)
	refusedFor(t, err, "http://localhost:3030/callback")

	var log strings.Builder
	a := granted(t, s, func(o *Options) {
		o.Server.OAuth.ClientMetadata = clientMetadata()
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	if id := storedGrant(t, a).Registration.ClientID; id != "mcpo-client" || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "by hand") {
		t.Errorf("the client id is %q, and the log says %q", id, log.String())
	}
}

// TestGuessedRegistrationEndpoint: where there is no metadata, a registration
// endpoint was only a guess.
func TestGuessedRegistrationEndpoint(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, NoResourceMetadata: true, Metadata: oauthtest.Nowhere, NoRegistration: true,
		Clients: []oauthtest.Client{{ID: "mcpo-client"}}})
	_, err := authorizer(t, s.MCP, nil).Begin(testContext(t), who, "")
	refusedFor(t, err, `"client_id"`)
	a := authorizer(t, s.MCP, func(o *Options) { o.Server.OAuth.ClientMetadata = clientMetadata() })
	if err := logIn(t, a); err != nil {
		t.Error(err)
	}
	if n := kept(t, a, store.Registrations); n != 0 {
		t.Errorf("%d registrations were kept, though nobody registered", n)
	}
}

// TestBasicIsEscaped (RFC 6749 §2.3.1).
func TestBasicIsEscaped(t *testing.T) {
	r, h := &registration{ClientID: "a:b c", Secret: "ü/+", AuthMethod: authBasic}, http.Header{}
	form := url.Values{}
	r.authenticate(form)(h)
	id, secret, ok := (&http.Request{Header: h}).BasicAuth()
	if !ok || id != "a%3Ab+c" || secret != "%C3%BC%2F%2B" || form.Get("client_id") != r.ClientID || len(form) != 1 {
		t.Errorf("%q, %q, %v; %v", id, secret, ok, form)
	}
}

// TestUnknownRegistration: which errors say that the client is not known.
func TestUnknownRegistration(t *testing.T) {
	for _, test := range []struct {
		status  int
		code    string
		unknown bool
	}{
		{401, "invalid_client", true}, {400, "invalid_client", true}, {200, "invalid_client", true}, {401, "unauthorized_client", true},
		{400, "unauthorized_client", false}, {400, "invalid_grant", false}, {401, "", false}, {401, "invalid_grant", false}, {500, "", false},
	} {
		if got := unknownRegistration(errors.Join(&TokenError{Status: test.status, Code: test.code})); got != test.unknown {
			t.Errorf("%d %s: %v", test.status, test.code, got)
		}
	}
}

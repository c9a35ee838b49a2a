package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
)

// TestEveryRequestIsGuarded: metadata, registration, token and revocation
// requests all go through the guard.
func TestEveryRequestIsGuarded(t *testing.T) {
	n := &network{names: map[string][][]string{"auth.example": at("10.0.0.1"), "mcp.example": at("8.8.8.8")}}
	a := authorizer(t, "https://mcp.example/mcp", func(o *Options) { o.Network = Network{Resolve: n.resolve, Dial: n.dial} })
	ctx, endpoint := testContext(t), "https://auth.example/x"
	m := &Metadata{Issuer: "https://auth.example", TokenEndpoint: endpoint, RegistrationEndpoint: endpoint, RevocationEndpoint: endpoint, read: time.Now()}
	r := &registration{ClientID: "x", AuthMethod: authNone}
	_, resource := a.findResource(ctx, Challenge{ResourceMetadata: endpoint})
	_, metadata := a.findMetadata(ctx, m.Issuer)
	_, registering := a.makeRegistration(ctx, m, map[string]any{}, "http://localhost:3030/callback")
	_, token := a.tokenRequest(ctx, m, r, url.Values{})
	a.known[m.Issuer] = m
	revoking := a.revoke(ctx, &grant{Issuer: m.Issuer, Registration: *r, AccessToken: "x"})
	for what, err := range map[string]error{"resource": resource, "metadata": metadata, "registration": registering, "token": token, "revocation": revoking} {
		var forbidden *forbiddenAddress
		if !errors.As(err, &forbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(n.dialed) != 0 {
		t.Errorf("dialled %v", n.dialed)
	}
}

// TestOwnOriginIsCompared: only at the server's own origin may resource
// metadata be http.
func TestOwnOriginIsCompared(t *testing.T) {
	n := &network{names: map[string][][]string{"mcp.example": at("8.8.8.8"), "mcp.example.evil.example": at("9.9.9.9")}}
	a := authorizer(t, "http://mcp.example/mcp", func(o *Options) { o.Network = Network{Resolve: n.resolve, Dial: n.dial} })
	for _, place := range []string{"http://mcp.example.evil.example/x", "http://mcp.example@evil.example/x", "http://mcp.example:8080/x"} {
		_, err := a.findResource(testContext(t), Challenge{ResourceMetadata: place})
		var refused *DiscoveryError
		if !errors.As(err, &refused) || len(n.dialed) != 0 {
			t.Errorf("%s: dialled %v, %v", place, n.dialed, err)
		}
	}
	if _, err := a.findResource(testContext(t), Challenge{ResourceMetadata: "http://mcp.example/x"}); !errors.Is(err, errNoNetwork) {
		t.Errorf("at its own origin: %v", err)
	}
}

// TestRedirects: a document may have moved within its origin. What is sent does
// not follow anywhere.
func TestRedirects(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	for _, endpoint := range []string{"resource", "metadata"} {
		s.Set(func(o *oauthtest.Options) {
			o.Redirects = map[string]oauthtest.Redirect{endpoint: oauthtest.SameOrigin}
		})
		if _, err := authorizer(t, s.MCP, nil).Discover(testContext(t)); err != nil {
			t.Errorf("%s moved within its origin: %v", endpoint, err)
		}
		s.Set(func(o *oauthtest.Options) {
			o.Redirects = map[string]oauthtest.Redirect{endpoint: oauthtest.CrossOrigin}
		})
		if _, err := authorizer(t, s.MCP, nil).Discover(testContext(t)); err == nil || !strings.Contains(err.Error(), "another origin") {
			t.Errorf("%s moved to another origin: %v", endpoint, err)
		}
	}
	for _, endpoint := range []string{"register", "token"} {
		for _, where := range []oauthtest.Redirect{oauthtest.SameOrigin, oauthtest.CrossOrigin} {
			s.Set(func(o *oauthtest.Options) { o.Redirects = map[string]oauthtest.Redirect{endpoint: where} })
			before := s.Requests("moved")
			var refused *TokenError
			if err := logIn(t, authorizer(t, s.MCP, nil)); !errors.As(err, &refused) || refused.Status != http.StatusTemporaryRedirect {
				t.Errorf("%s: %v", endpoint, err)
			}
			if s.Requests("moved") != before {
				t.Errorf("%s: the redirect was followed", endpoint)
			}
		}
	}
}

func TestRedirectsEnd(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
	}))
	defer s.Close()
	a := authorizer(t, s.URL+"/mcp", nil)
	if _, err := a.findMetadata(testContext(t), s.URL); err == nil || asked > redirectMax+1 {
		t.Errorf("after %d requests: %v", asked, err)
	}
	asked = 0
	if _, err := a.Discover(testContext(t)); err == nil || asked > 2*redirectMax+2 {
		t.Errorf("after %d requests: %v", asked, err)
	}
}

// TestAnswersAreBounded: in size and in time, of the header and of the body.
func TestAnswersAreBounded(t *testing.T) {
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = io.WriteString(w, `{"issuer":"`+strings.Repeat("a", answerMax)+`"}`)
		case "/full":
			_, _ = io.WriteString(w, strings.Repeat(" ", answerMax))
		case "/header":
			w.Header().Set("X", strings.Repeat("a", 128<<10))
		case "/drip":
			_, _ = io.WriteString(w, "{")
			w.(http.Flusher).Flush()
			<-over
		case "/hang":
			<-over
		}
	}))
	defer s.Close()
	defer close(over)
	g := authorizer(t, s.URL, nil).guard
	for _, by := range []*http.Client{g.client, g.post} {
		if by.Timeout != requestTime {
			t.Errorf("a request may take %v", by.Timeout)
		}
	}
	for path, want := range map[string]string{"/large": "larger than 1 MiB", "/header": "", "/drip": "", "/hang": "", "/full": "none"} {
		g.client.Timeout, g.post.Timeout = hurry, hurry
		if path == "/drip" || path == "/hang" {
			g.client.Timeout, g.post.Timeout = 50*time.Millisecond, 50*time.Millisecond
		}
		u, err := url.Parse(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_, get := g.get(testContext(t), u)
		_, post := g.postForm(testContext(t), u, url.Values{}, nil)
		for _, err := range []error{get, post} {
			if want == "none" && err != nil || want != "none" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// TestHostileHugeAnswers: whichever endpoint it is, the login fails politely
// (threats 11).
func TestHostileHugeAnswers(t *testing.T) {
	for _, endpoint := range []string{"resource", "metadata", "register", "token"} {
		s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Instead: map[string]oauthtest.Answer{endpoint: {Body: "{}", Pad: answerMax}}})
		err := logIn(t, authorizer(t, s.MCP, func(o *Options) { o.Server.OAuth = &config.OAuth{ServerURL: "auto"} }))
		if err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

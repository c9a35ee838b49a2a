package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
)

// TestDiscovery: every oddity ends in a login that works.
func TestDiscovery(t *testing.T) {
	for name, test := range map[string]struct {
		o      oauthtest.Options
		change func(*Options, *oauthtest.Server)
	}{
		"plain":              {},
		"another origin":     {o: oauthtest.Options{SeparateOrigin: true}},
		"issuer with a path": {o: oauthtest.Options{SeparateOrigin: true, IssuerPath: "/tenant/v2"}},
		"inserted OpenID":    {o: oauthtest.Options{IssuerPath: "/tenant", Metadata: oauthtest.OIDCInserted}},
		"appended OpenID":    {o: oauthtest.Options{IssuerPath: "/tenant", Metadata: oauthtest.OIDCAppended}},
		"OpenID, no path":    {o: oauthtest.Options{Metadata: oauthtest.OIDCInserted}},
		"pages everywhere":   {o: oauthtest.Options{HTMLForUnknown: true, ResourceAtRoot: true, IssuerPath: "/tenant", Metadata: oauthtest.OIDCAppended}},
		"trailing slash":     {o: oauthtest.Options{IssuerSlash: true, IssuerPath: "/tenant"}},
		"no challenge":       {o: oauthtest.Options{NoChallenge: true}},
		"bare challenge":     {o: oauthtest.Options{BareChallenge: true}},
		"two challenges":     {o: oauthtest.Options{OtherChallenge: `Basic realm="x", Negotiate abc==`}},
		"at the root":        {o: oauthtest.Options{ResourceAtRoot: true}},
		"at the root, pages": {o: oauthtest.Options{ResourceAtRoot: true, NoChallenge: true, HTMLForUnknown: true}},
		"slash redirect":     {o: oauthtest.Options{SlashRedirect: true}},
		"tools are free":     {o: oauthtest.Options{LazyAuth: true}},
		"SSE":                {o: oauthtest.Options{SSE: true}, change: sse},
		"SSE, tools free":    {o: oauthtest.Options{SSE: true, LazyAuth: true}, change: sse},
		"no resource metadata": {o: oauthtest.Options{NoResourceMetadata: true, SeparateOrigin: true, IssuerPath: "/tenant"},
			change: func(o *Options, s *oauthtest.Server) { o.Server.OAuth.ServerURL = s.Issuer }},
		"no resource metadata, auto":  {o: oauthtest.Options{NoResourceMetadata: true}},
		"no resource metadata, pages": {o: oauthtest.Options{NoResourceMetadata: true, HTMLForUnknown: true, NoChallenge: true}},
		"server_url below the issuer": {o: oauthtest.Options{NoResourceMetadata: true, SeparateOrigin: true},
			change: func(o *Options, s *oauthtest.Server) { o.Server.OAuth.ServerURL = s.Issuer + "/some/path" }},
		"server_url of the server": {o: oauthtest.Options{NoResourceMetadata: true},
			change: func(o *Options, s *oauthtest.Server) { o.Server.OAuth.ServerURL = s.MCP }},
		"server_url without anything": {o: oauthtest.Options{NoResourceMetadata: true},
			change: func(o *Options, s *oauthtest.Server) { o.Server.OAuth.ServerURL = s.Other }},
		"nothing":        {o: oauthtest.Options{NoResourceMetadata: true, Metadata: oauthtest.Nowhere, NoChallenge: true, Iss: oauthtest.IssNone}},
		"nothing, pages": {o: oauthtest.Options{NoResourceMetadata: true, Metadata: oauthtest.Nowhere, HTMLForUnknown: true, Iss: oauthtest.IssNone}},
		"nothing, elsewhere": {o: oauthtest.Options{NoResourceMetadata: true, Metadata: oauthtest.Nowhere, SeparateOrigin: true, Iss: oauthtest.IssNone},
			change: func(o *Options, s *oauthtest.Server) { o.Server.OAuth.ServerURL = s.Issuer }},
		"no list of servers": {o: oauthtest.Options{Resource: map[string]any{"authorization_servers": nil}}},
		"OpenID's extras":    {o: oauthtest.Options{Metadata: oauthtest.OIDCInserted, Override: map[string]any{"jwks_uri": "https://x.example", "scopes_supported": "openid"}}},
		"refuses resource": {o: oauthtest.Options{RefuseResource: true},
			change: func(o *Options, _ *oauthtest.Server) { o.Server.OAuth.Resource = "off" }},
		"form-encoded tokens": {o: oauthtest.Options{FormEncoded: true}},
		"errors with 200":     {o: oauthtest.Options{ErrorsAreOK: true}},
		"by name":             {o: oauthtest.Options{Host: "localhost"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.AutoApprove = true
			s := oauthtest.Start(t, test.o)
			a := granted(t, s, func(o *Options) {
				if test.change != nil {
					test.change(o, s)
				}
			})
			if test.o.SSE {
				return // the walk of a request over SSE is below
			}
			if !test.o.SlashRedirect {
				works(t, a)
				s.Expire()
				if status, err := ask(t, a); err != nil || status != http.StatusOK {
					t.Errorf("after a refresh: %d, %v", status, err)
				}
			}
		})
	}
}

func sse(o *Options, _ *oauthtest.Server) { o.Server.Transport = config.SSE }

// TestSSE: the stream is opened with the token.
func TestSSE(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, SSE: true})
	a := granted(t, s, func(o *Options) { sse(o, s) })
	for range 2 {
		ctx, cancel := context.WithCancel(testContext(t))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.MCP, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := a.RoundTripper(who, a.direct).RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%v, %v", resp, err)
		}
		cancel()
		resp.Body.Close()
		s.Expire()
	}
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

// TestProbeDoesNotWait for the end of what a server without a lock streams.
func TestProbeDoesNotWait(t *testing.T) {
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	defer s.Close()
	defer close(over)
	a := authorizer(t, s.URL+"/sse", func(o *Options) { o.Server.Transport = config.SSE })
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		if status, _, err := a.probe(testContext(t)); status != http.StatusOK || err != nil {
			t.Errorf("probe: %d, %v", status, err)
		}
	}()
	select {
	case <-finished:
	case <-testShort(t).Done():
		t.Error("it waits")
	}
}

// TestProbe is a request like any other to the server: with the configured
// headers, and no token.
func TestProbe(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, ChallengeScope: "mcp admin"})
	a := granted(t, s, func(o *Options) { o.Server.Headers = map[string]string{"X-Tenant": "7"} })
	d, err := a.Discover(testContext(t))
	if err != nil || d.Status != http.StatusUnauthorized || !slices.Equal(d.Challenge.Scopes, []string{"mcp", "admin"}) {
		t.Errorf("Discover = %+v, %v", d, err)
	}
	h := s.LastHeader("mcp")
	if h.Get("X-Tenant") != "7" || h.Get("Authorization") != "" {
		t.Errorf("the headers are %v", h)
	}
}

// TestPlaces of metadata, in order.
func TestPlaces(t *testing.T) {
	at := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	const r, a, o = "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	for _, test := range []struct{ got, want []string }{
		{resourcePlaces(at("https://x/mcp/"), Challenge{}), []string{"https://x" + r + "/mcp", "https://x" + r}},
		{resourcePlaces(at("https://x"), Challenge{ResourceMetadata: "https://y/z"}), []string{"https://y/z", "https://x" + r}},
		{resourcePlaces(at("https://x/a%2Fb?q=1"), Challenge{}), []string{"https://x" + r + "/a%2Fb", "https://x" + r}},
		{metadataPlaces(at("https://x")), []string{"https://x" + a, "https://x" + o}},
		{metadataPlaces(at("https://x/")), []string{"https://x" + a, "https://x" + o}},
		{metadataPlaces(at("https://x/t/")), []string{"https://x" + a + "/t", "https://x" + o + "/t", "https://x/t" + o}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestChooseAuthorizationServer: of several, the configured one, and else the
// first.
func TestChooseAuthorizationServer(t *testing.T) {
	s, other := oauthtest.Start(t, oauthtest.Options{}), oauthtest.Start(t, oauthtest.Options{IssuerPath: "/tenant"})
	s.Set(func(o *oauthtest.Options) {
		o.Resource = map[string]any{"authorization_servers": []string{s.Issuer, other.Issuer}}
	})
	for configured, want := range map[string]string{"auto": s.Issuer, s.Issuer: s.Issuer, other.Issuer: other.Issuer, other.Issuer + "/": other.Issuer,
		"https://auth.example": s.Issuer, s.MCP: s.Issuer} {
		d, err := authorizer(t, s.MCP, func(o *Options) { o.Server.OAuth.ServerURL = configured }).Discover(testContext(t))
		if err != nil || d.Metadata.Issuer != want {
			t.Errorf("%s: %+v, %v", configured, d.Metadata, err)
		}
	}
}

// TestStaticEndpoints are used where discovery finds nothing, and only there.
func TestStaticEndpoints(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, NoResourceMetadata: true, SeparateOrigin: true, Iss: oauthtest.IssNone,
		Clients: []oauthtest.Client{{ID: "mine"}}})
	static := func(o *Options) {
		o.Server.OAuth.ServerURL = "https://auth.example/nowhere"
		o.Server.OAuth.ClientMetadata = &config.ClientMetadata{ClientID: "mine", Scope: "mcp admin",
			AuthorizationEndpoint: s.Endpoint("authorize"), TokenEndpoint: s.Endpoint("token")}
		o.Server.OAuth.ServerURL = s.Issuer + "/nowhere"
	}
	s.Set(func(o *oauthtest.Options) { o.Instead = map[string]oauthtest.Answer{"metadata": {Status: 404}} })
	a := granted(t, s, static)
	if scope := s.LastForm("authorize").Get("scope"); scope != "mcp admin" {
		t.Errorf("asked for the scope %q", scope)
	}
	s.Expire()
	works(t, a)

	s.Set(func(o *oauthtest.Options) { o.Instead = nil })
	d, err := authorizer(t, s.MCP, func(o *Options) {
		static(o)
		o.Server.OAuth.ServerURL = s.Issuer
		o.Server.OAuth.ClientMetadata.TokenEndpoint = "https://auth.example/token"
	}).Discover(testContext(t))
	if err != nil || d.Metadata.TokenEndpoint != s.Endpoint("token") {
		t.Errorf("with metadata: %+v, %v", d.Metadata, err)
	}
}

// TestDiscoveryFails when a server is down, which is no reason to guess.
func TestDiscoveryFails(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{
		"resource metadata": {Instead: map[string]oauthtest.Answer{"resource": {Status: 503}}},
		"metadata":          {Instead: map[string]oauthtest.Answer{"metadata": {Status: 503}}},
	} {
		s := oauthtest.Start(t, o)
		a := authorizer(t, s.MCP, nil)
		if _, err := a.Begin(testContext(t), who, ""); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "503") {
			t.Errorf("%s: %v", name, err)
		}
		s.Set(func(o *oauthtest.Options) { o.Instead = nil })
		begun(t, a)
	}
	a := authorizer(t, "http://127.0.0.1:1/mcp", nil)
	if _, err := a.Begin(testContext(t), who, ""); err == nil || !strings.Contains(err.Error(), "asking the server") {
		t.Errorf("without a server: %v", err)
	}
}

// TestMetadataThatIsNone: JSON of another kind is passed over like a page.
func TestMetadataThatIsNone(t *testing.T) {
	for _, body := range []string{`[]`, `null`, `"x"`, `{}`, `{"error":"x"}`, `{"issuer":null}`, `{`, ``, "\x00", strings.Repeat("[", 20000)} {
		s := oauthtest.Start(t, oauthtest.Options{NoResourceMetadata: true, Instead: map[string]oauthtest.Answer{"metadata": {Body: body}}})
		d, err := authorizer(t, s.MCP, nil).Discover(testContext(t))
		if err != nil || d.Metadata.From != "" || d.Metadata.TokenEndpoint != s.Issuer+"/token" {
			t.Errorf("%.20q: %+v, %v", body, d.Metadata, err)
		}
	}
}

// TestNew refuses what has no address or no oauth block.
func TestNew(t *testing.T) {
	for name, server := range map[string]config.Server{
		"no block": {Name: "x", URL: "https://mcp.example/mcp"}, "no URL": {Name: "x", OAuth: settings()},
		"no host": {Name: "x", URL: "/mcp", OAuth: settings()}, "bad URL": {Name: "x", URL: "http://[", OAuth: settings()},
	} {
		if a, err := New(Options{Server: server, Log: slog.New(slog.DiscardHandler)}); err == nil {
			a.Close()
			t.Errorf("%s: no error", name)
		}
	}
	a := authorizer(t, "https://mcp.example/mcp#x", nil)
	if a.url.String() != "https://mcp.example/mcp" || a.Config() == nil {
		t.Errorf("the URL is %s", a.url)
	}
}

// TestProbeLeaves the session that a server opens which lets everybody in.
func TestProbeLeaves(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{LazyAuth: true})
	if _, err := authorizer(t, s.MCP, nil).Discover(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if h := s.LastHeader("mcp"); h.Get(sessionHeader) == "" || h.Get("Content-Type") != "" {
		t.Errorf("after %d requests, the last one's headers are %v", s.Requests("mcp"), h)
	}
}

// TestProbeStaysHome: what the configuration says to the server goes nowhere
// else.
func TestProbeStaysHome(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/mcp", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	a := authorizer(t, s.URL+"/mcp", func(o *Options) { o.Server.Headers = map[string]string{"X-Api-Key": "secret"} })
	if status, _, err := a.probe(testContext(t)); status != http.StatusTemporaryRedirect || err != nil || asked != 0 {
		t.Errorf("probe = %d, %v; the other server was asked %d times", status, err, asked)
	}
}

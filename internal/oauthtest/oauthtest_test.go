package oauthtest_test

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/oauthtest"
)

// bearer puts a token into every request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// connect opens an MCP session as the SDK does.
func (p *person) connect(token string, sse bool) (*mcp.ClientSession, error) {
	by := &http.Client{Transport: bearer{token, p.http.Transport}}
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: p.s.MCP, HTTPClient: by}
	if sse {
		transport = &mcp.SSEClientTransport{Endpoint: p.s.MCP, HTTPClient: by}
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "t", Version: "1"}, nil).Connect(testContext(p.t), transport, nil)
	if err == nil {
		p.t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

func call(ctx context.Context, session *mcp.ClientSession, tool string, args any) (string, error) {
	r, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return "", err
	}
	return r.Content[0].(*mcp.TextContent).Text, nil
}

func TestTheWholeWalk(t *testing.T) {
	p := visit(t, oauthtest.Options{IssuerPath: "/tenant", SeparateOrigin: true})
	unauthorized := p.knock("", hello)
	if unauthorized.status != http.StatusUnauthorized {
		t.Fatalf("without a token: %d", unauthorized.status)
	}
	_, quoted, _ := strings.Cut(unauthorized.header.Get("WWW-Authenticate"), `resource_metadata="`)
	resource := p.get(strings.TrimSuffix(quoted, `"`))
	if diff := cmp.Diff([]any{p.s.Issuer}, resource.json["authorization_servers"]); diff != "" || resource.text("resource") != p.s.MCP {
		t.Fatalf("resource metadata: %s %s", resource.body, diff)
	}
	meta := p.get(p.s.Other + "/.well-known/oauth-authorization-server/tenant")
	if meta.text("issuer") != p.s.Issuer || meta.text("token_endpoint") != p.s.Endpoint("token") {
		t.Fatalf("metadata: %s", meta.body)
	}
	if r := p.register(nil); r.status != http.StatusCreated || p.secret != "" {
		t.Fatalf("registration: %d %s", r.status, r.body)
	}
	back := p.browse(oauthtest.BrowseOptions{User: "bob"}, nil)
	if back.Get("state") != "state-1" || back.Get("iss") != p.s.Issuer {
		t.Fatalf("came back with %v", back)
	}
	tokens := p.exchange(back.Get("code"), nil)
	session, err := p.connect(tokens.text("access_token"), false)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := call(t.Context(), session, "whoami", nil); who != "bob" || err != nil {
		t.Errorf("whoami answered %q, %v", who, err)
	}
	if sum, err := call(t.Context(), session, "add", map[string]any{"a": 40, "b": 2}); sum != "42" || err != nil {
		t.Errorf("add answered %q, %v", sum, err)
	}
	again := p.refresh(tokens.text("refresh_token"), nil)
	if again.status != http.StatusOK || again.text("refresh_token") == tokens.text("refresh_token") {
		t.Fatalf("refresh: %d %s", again.status, again.body)
	}
	if r := p.post("revoke", url.Values{"client_id": {p.id}, "token": {again.text("refresh_token")}}); r.status != http.StatusOK {
		t.Errorf("revocation: %d %s", r.status, r.body)
	}
	for _, token := range p.s.Tokens() {
		if p.s.Active(token) {
			t.Errorf("%s is still good", token)
		}
	}
	if diff := cmp.Diff([]int{1, 1, 1, 1}, []int{p.s.Requests("register"), p.s.Requests("authorize"), p.s.Requests("token"), p.s.Requests("refresh")}); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestABrowserStaysSignedIn(t *testing.T) {
	p := visit(t, oauthtest.Options{})
	jar, _ := cookiejar.New(nil)
	p.login(oauthtest.BrowseOptions{User: "bob", Jar: jar})
	before := p.s.Requests("login")
	p.login(oauthtest.BrowseOptions{User: "carol", Jar: jar})
	if before != 1 || p.s.Requests("login") != 1 {
		t.Errorf("the login page was sent %d and then %d times", before, p.s.Requests("login"))
	}
}

func TestCloseEndsAll(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true})
	session, err := p.connect(p.login(oauthtest.BrowseOptions{}).text("access_token"), false)
	if err != nil {
		t.Fatal(err)
	}
	p.s.Hold("metadata")
	answered := make(chan error)
	go func() {
		_, err := p.http.Get(p.s.Issuer + as)
		answered <- err
	}()
	if err := p.s.Await(testContext(t), "metadata", 1); err != nil {
		t.Fatal(err)
	}
	p.s.Close()
	if <-answered == nil {
		t.Error("what was kept back was answered")
	}
	if _, err := call(t.Context(), session, "whoami", nil); err == nil {
		t.Error("a call still works")
	}
}

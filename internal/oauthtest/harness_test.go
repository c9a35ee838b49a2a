package oauthtest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcpo/internal/oauthtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// verifier is long enough for PKCE; a test needs no secret one.
var verifier = strings.Repeat("v", 43)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// person is a plain client of one server: it knows the endpoints and does what
// a test tells it, right or wrong.
type person struct {
	t        *testing.T
	s        *oauthtest.Server
	http     *http.Client
	redirect string
	id       string
	secret   string
	basic    bool
}

func visit(t *testing.T, o oauthtest.Options) *person {
	t.Helper()
	s := oauthtest.Start(t, o)
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "arrived") }))
	t.Cleanup(callback.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &person{t: t, s: s, redirect: callback.URL + "/callback", http: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (r reply) text(member string) string { s, _ := r.json[member].(string); return s }

func (p *person) do(method, to, kind, body string, header ...string) reply {
	p.t.Helper()
	req, err := http.NewRequestWithContext(testContext(p.t), method, to, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if p.basic && kind == formKind {
		req.SetBasicAuth(url.QueryEscape(p.id), url.QueryEscape(p.secret))
	}
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		p.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, body: b.String()}
	_ = json.Unmarshal(b.Bytes(), &r.json)
	return r
}

const formKind = "application/x-www-form-urlencoded"

func (p *person) get(path string) reply { p.t.Helper(); return p.do(http.MethodGet, path, "", "") }

func (p *person) post(endpoint string, form url.Values) reply {
	p.t.Helper()
	return p.do(http.MethodPost, p.s.Endpoint(endpoint), formKind, form.Encode())
}

// register registers as a public client; more replaces members, nil removes one.
func (p *person) register(more map[string]any) reply {
	p.t.Helper()
	m := map[string]any{"client_name": "Test", "redirect_uris": []string{p.redirect},
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none"}
	for name, v := range more {
		m[name] = v
	}
	body, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	r := p.do(http.MethodPost, p.s.Endpoint("register"), "application/json", string(body))
	p.id, p.secret = r.text("client_id"), r.text("client_secret")
	return r
}

// authorize is the URL of an authorization request; change may spoil it.
func (p *person) authorizeURL(change func(url.Values)) string {
	q := url.Values{"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {p.redirect}, "state": {"state-1"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "resource": {p.s.MCP}}
	if change != nil {
		change(q)
	}
	return p.s.Endpoint("authorize") + "?" + q.Encode()
}

// browse walks to the redirect URI and answers with what it was called with.
func (p *person) browse(o oauthtest.BrowseOptions, change func(url.Values)) url.Values {
	p.t.Helper()
	page, err := oauthtest.Browse(testContext(p.t), p.authorizeURL(change), o)
	if err != nil {
		p.t.Fatal(err)
	}
	if page.Body != "arrived" {
		p.t.Fatalf("the walk ended at %s with %d: %s", page.URL, page.Status, page.Body)
	}
	u, err := url.Parse(page.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	return u.Query()
}

func (p *person) exchange(code string, change func(url.Values)) reply {
	p.t.Helper()
	f := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect},
		"client_id": {p.id}, "code_verifier": {verifier}, "resource": {p.s.MCP}}
	if change != nil {
		change(f)
	}
	return p.post("token", f)
}

func (p *person) refresh(token string, change func(url.Values)) reply {
	p.t.Helper()
	f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {p.id}, "resource": {p.s.MCP}}
	if change != nil {
		change(f)
	}
	return p.post("token", f)
}

// login does all of it and answers with the tokens.
func (p *person) login(o oauthtest.BrowseOptions) reply {
	p.t.Helper()
	if p.id == "" {
		p.register(nil)
	}
	r := p.exchange(p.browse(o, nil).Get("code"), nil)
	if r.status != http.StatusOK {
		p.t.Fatalf("no tokens: %d %s", r.status, r.body)
	}
	return r
}

// knock sends one MCP message with a token and answers with the reply, open
// streams cut off.
func (p *person) knock(token, message string) reply {
	p.t.Helper()
	header := []string{"Accept", "application/json, text/event-stream"}
	if token != "" {
		header = append(header, "Authorization", "Bearer "+token)
	}
	return p.do(http.MethodPost, p.s.MCP, "application/json", message, header...)
}

const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// adminCall is refused or let through before anyone asks for an MCP session.
const adminCall = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"admin","arguments":{}}}`

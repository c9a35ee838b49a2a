package app

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/tracetest"
)

// tracedLab is a traced mcpo before a server that wants logins.
type tracedLab struct {
	*traced
	outside *oauthtest.Server
	path    string
	user    string          // the header that says who calls
	secrets map[string]bool // all that nobody else is to know
}

const tracedUser, tracedKey = "the-user-of-the-traces", "the-session-key-of-the-traces"

func newTracedLab(t *testing.T, o oauthtest.Options) *tracedLab {
	t.Helper()
	l := &tracedLab{outside: oauthtest.Start(t, o), path: filepath.Join(t.TempDir(), "config.json"), secrets: map[string]bool{tracedUser: true, tracedKey: true}}
	kind := "http"
	if o.SSE {
		kind = "sse"
	}
	write(t, l.path, fmt.Sprintf(`{"storage": {"path": %q}, "identity": {"webui_secret_key": %q},
		"mcpServers": {"lab": {"type": %q, "url": %q, "oauth": {"server_url": "auto", "callback_port": %d}}}}`,
		filepath.Join(filepath.Dir(l.path), "storage"), tracedKey, kind, l.outside.MCP, freePort(t)))
	token := signed(t, tracedKey, map[string]any{"id": tracedUser, "exp": time.Now().Add(time.Hour).Unix()})
	l.user = "Authorization: Bearer " + token
	l.secrets[token] = true
	l.traced = runTraced(t, l.path)
	return l
}

func (l *tracedLab) whoami() (int, string, tracetest.Span) {
	l.t.Helper()
	return l.call("/lab/whoami?secret-query", "{}", l.user, "Cookie: c=secret-cookie")
}

// login logs the user in by a link.
func (l *tracedLab) login(answer string) {
	l.t.Helper()
	var refusal struct {
		Detail struct {
			URL string `json:"authorization_url"`
		}
	}
	if err := json.Unmarshal([]byte(answer), &refusal); err != nil || refusal.Detail.URL == "" {
		l.t.Fatalf("%s has no link", answer)
	}
	link, err := url.Parse(refusal.Detail.URL)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, values := range link.Query() {
		for _, v := range values {
			l.secrets[v] = true
		}
	}
	page, err := oauthtest.Browse(inTime(l.t), refusal.Detail.URL, oauthtest.BrowseOptions{User: "alice"})
	if err != nil || !strings.Contains(page.Body, "Connected.") {
		l.t.Fatalf("the login ended with %d %s, %v", page.Status, page.Body, err)
	}
	l.note()
}

// note remembers what went to the authorization server, and came from it.
func (l *tracedLab) note() {
	for _, endpoint := range []string{"authorize", "token", "refresh"} {
		for _, field := range []string{"code", "code_verifier", "refresh_token", "state", "client_id"} {
			if v := l.outside.LastForm(endpoint).Get(field); v != "" {
				l.secrets[v] = true
			}
		}
	}
	for _, token := range l.outside.Tokens() {
		l.secrets[token] = true
	}
}

// TestTraceOfALogin: what a call waits for at the store and at the authorization
// server is below it, and what logins are worth is nowhere.
func TestTraceOfALogin(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{"http": {}, "sse": {SSE: true}} {
		t.Run(name, func(t *testing.T) {
			l := newTracedLab(t, o)
			status, answer, request := l.whoami()
			if status != 401 || request.Error || request.Attributes["error.type"] != "authentication_required" {
				t.Errorf("%d %s, the request is %+v", status, answer, request)
			}
			l.wantBelow(request, "wait for connection: login_required", "store put ticket")
			l.login(answer)
			l.await200(t)
			_, _, request = l.whoami()
			l.want(request, "POST /{server}/{tool}", "  identify caller", "  tools/call whoami", "    get token")

			l.outside.Expire()
			status, answer, request = l.whoami()
			if status != 200 || answer != `"alice"` {
				t.Fatalf("after the end of the token: %d %s", status, answer)
			}
			l.note()
			l.want(request, "POST /{server}/{tool}", "  identify caller", "  tools/call whoami", "    get token", "    refresh token",
				"      store lock grant", "      store get grant", "      store put grant", "      POST", "      store put grant")
			post := l.below(request, "POST")
			if got := post.Attributes; post.Kind != "CLIENT" || len(got) != 3 || got["server.address"] != "127.0.0.1" || got["http.response.status_code"] != "200" {
				t.Errorf("the request to the authorization server is %+v", post)
			}

			l.outside.RevokeAll()
			status, _, request = l.whoami()
			if call := l.below(request, "tools/call whoami"); status != 401 || call.Attributes["error.type"] != "login_required" || !call.Error {
				t.Errorf("after the end of the login: %d, and the call is %+v", status, call)
			}
			l.wantBelow(request, "POST: 400", "refresh token: login_required")
			if err := l.stop(); err != nil {
				t.Error(err)
			}
			if len(l.secrets) < 10 {
				t.Fatalf("only %d secrets are known", len(l.secrets))
			}
			l.clean(t, "secret-query", "secret-cookie", "alice")
			for secret := range l.secrets {
				l.clean(t, secret)
			}
		})
	}
}

// await200 waits until the tools are there.
func (l *tracedLab) await200(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(hurry); ; {
		status, answer, _ := l.whoami()
		if status == 200 {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d %s", status, answer)
		}
	}
}

// wantBelow fails the test unless there are lines like these below the request.
func (l *tracedLab) wantBelow(request tracetest.Span, lines ...string) {
	l.t.Helper()
	tree := l.collector.Tree(request)
	for _, line := range lines {
		if !strings.Contains(tree, " "+line+"\n") {
			l.t.Errorf("there is no %q in\n%s", line, tree)
		}
	}
}

// TestTraceOfAConnection: one that is opened for a call is a trace with a link to
// it, and the refresh that the connection begins with is in that one.
func TestTraceOfAConnection(t *testing.T) {
	l := newTracedLab(t, oauthtest.Options{})
	_, answer, _ := l.whoami()
	l.login(answer)
	l.await200(t)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l.outside.Expire()
	l.start(t, l.path)
	status, answer, request := l.whoami()
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	l.wantBelow(request, "wait for connection", "tools/call whoami")
	connect := l.collector.Await(inTime(t), t, func(s tracetest.Span) bool {
		return s.Name == "connect" && len(s.Links) == 1 && s.Links[0] == request.ID
	})
	if connect.Trace == request.Trace || connect.Parent != "" {
		t.Errorf("the connection is %+v", connect)
	}
	tree := l.collector.Tree(connect)
	for _, line := range []string{"  get token\n", "    store get grant\n", "  refresh token\n", "    POST\n"} {
		if !strings.Contains(tree, line) {
			t.Errorf("there is no %q in\n%s", line, tree)
		}
	}
}

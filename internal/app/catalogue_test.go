package app

import (
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

// tellApart makes callers known by Open WebUI's session tokens.
func (h *household) tellApart(servers ...string) {
	h.t.Helper()
	write(h.t, h.path, `{"storage": {"path": `+strconv.Quote(filepath.Join(h.dir, "storage"))+`}, "identity": {"webui_secret_key": "`+crowdKey+`"}, "mcpServers": {`+
		strings.Join(servers, ",")+`}}`)
}

// as asks as a caller.
func (m *running) as(who, method, path, body string) (int, string) {
	m.t.Helper()
	req, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+signed(m.t, crowdKey, map[string]any{"id": who, "exp": time.Now().Add(hurry).Unix()}))
	return m.send(req)
}

// login logs a caller in at a server, by the link in the caller's own refusal,
// with the account of the same name.
func (m *running) login(who, server string) {
	m.t.Helper()
	status, body := m.as(who, http.MethodPost, "/"+server+"/whoami", "{}")
	_, rest, _ := strings.Cut(body, `"authorization_url":"`)
	link, _, found := strings.Cut(rest, `"`)
	if status != http.StatusUnauthorized || !found {
		m.t.Fatalf("%s is answered %d %s", who, status, body)
	}
	if page := browseTo(m.t, link, oauthtest.BrowseOptions{User: who}); !strings.Contains(page.Body, "Connected.") {
		m.t.Fatalf("the login of %s ends with %d %s", who, page.Status, page.Body)
	}
	if status, body := m.as(who, http.MethodPost, "/"+server+"/whoami", "{}"); status != http.StatusOK || body != strconv.Quote(who) {
		m.t.Fatalf("after the login %s is answered %d %s", who, status, body)
	}
}

// shown are the paths of the document that everybody may read.
func (m *running) shown(server string) []string {
	m.t.Helper()
	_, body := m.get(http.MethodGet, "/"+server+"/openapi.json", "")
	return operations(m.t, body)
}

// TestCatalogueOutlivesMcpo: Open WebUI, which reads the document for everybody,
// finds the tools before anybody has come back; but not those of another server
// that has got the name, and none where they are to be private.
func TestCatalogueOutlivesMcpo(t *testing.T) {
	s, other, h := oauthtest.Start(t, oauthtest.Options{Tools: ownTool}), oauthtest.Start(t, oauthtest.Options{}), newHousehold(t)
	kept, hidden := guarded("kept", s.MCP, freePort(t), ""), guarded("hidden", s.Second, freePort(t), `, "catalog": "private"`)
	h.tellApart(kept, hidden)
	m := run(t, Options{ConfigPath: h.path})
	for _, who := range []string{"alice", "bob"} {
		m.login(who, "kept")
		m.login(who, "hidden")
	}
	all, none := []string{"/add", "/admin", "/login", "/own_alice", "/own_bob", "/whoami"}, []string{"/login"}
	check := func(when string) {
		t.Helper()
		if got := m.shown("kept"); !slices.Equal(got, all) {
			t.Errorf("%s everybody sees %q", when, got)
		}
		if got := m.shown("hidden"); !slices.Equal(got, none) {
			t.Errorf("%s everybody sees of the private one %q", when, got)
		}
	}
	check("at first")
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	asked := s.Requests("mcp")
	m = run(t, Options{ConfigPath: h.path})
	check("after the restart")
	if n := s.Requests("mcp") - asked; n > 4 { // the person at this machine, who has no login
		t.Errorf("the server was asked %d times", n)
	}
	h.tellApart(guarded("kept", other.MCP, freePort(t), ""), hidden)
	m.reload <- struct{}{}
	m.reload <- struct{}{} // taken when the first is through
	if got := m.shown("kept"); !slices.Equal(got, none) {
		t.Errorf("of another server with the name everybody sees %q", got)
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/oauthtest"
)

// household is one mcpo with a server that wants a login, for the people of an
// Open WebUI.
type household struct {
	*proxy
	outside *oauthtest.Server
	config  string
	args    []string
}

// house starts mcpo, which is told how to know its callers.
func house(t *testing.T, identity map[string]any, args ...string) *household {
	t.Helper()
	outside := oauthtest.Start(t, oauthtest.Options{})
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{
		"mcpServers": map[string]serverConfig{"lab": {"type": "streamable-http", "url": outside.MCP, "oauth": map[string]any{"server_url": "auto"}}},
		"storage":    map[string]any{"path": filepath.Join(dir, "storage")},
		"identity":   identity,
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "config.json", string(config))
	h := &household{outside: outside, config: filepath.Join(dir, "config.json"), args: args}
	h.start(t)
	return h
}

func (h *household) start(t *testing.T) {
	t.Helper()
	h.proxy = startOurs(t, append([]string{"--config", h.config}, h.args...)...)
}

const (
	connectTool = "connect_lab"
	whoamiTool  = "tool_whoami_post"
)

// catalogue are the names of the tools that Open WebUI has for everybody in
// the chat.
func (c chat) catalogue(t *testing.T) (names []string) {
	t.Helper()
	for _, server := range c.list(t, c.tools...) {
		for _, s := range server.Specs {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}

// hasAllTools waits until the tools are there for everybody: mcpo looks at them
// when somebody has logged in.
func (h *household) hasAllTools(t *testing.T, c chat) {
	t.Helper()
	want := []string{connectTool, "tool_add_post", "tool_admin_post", whoamiTool}
	h.eventually(t, func() error {
		if diff := cmp.Diff(want, c.catalogue(t)); diff != "" {
			return fmt.Errorf("tools after a login (-want +got):\n%s", diff)
		}
		return nil
	})
}

// chatOf opens a chat of a person, whose full name is not plain ASCII.
func (h *household) chatOf(w *webUI, name, auth, key, credential string) chat {
	who := person{ID: "id-of-" + name, Email: name + "@example.org", Name: name + " Ærø", Role: "admin"}
	return chat{webUI: w, who: who, credential: credential, tools: []connection{connect(h.proxy, "lab", auth, key)}}
}

// signedIn opens a chat in the browser of a person, who signs in for it.
func (h *household) signedIn(t *testing.T, w *webUI, name string) chat {
	t.Helper()
	c := h.chatOf(w, name, "session", "", "")
	c.credential = w.session(t, c.who, "4w")
	return c
}

// link calls a tool that was never logged in for, and takes the link from what
// the model reads then.
func (c chat) link(t *testing.T, tool string) string {
	t.Helper()
	return c.asks(t, tool, "authentication_required", "your permission")
}

// asks calls a tool for which a login is wanted, and gives the link.
func (c chat) asks(t *testing.T, tool, reason, what string) string {
	t.Helper()
	got := c.call(t, tool, "{}")
	body, found := strings.CutPrefix(got.said(), "HTTP error 401: ")
	var told struct{ Detail asked }
	if err := json.Unmarshal([]byte(body), &told); err != nil || !found || !got.Failed {
		t.Fatalf("%s of %s without a login: the model reads %s", tool, c.who.Name, got.everything())
	}
	link := told.Detail.URL
	want := asked{Error: reason, Server: "lab", URL: link, Message: fmt.Sprintf("lab needs %s. Open %s, sign in, then ask me again.", what, link)}
	if diff := cmp.Diff(want, told.Detail); diff != "" || !loginLink.MatchString(link) {
		t.Errorf("what the model reads of the login (-want +got):\n%s", diff)
	}
	return link
}

var loginLink = regexp.MustCompile(`^http://\S+/oauth/lab/authorize\?ticket=\S+$`)

// logIn follows a link as somebody whom the server calls account.
func logIn(t *testing.T, link, account string) {
	t.Helper()
	shown := browse(t, link, oauthtest.BrowseOptions{User: account})
	if shown.Status != http.StatusOK || !strings.Contains(shown.Body, "Connected") {
		t.Fatalf("the page after the login has status %d and says: %s", shown.Status, shown.Body)
	}
}

// reads wants the model to read a text and no error.
func (c chat) reads(t *testing.T, tool, text string) {
	t.Helper()
	if got := c.call(t, tool, "{}"); got.Failed || !strings.Contains(got.Text, text) {
		t.Errorf("%s of %s: the model reads %s (failed: %t), want %s", tool, c.who.Name, got.everything(), got.Failed, text)
	}
}

// isTold wants the model to read why a call was refused.
func (c chat) isTold(t *testing.T, tool, sentence string) {
	t.Helper()
	got := c.call(t, tool, "{}")
	if !got.Failed || !strings.HasPrefix(got.said(), "HTTP error 40") || !strings.Contains(got.said(), sentence) {
		t.Errorf("%s of %s: the model reads %s (failed: %t), want %s", tool, c.who.Name, got.everything(), got.Failed, sentence)
	}
}

// TestOpenWebUISessions has people whose calls carry the token of their browser.
func TestOpenWebUISessions(t *testing.T) {
	w := startWebUI(t)
	h := house(t, map[string]any{"webui_secret_key": webUIKey})
	alice, bob := h.signedIn(t, w, "alice"), h.signedIn(t, w, "bob")
	if diff := cmp.Diff([]string{connectTool}, alice.catalogue(t)); diff != "" {
		t.Errorf("tools before any login (-want +got):\n%s", diff)
	}

	// The first one can do nothing but ask to be connected.
	logIn(t, alice.link(t, connectTool), "alice")
	h.hasAllTools(t, alice)
	alice.reads(t, whoamiTool, "alice")
	alice.reads(t, connectTool, `"status": "connected"`)

	// The second sees the tools at once; the login comes with a call.
	link := bob.link(t, whoamiTool)
	bob.link(t, connectTool)
	logIn(t, link, "bob")
	bob.reads(t, whoamiTool, "bob")
	bob.reads(t, connectTool, `"status": "connected"`)
	alice.reads(t, whoamiTool, "alice")

	h.loseLogins(t, alice, bob)
	h.refuseOthers(t, alice)

	// Everything is there when mcpo is back.
	h.stop()
	h.start(t)
	alice, bob = h.signedIn(t, w, "alice"), h.signedIn(t, w, "bob")
	h.hasAllTools(t, alice)
	alice.reads(t, whoamiTool, "alice")
	bob.reads(t, whoamiTool, "bob")
	h.signedIn(t, w, "carol").link(t, whoamiTool)
}

// loseLogins has tokens run out, which nobody notices. A login that the server
// took back is asked for again, as is one for more.
func (h *household) loseLogins(t *testing.T, alice, bob chat) {
	t.Helper()
	h.outside.Expire()
	alice.reads(t, whoamiTool, "alice")
	h.outside.RevokeAll()
	logIn(t, alice.asks(t, whoamiTool, "token_expired", "your permission"), "alice")
	logIn(t, bob.asks(t, whoamiTool, "token_expired", "your permission"), "bob")
	bob.reads(t, whoamiTool, "bob")
	logIn(t, bob.asks(t, "tool_admin_post", "authentication_required", "more permission for this"), "bob")
	bob.reads(t, "tool_admin_post", "")
	alice.reads(t, whoamiTool, "alice")
}

// refuseOthers has chats that came with something else than a good token of this
// Open WebUI.
func (h *household) refuseOthers(t *testing.T, c chat) {
	t.Helper()
	c.credential = "sk-0123456789abcdef0123456789abcdef"
	c.isTold(t, whoamiTool, "carries an API key of Open WebUI (sk-…) in place of the user's token")
	c.credential = startWebUI(t, "WEBUI_SECRET_KEY=the-session-key-of-another-open-webui").session(t, c.who, "4w")
	c.isTold(t, whoamiTool, "The user's token is refused: its signature does not fit")
	c.credential = c.session(t, c.who, "-1")
	c.isTold(t, whoamiTool, "it has no exp, so it would be valid for ever")
	cookies := h.chatOf(c.webUI, "alice", "none", "", c.session(t, c.who, "4w"))
	cookies.tools[0]["forward_cookies"] = true // which says nothing about who calls
	cookies.isTold(t, whoamiTool, "this request does not say whose it is")
	h.chatOf(c.webUI, "alice", "none", "", "").isTold(t, whoamiTool, "this request does not say whose it is")
}

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

const (
	forwardKey = "the-key-of-the-tokens-for-calls"
	forwarding = "ENABLE_FORWARD_USER_INFO_HEADERS=true"
	signedWith = "FORWARD_USER_INFO_HEADER_JWT_SECRET="
)

// TestOpenWebUIForwardedToken has an Open WebUI that makes a token for each call.
func TestOpenWebUIForwardedToken(t *testing.T) {
	w := startWebUI(t, forwarding, signedWith+forwardKey)
	h := house(t, map[string]any{"forward_jwt_secret": forwardKey})
	alice, bob := h.chatOf(w, "alice", "none", "", ""), h.chatOf(w, "bob", "none", "", "")
	h.meet(t, alice, bob)

	// It counts before whatever the chat came with.
	alice.tools, alice.credential = []connection{connect(h.proxy, "lab", "session", "")}, "sk-0123456789abcdef0123456789abcdef"
	alice.reads(t, whoamiTool, "alice")

	// An Open WebUI that was not told the key sends plain headers.
	plain := h.chatOf(startWebUI(t, forwarding), "alice", "none", "", "")
	plain.isTold(t, whoamiTool, "names its user in a plain header only")
	other := h.chatOf(startWebUI(t, forwarding, signedWith+"the-key-of-somebody-else"), "alice", "none", "", "")
	other.isTold(t, whoamiTool, "The user's token is refused: its signature does not fit")
}

// TestOpenWebUIForwardedHeaders has one that names its user plainly, and is
// believed because it has mcpo's key.
func TestOpenWebUIForwardedHeaders(t *testing.T) {
	w := startWebUI(t, forwarding)
	h := house(t, map[string]any{"trust_user_headers": true}, "--api-key", "the key")
	alice, bob := h.chatOf(w, "alice", "bearer", "the key", ""), h.chatOf(w, "bob", "bearer", "the key", "")
	h.meet(t, alice, bob)
	h.chatOf(w, "alice", "bearer", "another key", "").isTold(t, whoamiTool, "key")
	h.chatOf(startWebUI(t), "nobody", "bearer", "the key", "").isTold(t, whoamiTool, "this request does not say whose it is")
}

// meet has two people sign in one after the other; the page that asks the first
// one says whose login it is to be.
func (h *household) meet(t *testing.T, alice, bob chat) {
	t.Helper()
	if diff := cmp.Diff([]string{connectTool}, alice.catalogue(t)); diff != "" {
		t.Errorf("tools before any login (-want +got):\n%s", diff)
	}
	asks := browse(t, alice.link(t, connectTool), oauthtest.BrowseOptions{StopAtForm: true})
	if !strings.Contains(asks.Body, alice.who.Email) {
		t.Errorf("the page does not say who is to be connected: %s", asks.Body)
	}
	logIn(t, alice.link(t, connectTool), "alice")
	h.hasAllTools(t, alice)
	alice.reads(t, whoamiTool, "alice")
	logIn(t, bob.link(t, whoamiTool), "bob")
	bob.reads(t, whoamiTool, "bob")
	alice.reads(t, whoamiTool, "alice")
	alice.reads(t, connectTool, `"status": "connected"`)
}

// TestOpenWebUIKey has mcpo want a key for calls, and not for documents.
func TestOpenWebUIKey(t *testing.T) {
	w := startWebUI(t)
	url := mcptest.StartHTTP(t, mcptest.Options{})
	p := startOurs(t, "--config", configFile(t, map[string]serverConfig{"lab": {"type": "http", "url": url}}), "--api-key", "the key")
	p.ready(t)
	for _, c := range []struct{ auth, key, reads string }{
		{"bearer", "the key", "hällo"},
		{"bearer", "the key ", "hällo"}, // as it was pasted
		{"bearer", "another key", "HTTP error 403: "},
		{"none", "", "HTTP error 401: "},
	} {
		server := connect(p, "lab", c.auth, c.key)
		if lists := w.list(t, server); len(lists) != 1 || len(lists[0].Specs) == 0 {
			t.Errorf("%s %q: Open WebUI has no tools", c.auth, c.key)
			continue
		}
		talk := chat{webUI: w, who: person{ID: "1", Role: "admin"}, tools: []connection{server}}
		got := talk.call(t, "tool_echo_post", `{"message":"hällo","invented":1}`)
		if diff := cmp.Diff(map[string]any{"message": "hällo"}, got.Sent); diff != "" {
			t.Errorf("what is sent (-want +got):\n%s", diff)
		}
		if !strings.HasPrefix(got.said(), c.reads) || got.Failed == (c.reads == "hällo") {
			t.Errorf("%s %q: the model reads %s (failed: %t), want %s", c.auth, c.key, got.everything(), got.Failed, c.reads)
		}
	}
}

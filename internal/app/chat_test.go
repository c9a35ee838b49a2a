package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

// TestChatIsToldOfTheLogin: with webui_url, a whole mcpo shows the link and that
// it was used in the chat, over a reload of the configuration too.
func TestChatIsToldOfTheLogin(t *testing.T) {
	lines := make(chan string, 10)
	webUI := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct {
			Data struct {
				Description string
				Done        bool
			}
		}
		err := json.NewDecoder(r.Body).Decode(&e)
		lines <- fmt.Sprint(r.URL.Path, " ", e.Data.Description, " ", e.Data.Done, err)
	}))
	t.Cleanup(webUI.Close)
	next := func() string {
		t.Helper()
		select {
		case l := <-lines:
			return l
		case <-time.After(hurry):
			t.Fatal("nothing is shown in the chat")
			return ""
		}
	}
	const key = "the key of a test's Open WebUI"
	s, h := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t)
	configure := func(more string) {
		write(t, h.path, fmt.Sprintf(`{"storage": {"path": %q}, "identity": {"webui_secret_key": %q%s}, "mcpServers": {%s}}`,
			filepath.Join(h.dir, "storage"), key, more, guarded("lab", s.MCP, freePort(t), "")))
	}
	configure("")
	m := run(t, Options{ConfigPath: h.path})
	token := signed(t, key, map[string]any{"id": "alice", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	ask := func(chat string) (int, string) {
		req, err := http.NewRequest(http.MethodPost, m.url+"/lab/whoami", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer " + token}, "X-Openwebui-Chat-Id": {chat}, "X-Openwebui-Message-Id": {"m"}}
		return m.send(req)
	}
	if status, body := ask("before"); status != http.StatusUnauthorized {
		t.Fatalf("%d %s", status, body)
	}
	configure(fmt.Sprintf(`, "webui_url": "%s/"`, webUI.URL))
	m.reload <- struct{}{}
	m.reload <- struct{}{} // taken when the first is done
	_, body := ask("after")
	var refused struct {
		Detail struct {
			URL string `json:"authorization_url"`
		}
	}
	if err := json.Unmarshal([]byte(body), &refused); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	const at = "/api/v1/chats/after/messages/m/event "
	if got, want := next(), at+"lab needs your permission. Open "+refused.Detail.URL+", sign in, then ask me again. false <nil>"; got != want {
		t.Errorf("the chat shows %s\nwant %s", got, want)
	}
	browseTo(t, refused.Detail.URL, oauthtest.BrowseOptions{})
	if got, want := next(), at+"lab is connected. Ask again. true <nil>"; got != want {
		t.Errorf("the chat shows %s\nwant %s", got, want)
	}
}

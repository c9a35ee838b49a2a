package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/caller"
	"mcpo/internal/chat"
	"mcpo/internal/oauthtest"
)

const sessionKey = "the key of a test's Open WebUI"

// sessionOf is a person's session token at Open WebUI.
func sessionOf(t *testing.T, user, key string) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"id": user, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// shown is a line that a chat was given.
type shown struct {
	path, token, text string
	done              bool
}

// chats is an Open WebUI that records the lines it is given.
type chats struct {
	t     *testing.T
	url   string
	lines chan shown
}

func newChats(t *testing.T) *chats {
	c := &chats{t: t, lines: make(chan shown, 100)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct {
			Type string
			Data struct {
				Description string
				Done        bool
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || e.Type != "status" || r.Method != http.MethodPost {
			t.Errorf("%s with %+v, %v", r.Method, e, err)
		}
		c.lines <- shown{r.URL.Path, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), e.Data.Description, e.Data.Done}
		_, _ = io.WriteString(w, "true")
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *chats) next() shown {
	c.t.Helper()
	select {
	case l := <-c.lines:
		return l
	case <-time.After(hurry):
		c.t.Fatal("nothing is shown in the chat")
		return shown{}
	}
}

// talkative is an mcpo that knows an Open WebUI. Its tools are those of notes,
// and "count", which tells how far it has come.
func talkative(t *testing.T, c *chats, s doorSetup) *door {
	t.Helper()
	poster := chat.NewPoster(slog.New(slog.DiscardHandler))
	t.Cleanup(poster.Close)
	s.Chat, s.webUI, s.beyond = poster, c.url, true
	s.identify = caller.NewIdentifier(caller.Options{SessionKey: sessionKey})
	s.outside.Tools = func(_ string, s *mcp.Server) {
		mcp.AddTool(s, &mcp.Tool{Name: "count"}, func(ctx context.Context, r *mcp.CallToolRequest, in struct{ Fail bool }) (*mcp.CallToolResult, any, error) {
			token := r.Params.GetProgressToken()
			if token == nil {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "unwatched"}}}, nil, nil
			}
			for _, p := range []mcp.ProgressNotificationParams{
				{ProgressToken: "call-999", Message: "of nobody"}, {ProgressToken: token, Progress: 1, Total: 3, Message: "counting\n\u202e"},
			} {
				if err := r.Session.NotifyProgress(ctx, &p); err != nil {
					return nil, nil, err
				}
			}
			return &mcp.CallToolResult{IsError: in.Fail, Content: []mcp.Content{&mcp.TextContent{Text: "watched"}}}, nil, nil
		})
	}
	return openDoor(t, s)
}

// from are the headers of a request that Open WebUI makes for a person's chat.
func from(token string) []string {
	return []string{"Authorization: Bearer " + token, "X-OpenWebUI-Chat-Id: chat-1", "X-OpenWebUI-Message-Id: message-1"}
}

// TestChatShowsTheLogin: the link, and that it is done, each in the chat of who
// asked.
func TestChatShowsTheLogin(t *testing.T) {
	c := newChats(t)
	d := talkative(t, c, doorSetup{})
	alice := sessionOf(t, "alice", sessionKey)
	const path = "/api/v1/chats/chat-1/messages/message-1/event"
	for id, ask := range map[string][2]string{"other": {"GET", "/notes/login"}, "message-1": {"POST", "/notes/whoami"}} {
		headers := []string{"Authorization: Bearer " + alice, "X-OpenWebUI-Chat-Id: chat-1", "X-OpenWebUI-Message-Id: " + id}
		detail := d.do(ask[0], ask[1], "{}", headers...).refusal(t)
		if got, want := c.next(), (shown{strings.Replace(path, "message-1", id, 1), alice, detail.Message, false}); got != want {
			t.Errorf("%s shows %+v, want %+v", ask[1], got, want)
		}
	}
	bob := sessionOf(t, "bob", sessionKey)
	d.do("POST", "/notes/whoami", "{}", from(bob)...).refusal(t)
	c.next()

	link := d.do("POST", "/notes/whoami", "{}", from(alice)...).refusal(t).AuthorizationURL // the same, and not shown again
	page := d.browse(link, oauthtest.BrowseOptions{User: "alice"})
	wantPage(t, page, http.StatusOK, "Connected.")
	for range 2 { // both messages that told of it
		if got := c.next(); got.token != alice || got.text != "notes is connected. Ask again." || !got.done {
			t.Errorf("the chat shows %+v", got)
		}
	}
	d.do("POST", "/notes/whoami", "{}", from(alice)...).want(t, "after the login", http.StatusOK, "alice")
	if len(c.lines) > 0 {
		t.Errorf("somebody else's chat shows %+v", <-c.lines)
	}
}

// TestChatShowsProgress of the call that it is for, and its end.
func TestChatShowsProgress(t *testing.T) {
	c := newChats(t)
	d := talkative(t, c, doorSetup{})
	alice := sessionOf(t, "alice", sessionKey)
	d.browse(d.do("POST", "/notes/count", "{}", "Authorization: Bearer "+alice).refusal(t).AuthorizationURL, oauthtest.BrowseOptions{User: "alice"})
	for body, end := range map[string]string{`{"Fail":false}`: "notes: count is done", `{"Fail":true}`: "notes: count has failed"} {
		d.do("POST", "/notes/count", body, from(alice)...).want(t, "count", map[bool]int{true: 500, false: 200}[strings.Contains(body, "true")], `watched`)
		var got []shown
		for len(got) == 0 || !got[len(got)-1].done {
			got = append(got, c.next())
		}
		// The end may have come before the progress was shown.
		if len(got) > 2 || got[len(got)-1].text != end || len(got) == 2 && got[0].text != "notes: counting (1 of 3)" {
			t.Errorf("%s shows %+v", body, got)
		}
	}
	d.do("POST", "/notes/count", `{"Fail":false}`, "Authorization: Bearer "+alice).want(t, "without a chat", http.StatusOK, `"unwatched"`)
}

// TestChatShowsNothing of requests that do not carry the caller's own, verified
// session, or name no message.
func TestChatShowsNothing(t *testing.T) {
	c := newChats(t)
	d := talkative(t, c, doorSetup{Options: Options{Key: testKey}})
	alice := sessionOf(t, "alice", sessionKey)
	for _, headers := range [][]string{
		{"Authorization: Bearer " + alice},
		{"Authorization: Bearer " + alice, "X-OpenWebUI-Chat-Id: c"},
		{"Authorization: Bearer " + alice, "X-OpenWebUI-Message-Id: m"},
		{"Authorization: Bearer " + alice, "X-OpenWebUI-Chat-Id: ../c", "X-OpenWebUI-Message-Id: m"},
		{"Authorization: Bearer " + alice, "X-OpenWebUI-Chat-Id: c", "X-OpenWebUI-Chat-Id: d", "X-OpenWebUI-Message-Id: m"},
		from(sessionOf(t, "alice", "another key")),
		from(testKey),
	} {
		d.do("POST", "/notes/whoami", "{}", headers...)
	}
	// What is shown at last is the first that is.
	d.do("POST", "/notes/whoami", "{}", "Authorization: Bearer "+alice, "X-OpenWebUI-Chat-Id: last", "X-OpenWebUI-Message-Id: m").refusal(t)
	if got := c.next(); got.path != "/api/v1/chats/last/messages/m/event" {
		t.Errorf("a chat shows %+v", got)
	}
	if strings.Contains(d.log.String(), alice) {
		t.Error("the token is in the log")
	}
}

// TestChatIsOff where no Open WebUI is configured, and a slow or missing one
// holds nothing up.
func TestChatIsOff(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise nobody notices that the other side has gone
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	for _, at := range []string{"", "http://127.0.0.1:1", silent.URL} {
		d := talkative(t, &chats{url: at}, doorSetup{})
		d.do("POST", "/notes/whoami", "{}", from(sessionOf(t, "alice", sessionKey))...).refusal(t)
	}
}

func TestHopes(t *testing.T) {
	var h hopes
	a, b := caller.User("a"), caller.User("b")
	m := func(id string) chat.Message {
		m, ok := chat.MessageOf("http://h", "t", http.Header{"X-Openwebui-Chat-Id": {"c"}, "X-Openwebui-Message-Id": {id}})
		if !ok {
			t.Fatal(id)
		}
		return m
	}
	later := time.Now().Add(time.Hour)
	for _, n := range []hope{{"s", a, m("1"), "", later}, {"s", a, m("1"), "", later}, {"s", a, m("2"), "", later}, {"s", b, m("3"), "", later}, {"r", a, m("4"), "", later},
		{"s", a, m("5"), "", time.Now().Add(-time.Second)}} {
		h.add(n)
	}
	if h.add(hope{"s", a, m("2"), "", later}) || !h.add(hope{"s", a, m("2"), "another link", later}) {
		t.Error("what is told again is news, or another link is none")
	}
	if got := h.take("s", a); len(got) != 2 || got[0] != m("1") || got[1] != m("2") {
		t.Errorf("hopes of a are %v", got)
	}
	if got := h.take("s", a); got != nil {
		t.Errorf("and again %v", got)
	}
	for range 2 * maxHopes {
		h.add(hope{"x", caller.User(time.Now().String()), m("1"), "", later})
	}
	if len(h.all) > maxHopes {
		t.Errorf("%d are kept", len(h.all))
	}
}

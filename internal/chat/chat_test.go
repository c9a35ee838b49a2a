package chat

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// hurry bounds what has to happen; only a defect makes a test wait so long.
const hurry = 30 * time.Second

// post is one request that Open WebUI received.
type post struct {
	path, token, body string
	at                time.Time
}

// webUI records what is posted.
type webUI struct {
	*httptest.Server
	posts  chan post
	status int
	hold   chan struct{} // if not nil, answers wait for its end
}

func newWebUI(t *testing.T) *webUI {
	u := &webUI{posts: make(chan post, 1000), status: http.StatusOK}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.posts <- post{r.Method + " " + r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body), time.Now()}
		if u.hold != nil {
			select {
			case <-u.hold:
			case <-r.Context().Done():
			}
		}
		if u.status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(u.status)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *webUI) next(t *testing.T) post {
	t.Helper()
	select {
	case p := <-u.posts:
		return p
	case <-time.After(hurry):
		t.Fatal("nothing was posted")
		return post{}
	}
}

// message is an answer in a chat of this Open WebUI.
func (u *webUI) message(t *testing.T, id string) Message {
	t.Helper()
	m, ok := MessageOf(u.URL, "token-of-alice", http.Header{headerChat: {"chat-1"}, headerMessage: {id}})
	if !ok {
		t.Fatal("no message")
	}
	return m
}

// logBuffer is a log that may be written while it is read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newPoster(t *testing.T) (*Poster, *logBuffer) {
	log := &logBuffer{}
	p := NewPoster(slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(p.Close)
	return p, log
}

// drained waits until nothing is left to be posted.
func (p *Poster) drained() { p.work.Wait() }

func TestPost(t *testing.T) {
	u := newWebUI(t)
	p, log := newPoster(t)
	p.Say(Line{Message: u.message(t, "m_1"), Topic: "a", Text: "Reading\n<b>\u202e" + strings.Repeat("x", 1000)})
	p.Say(Line{Message: u.message(t, "m_2"), Topic: "a", Text: "over", Done: true})
	got := u.next(t)
	want := post{"POST /api/v1/chats/chat-1/messages/m_1/event", "Bearer token-of-alice",
		`{"type":"status","data":{"description":"Reading \u003cb\u003e ` + strings.Repeat("x", maxText-12) + `…","done":false}}`, got.at}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(post{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got = u.next(t); got.body != `{"type":"status","data":{"description":"over","done":true}}` {
		t.Errorf("the next is %+v", got)
	}
	if log.String() != "" {
		t.Errorf("the log says %s", log)
	}
}

func TestMessageOf(t *testing.T) {
	long := strings.Repeat("a", 100)
	good := http.Header{headerChat: {"aB-_9"}, headerMessage: {long}}
	if m, ok := MessageOf("https://x.example/base", "t", good); !ok || m.url != "https://x.example/base/api/v1/chats/aB-_9/messages/"+long+"/event" {
		t.Errorf("%v, %v", m, ok)
	}
	if text := fmt.Sprintf("%v %+v %s", Message{"u", "secret"}, Message{"u", "secret"}, Message{"u", "secret"}); strings.Contains(text, "secret") {
		t.Errorf("a message prints as %s", text)
	}
	for _, odd := range []string{"", "a/b", "..", "a%2fb", "a?b", "a#b", "local:x", "a b", "é", "a\n", long + "a"} {
		for _, h := range []http.Header{
			{headerChat: {odd}, headerMessage: {"m"}}, {headerChat: {"c"}, headerMessage: {odd}}, {headerChat: {"c", "c"}, headerMessage: {"m"}},
			{headerChat: {"c"}}, {headerMessage: {"m"}},
		} {
			if m, ok := MessageOf("https://x.example", "t", h); ok {
				t.Errorf("%v names the message %v", h, m)
			}
		}
	}
	if _, ok := MessageOf("", "t", good); ok {
		t.Error("there is a message without Open WebUI")
	}
	if _, ok := MessageOf("https://x.example", "", good); ok {
		t.Error("there is a message without a token")
	}
}

// TestRate: a chatty call costs Open WebUI one request a second, the newest line
// wins, and other messages do not wait.
func TestRate(t *testing.T) {
	p, _ := newPoster(t)
	p.busy = true // so that the test is who takes the lines
	noisy, other := Message{url: "noisy"}, Message{url: "other"}
	start := time.Now()
	var got []string
	for ms := range 6000 { // a line each millisecond
		now := start.Add(time.Duration(ms) * time.Millisecond)
		p.Say(Line{Message: noisy, Topic: "call", Text: strconv.Itoa(ms)})
		switch ms {
		case 2500:
			p.Say(Line{Message: other, Topic: "call", Text: "other"})
		case 3500:
			p.Say(Line{Message: noisy, Topic: "login", Text: "link"})
		}
		if l, wait, some := p.next(now); wait == 0 {
			got = append(got, l.Text+" at "+strconv.Itoa(ms))
		} else if !some || wait > pause {
			t.Fatalf("at %d: %v, %v", ms, wait, some)
		}
	}
	want := []string{
		"0 at 0", "1000 at 1000", "2000 at 2000", "other at 2500", "3000 at 3000", "4000 at 4000", "link at 5000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(p.posted) > 2 {
		t.Errorf("%d messages are remembered", len(p.posted))
	}
}

// TestFull: what finds the queue full is dropped, nobody waits, and the end does
// not either.
func TestFull(t *testing.T) {
	u := newWebUI(t)
	u.hold = make(chan struct{})
	defer close(u.hold)
	p, _ := newPoster(t)
	p.Say(Line{Message: u.message(t, "first")})
	u.next(t)
	for i := range 3 * maxWaiting {
		p.Say(Line{Message: u.message(t, strconv.Itoa(i))})
	}
	p.mu.Lock()
	if len(p.waiting) != maxWaiting {
		t.Errorf("%d lines wait", len(p.waiting))
	}
	p.mu.Unlock()
	p.Close()
	p.Say(Line{Message: u.message(t, "late")})
	if len(u.posts) > 0 {
		t.Errorf("posted after the end: %v", <-u.posts)
	}
}

// TestRefusals: Open WebUI's troubles are logged once in a row, without the
// token, and redirects are not followed.
func TestRefusals(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusTemporaryRedirect} {
		u := newWebUI(t)
		u.status = status
		p, log := newPoster(t)
		for i := range 3 {
			p.Say(Line{Message: u.message(t, strconv.Itoa(i))})
			if got := u.next(t); strings.Contains(got.path, "elsewhere") {
				t.Errorf("a redirect was followed: %v", got)
			}
		}
		p.Close()
		text := log.String()
		if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, strconv.Itoa(status)) || strings.Contains(text, "alice") {
			t.Errorf("the log says %s", text)
		}
	}
	p, log := newPoster(t)
	m, _ := MessageOf("http://127.0.0.1:1", "token-of-alice", http.Header{headerChat: {"c"}, headerMessage: {"m"}})
	p.Say(Line{Message: m})
	p.drained()
	if text := log.String(); !strings.Contains(text, "refused") || strings.Contains(text, "alice") {
		t.Errorf("the log says %s", text)
	}
	var none *Poster
	none.Say(Line{Message: m})
	none.Close()
}

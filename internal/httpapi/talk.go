package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/chat"
	"mcpo/internal/upstream"
)

// talk is a request's line to the chat that it was made for. A nil talk has
// none.
type talk struct {
	poster *chat.Poster
	to     chat.Message
	server string
	what   string // the tool
	topic  string

	mu    sync.Mutex
	spoke time.Time // when something was said of the call; zero before
	over  bool      // the call is
}

// breath is the least time between two lines of a call: a server may have more
// to say than anybody can read.
const breath = 100 * time.Millisecond

// talkOf finds the answer in a chat that a request is for. It takes Open WebUI's
// own session token, verified and the caller's, since that goes back there.
func (h *Handler) talkOf(r *http.Request, m *mount, who caller.ID, what, id string) *talk {
	if h.opts.Chat == nil || m.webUI == "" {
		return nil
	}
	token, whose, found := m.identify.Session(r)
	if !found || who.IsOne() && whose.ID != who {
		return nil
	}
	to, ok := chat.MessageOf(m.webUI, token, r.Header)
	if !ok {
		return nil
	}
	return &talk{poster: h.opts.Chat, to: to, server: m.server.Name(), what: what, topic: "call " + id}
}

// listen makes a request whose call is followed.
func (t *talk) listen(r *http.Request) *http.Request {
	if t == nil {
		return r
	}
	return r.WithContext(upstream.WithListener(r.Context(), t.hear))
}

// hear shows what the server says while the call runs.
func (t *talk) hear(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.over || now.Sub(t.spoke) < breath { // over: said at the last moment, and heard after it
		return
	}
	t.spoke = now
	t.poster.Say(chat.Line{Message: t.to, Topic: t.topic, Text: t.server + ": " + text})
}

// end shows what came of the call. Where a login is needed it shows the link,
// and hopes for it.
func (t *talk) end(err error, who caller.ID, all *hopes) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	if !t.spoke.IsZero() {
		end := " is done"
		if err != nil {
			end = " has failed"
		}
		t.poster.Say(chat.Line{Message: t.to, Topic: t.topic, Text: t.server + ": " + t.what + end, Done: true})
	}
	var refused *answer
	if !errors.As(err, &refused) {
		return
	}
	if detail, ok := refused.detail.(loginDetail); ok {
		if all.add(hope{server: t.server, who: who, to: t.to, text: detail.Message, until: time.Now().Add(hopeTime)}) {
			t.poster.Say(chat.Line{Message: t.to, Topic: loginTopic(t.server), Text: detail.Message})
		}
	}
}

func loginTopic(server string) string { return "login " + server }

// hope is a message that is to be told of a login when it is made.
type hope struct {
	server string
	who    caller.ID
	to     chat.Message
	text   string // that the message shows
	until  time.Time
}

const (
	// hopeTime is how long after its link was told a login may still be made.
	hopeTime = 20 * time.Minute
	maxHopes = 1000
)

// hopes are the messages that wait for a login, the oldest first.
type hopes struct {
	mu  sync.Mutex
	all []hope
}

// add reports whether the text is new to the message: models ask more than once.
func (h *hopes) add(n hope) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	news = true
	h.all = slices.DeleteFunc(h.all, func(o hope) bool {
		same := o.server == n.server && o.who == n.who && o.to == n.to
		news = news && !(same && o.text == n.text)
		return same || now.After(o.until)
	})
	if len(h.all) >= maxHopes {
		h.all = slices.Delete(h.all, 0, 1)
	}
	h.all = append(h.all, n)
	return news
}

// take gives the messages that wait for the caller's login, for the last time.
func (h *hopes) take(server string, who caller.ID) (to []chat.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.all = slices.DeleteFunc(h.all, func(o hope) bool {
		met := o.server == server && o.who == who
		if met && now.Before(o.until) {
			to = append(to, o.to)
		}
		return met
	})
	return to
}

// Connected is told of each login that was made. It is shown in the chats in
// which it was asked for.
func (h *Handler) Connected(server string, who caller.ID) {
	for _, to := range h.hopes.take(server, who) {
		h.opts.Chat.Say(chat.Line{Message: to, Topic: loginTopic(server), Text: server + " is connected. Ask again.", Done: true})
	}
}

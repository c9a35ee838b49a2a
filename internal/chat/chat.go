// Package chat shows lines above answers in Open WebUI's chats, while they are
// being made: that a login is needed, that it is done, how far a call has come.
//
// The walk of a line: it waits in a short queue, where a newer one of the same
// topic takes its place; one goroutine, which is there only while something
// waits, posts it to Open WebUI with the session token of the person whose chat
// it is. All of it is best effort: what finds the queue full, or Open WebUI slow
// or unwilling, is lost, and nobody waits for it.
//
// The package owns the queue and its connections to Open WebUI. A token goes
// nowhere but to the Open WebUI that the operator named.
package chat

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// Headers in which Open WebUI says which answer a request is for.
const (
	headerChat    = "X-Openwebui-Chat-Id"
	headerMessage = "X-Openwebui-Message-Id"
)

// Message is one answer in one person's chat. Messages are comparable.
type Message struct {
	url   string // that takes its events
	token string // the person's session at Open WebUI
}

// LogValue keeps the token out of logs.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.url) }

// String keeps the token out of all other texts.
func (m Message) String() string { return m.url }

// MessageOf finds out which answer a request is for. webUI is where Open WebUI
// answers, without a slash at its end, and token the person's session there. ok
// is false when any of them is missing or odd.
func MessageOf(webUI, token string, h http.Header) (m Message, ok bool) {
	chats, messages := h[headerChat], h[headerMessage]
	if webUI == "" || token == "" || len(chats) != 1 || len(messages) != 1 || !isID(chats[0]) || !isID(messages[0]) {
		return Message{}, false
	}
	return Message{
		url: webUI + "/api/v1/chats/" + url.PathEscape(chats[0]) + "/messages/" + url.PathEscape(messages[0]) + "/event", token: token,
	}, true
}

// isID reports whether a text is fit for an id. Temporary chats, which Open
// WebUI does not keep, have others, and take no lines.
func isID(s string) bool {
	odd := func(c rune) bool {
		return !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_')
	}
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, odd)
}

// Line is a line above an answer.
type Line struct {
	Message Message
	// Topic tells lines apart that replace each other while they wait from those
	// that do not.
	Topic string
	// Text is shown to the person. It may be a stranger's.
	Text string
	// Done says that nothing more is to be expected of the topic for now.
	Done bool
}

// maxText is how many characters of a text are shown.
const maxText = 500

// plain is text as one line of people's characters.
func plain(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxText {
			text = text[:i] + "…"
			break
		}
	}
	odd := func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c)
	}
	return strings.Join(strings.FieldsFunc(text, odd), " ")
}

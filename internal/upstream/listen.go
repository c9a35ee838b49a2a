package upstream

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
)

type listenerKey struct{}

// WithListener makes a context for [Server.Call] in which hear is told, in text
// for people, how far the call has come. The text is the server's own. hear must
// return at once; it may be called from many goroutines.
func WithListener(ctx context.Context, hear func(text string)) context.Context {
	return context.WithValue(ctx, listenerKey{}, hear)
}

// listeners are the calls on one connection that somebody follows.
type listeners struct {
	mu   sync.Mutex
	last int64
	by   map[string]func(text string) // by the call's progress token
}

// add follows a call until done, if ctx has a listener; token is "" where it has
// none.
func (l *listeners) add(ctx context.Context) (token string, done func()) {
	hear, ok := ctx.Value(listenerKey{}).(func(string))
	if !ok {
		return "", func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]func(string){}
	}
	l.last++
	token = "call-" + strconv.FormatInt(l.last, 10)
	l.by[token] = hear
	return token, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.by, token)
	}
}

func (l *listeners) none() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.by) == 0
}

// progress passes a notification on to the call that it names (MCP
// specification, "Progress").
func (l *listeners) progress(params json.RawMessage) {
	var m map[string]json.RawMessage
	if l.none() || json.Unmarshal(params, &m) != nil {
		return
	}
	l.mu.Lock()
	hear := l.by[text(m["progressToken"])]
	l.mu.Unlock()
	if said := progressText(m); hear != nil && said != "" {
		hear(said)
	}
}

// progressText is the message of a notification and its numbers, as far as they
// are there.
func progressText(m map[string]json.RawMessage) string {
	at, of, said := number(m["progress"]), number(m["total"]), text(m["message"])
	if at != "" && of != "" {
		at += " of " + of
	}
	switch {
	case said == "":
		return at
	case of == "" || at == "":
		return said
	}
	return said + " (" + at + ")"
}

// logged passes on what a server writes to its log for people (MCP
// specification, "Logging"). It does not name the call, so all hear it; the
// connection must be one person's.
func (l *listeners) logged(params json.RawMessage) {
	var m map[string]json.RawMessage
	if l.none() || json.Unmarshal(params, &m) != nil || text(m["level"]) == "debug" {
		return
	}
	said := text(m["data"])
	var data map[string]json.RawMessage
	if json.Unmarshal(m["data"], &data) == nil { // as structured loggers write it
		if said = text(data["message"]); said == "" {
			said = text(data["msg"])
		}
	}
	if said = strings.TrimSpace(said); said == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, hear := range l.by {
		hear(said)
	}
}

// text reads a JSON string; anything else is "".
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

// number is a JSON number as it was written; anything else is "".
func number(raw json.RawMessage) string {
	var n json.Number
	if len(raw) == 0 || len(raw) > 20 || raw[0] == '"' || json.Unmarshal(raw, &n) != nil {
		return ""
	}
	return n.String()
}

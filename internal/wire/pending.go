package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"
)

// pending finds the waiting call for each reply of a conversation in which all
// replies share one stream (stdio, SSE). Ids are integers that are never used
// twice in a conversation, so a late or invented reply meets nobody.
type pending struct {
	mu    sync.Mutex
	next  int64
	slots map[int64]chan outcome
	err   error // why the conversation ended; set once
}

// outcome is what a waiting call receives, exactly once.
type outcome struct {
	reply Reply
	err   error
}

// register makes a slot for one call. It fails with the reason when the
// conversation has ended.
func (p *pending) register() (id int64, slot <-chan outcome, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, nil, p.err
	}
	if p.slots == nil {
		p.slots = make(map[int64]chan outcome)
	}
	p.next++
	c := make(chan outcome, 1)
	p.slots[p.next] = c
	return p.next, c, nil
}

// forget gives a slot up; a reply that still comes is dropped. It reports
// whether the call was still waiting.
func (p *pending) forget(id int64) bool {
	return p.take(id) != nil
}

func (p *pending) take(id int64) chan outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.slots[id]
	delete(p.slots, id)
	return c
}

// settle ends the call with that id and reports whether one was waiting.
func (p *pending) settle(id int64, o outcome) bool {
	c := p.take(id)
	if c == nil {
		return false
	}
	c <- o // never blocks: the slot holds one and was taken once
	return true
}

// deliver hands a reply to the call that it answers.
func (p *pending) deliver(m message) bool {
	id, ok := replyID(m.id)
	return ok && p.settle(id, outcome{reply: m.reply()})
}

// oversized fails the call that a message answers which is too large to be
// read, of which only the ends are known. If the id stands in neither, a single
// waiting call is meant. It reports whether there was such a call.
func (p *pending) oversized(ends []byte) bool {
	id, ok := guessID(ends)
	if !ok {
		id, ok = p.only()
	}
	return ok && p.settle(id, outcome{err: ErrReplyTooLarge})
}

// dispatch hands each message of a line or event to whom it belongs: replies
// to their calls, notifications to h, and to answer what is to be answered of
// the server's own requests.
func (p *pending) dispatch(messages []message, h Handler, answer func(frame []byte)) {
	for _, m := range messages {
		switch {
		case m.method == nil:
			p.deliver(m)
		case m.id != nil:
			if asks(m) {
				answer(appendAnswer(nil, m))
			}
		case h.Notification != nil:
			h.Notification(m.methodName(), m.params)
		}
	}
}

// fail ends all calls in flight, and every later one, with err. Only the
// first reason counts.
func (p *pending) fail(err error) {
	p.mu.Lock()
	slots := p.slots
	p.slots = nil
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	for _, c := range slots {
		c <- outcome{err: err}
	}
}

// only gives the id of the one call in flight, if there is just one.
func (p *pending) only() (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slots) != 1 {
		return 0, false
	}
	for id := range p.slots {
		return id, true
	}
	return 0, false
}

// replyID reads an id as we write them. Some servers answer with the number
// as a string.
func replyID(raw json.RawMessage) (int64, bool) {
	s := string(raw)
	if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil
}

// reason says why the conversation ended, or nil while it goes on.
func (p *pending) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// guessID looks for the id in the first and last bytes of a message that is
// too large to be read: the last "id" member whose value is an integer.
func guessID(ends []byte) (int64, bool) {
	for {
		i := bytes.LastIndex(ends, []byte(`"id":`))
		if i < 0 {
			return 0, false
		}
		value := bytes.TrimLeft(ends[i+5:], " ")
		n := bytes.IndexAny(value, ",}")
		if n > 0 {
			if id, ok := replyID(bytes.TrimSpace(value[:n])); ok {
				return id, true
			}
		}
		ends = ends[:i]
	}
}

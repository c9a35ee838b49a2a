package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
)

// answers reports whether a response belongs to the one request of its POST.
// A server that could not read the request answers with null, or a word, for
// the id.
func answers(m message, id int64) bool {
	got, ok := replyID(m.id)
	return got == id || !ok && m.err != nil
}

// readReply reads an answer in JSON: a message or a batch of them.
func (c *streamable) readReply(resp *http.Response, id int64) (Reply, error) {
	defer resp.Body.Close()
	body, err := readBody(resp.Body, resp.ContentLength, c.max)
	if err != nil {
		return Reply{}, fmt.Errorf("reading the server's answer: %w", err)
	}
	messages, err := splitMessages(bytes.TrimPrefix(body, []byte("\uFEFF")))
	if err != nil {
		return Reply{}, fmt.Errorf("reading the server's answer: %w", err)
	}
	for _, m := range messages {
		if reply, ok := c.receive(m, id); ok {
			return reply, nil
		}
	}
	return Reply{}, errors.New("the server's answer holds no response to the request")
}

// receive takes one message that came in answer to the request with that id,
// or unasked where id is 0. It returns the reply when the message is it.
func (c *streamable) receive(m message, id int64) (Reply, bool) {
	switch {
	case m.method == nil:
		if id != 0 && answers(m, id) {
			return m.reply(), true
		}
	case m.id != nil:
		if asks(m) {
			c.beside(Request{}, appendAnswer(nil, m))
		}
	case c.handler.Notification != nil:
		c.handler.Notification(m.methodName(), m.params)
	}
	return Reply{}, false
}

// refusal reads an answer outside of 2xx. A JSON-RPC error in it is the reply,
// unless the status itself is what matters.
func (c *streamable) refusal(ctx context.Context, resp *http.Response, id int64, inSession bool) (Reply, error) {
	status, text := statusError(resp)
	err := c.refused(status, inSession)
	if NotExecuted(err) || status.Code == http.StatusMethodNotAllowed {
		return Reply{}, err
	}
	reply, own := errorReply(text, id)
	if status.Code == http.StatusBadRequest && inSession && !own && c.sessionGone(ctx) {
		c.lose(ErrSessionLost)
		return Reply{}, notExecuted{ErrSessionLost}
	}
	if reply.Error != nil {
		return reply, nil
	}
	return Reply{}, err
}

// errorReply looks for a JSON-RPC error in the text of a refusal. own tells
// that it names the request's id, so that the server did read the request.
func errorReply(text []byte, id int64) (reply Reply, own bool) {
	messages, _ := splitMessages(text)
	for _, m := range messages {
		if m.method == nil && m.err != nil && answers(m, id) {
			got, _ := replyID(m.id)
			return m.reply(), got == id
		}
	}
	return Reply{}, false
}

// sessionGone asks, after status 400, whether the server refuses all that is
// said in this MCP session. Many servers answer so instead of with the 404 of
// the specification when they do not know a session, and what else a 400 means
// is not to end it.
func (c *streamable) sessionGone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, choreLimit)
	defer cancel()
	id, ping := c.ids.Add(1), Request{Method: "ping"}
	resp, err := c.send(ctx, http.MethodPost, c.url, c.agree.Load().postHeader(ping), appendRequest(nil, id, ping.Method, nil))
	if err != nil {
		return false
	}
	if resp.StatusCode/100 == 2 {
		resp.Body.Close()
		return false
	}
	status, text := statusError(resp)
	_, own := errorReply(text, id)
	return status.Code == http.StatusNotFound || status.Code == http.StatusBadRequest && !own
}

// refused is the error for an answer outside of 2xx to a message that was
// posted with or without an MCP session.
func (c *streamable) refused(status *StatusError, inSession bool) error {
	if status.Code == http.StatusNotFound && inSession {
		c.lose(ErrSessionLost)
		return notExecuted{ErrSessionLost}
	}
	return unauthorized(status)
}

package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// sse is a Conn over HTTP+SSE, the transport of protocol version 2024-11-05:
// one event stream carries all that the server says, and each message to it is
// a POST to the endpoint that the stream's first event names. One goroutine
// reads the stream.
type sse struct {
	*peer
	handler  Handler
	endpoint *url.URL
	max      int // bytes of one message

	calls pending
	*chores
	done chan struct{}
}

// DialSSE opens the event stream and waits for the endpoint event. ctx bounds
// that; the conversation outlives it.
func DialSSE(ctx context.Context, o HTTPOptions) (Conn, error) {
	return dialSSE(ctx, o, MaxMessage)
}

func dialSSE(ctx context.Context, o HTTPOptions, max int) (Conn, error) {
	c := &sse{peer: newPeer(o), handler: o.Handler, max: max, done: make(chan struct{})}
	c.chores = newChores(ctx)
	detach := context.AfterFunc(ctx, func() { c.cancel(context.Cause(ctx)) })
	body, events, err := c.connect()
	if !detach() && err == nil {
		body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		c.cancel(err)
		c.free()
		return nil, fmt.Errorf("opening the event stream: %w", err)
	}
	c.start(func(context.Context) { c.read(body, events) })
	return c, nil
}

// connect opens the stream and reads it up to the endpoint event.
func (c *sse) connect() (io.ReadCloser, *eventReader, error) {
	header := c.header.Clone()
	header.Set("Accept", typeEvents)
	header.Set("Cache-Control", "no-store")
	resp, err := c.send(c.ctx, http.MethodGet, c.url, header, nil)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		status, _ := statusError(resp)
		return nil, nil, unauthorized(status)
	}
	if declared := mediaType(resp); declared != typeEvents {
		resp.Body.Close()
		return nil, nil, fmt.Errorf("the server's answer is of type %q, no event stream", declared)
	}
	events := newEventReader(resp.Body, c.max)
	c.endpoint, err = c.readEndpoint(events)
	if err != nil {
		resp.Body.Close()
		return nil, nil, err
	}
	return resp.Body, events, nil
}

// readEndpoint waits for the endpoint event. Messages, with the headers that
// are configured for the server, go nowhere but to its own origin.
func (c *sse) readEndpoint(events *eventReader) (*url.URL, error) {
	for {
		e, err := events.next()
		if err != nil {
			return nil, fmt.Errorf("reading the endpoint event: %w", err)
		}
		if e.name != "endpoint" {
			continue
		}
		endpoint, err := c.url.Parse(string(e.data))
		if err != nil {
			return nil, errors.New("the server's endpoint event holds no valid URL")
		}
		endpoint.Fragment = ""
		if !sameOrigin(endpoint, c.url) {
			return nil, fmt.Errorf("the server names an endpoint of another origin, %s://%s, which is refused", endpoint.Scheme, endpoint.Host)
		}
		return endpoint, nil
	}
}

// read hands each message of the stream to whom it belongs, until the stream
// ends and with it the conversation.
func (c *sse) read(body io.ReadCloser, events *eventReader) {
	defer body.Close()
	for {
		e, err := events.next()
		switch {
		case errors.Is(err, ErrReplyTooLarge):
			if !c.calls.oversized(e.data) {
				c.log.Warn("the server sent a message that is too large; it is skipped", "limit_bytes", c.max)
			}
		case err != nil:
			c.end(err)
			return
		case len(e.data) > 0 && (e.name == "" || e.name == "message"):
			c.receive(e.data)
		}
	}
}

// receive handles one message, or a batch of them.
func (c *sse) receive(data []byte) {
	messages, err := splitMessages(data)
	if err != nil {
		c.log.Warn("the server sent an event that is no JSON-RPC message; it is skipped", "error", err)
		return
	}
	c.calls.dispatch(messages, c.handler, func(answer []byte) { c.beside(nil, answer) })
}

// end ends the conversation: what is in flight may have run, what comes later
// will not.
func (c *sse) end(reason error) {
	if c.ctx.Err() != nil {
		reason = context.Cause(c.ctx)
	} else {
		reason = fmt.Errorf("the server's event stream ended: %w", reason)
	}
	c.calls.fail(reason)
	c.cancel(reason)
	close(c.done)
}

// Call implements Conn.
func (c *sse) Call(ctx context.Context, req Request) (Reply, error) {
	id, slot, err := c.calls.register()
	if err != nil {
		return Reply{}, notExecuted{err}
	}
	body := appendRequest(make([]byte, 0, 80+len(req.Method)+len(req.Params)), id, req.Method, req.Params)
	if err := c.post(ctx, req.Header, body); err != nil {
		return c.unposted(ctx, id, slot, req, err)
	}
	select {
	case o := <-slot:
		return o.reply, o.err
	case <-ctx.Done():
		c.giveUp(id, req)
		return Reply{}, context.Cause(ctx)
	}
}

// unposted is the outcome of a call whose POST failed.
func (c *sse) unposted(ctx context.Context, id int64, slot <-chan outcome, req Request, err error) (Reply, error) {
	if ctx.Err() != nil {
		if NotExecuted(err) {
			c.calls.forget(id)
			return Reply{}, notExecuted{context.Cause(ctx)}
		}
		c.giveUp(id, req)
		return Reply{}, context.Cause(ctx)
	}
	if !c.calls.forget(id) { // the reply came, or the conversation's end
		o := <-slot
		return o.reply, o.err
	}
	return Reply{}, err
}

// giveUp forgets a call and tells the server so.
func (c *sse) giveUp(id int64, req Request) {
	if c.calls.forget(id) && req.Method != methodInitialize {
		c.beside(req.Header, appendNotification(nil, methodCancelled, cancelParams(id)))
	}
}

// Notify implements Conn.
func (c *sse) Notify(ctx context.Context, method string, params json.RawMessage) error {
	if err := c.Err(); err != nil {
		return notExecuted{err}
	}
	err := c.post(ctx, nil, appendNotification(nil, method, params))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// post sends one message, with headers of its own over the configured ones.
func (c *sse) post(ctx context.Context, own http.Header, body []byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })
	defer stop()
	header := c.header.Clone()
	forward(header, own)
	header.Set("Content-Type", typeJSON)
	resp, err := c.send(ctx, http.MethodPost, c.endpoint, header, body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		status, _ := statusError(resp)
		return unauthorized(status)
	}
	discard(resp.Body)
	return nil
}

// beside posts a message in the background, if nothing prevents it.
func (c *sse) beside(own http.Header, body []byte) {
	c.later(func(ctx context.Context) {
		if err := c.post(ctx, own, body); err != nil {
			c.log.Debug("the server did not take a message", "error", err)
		}
	})
}

// SetProtocol implements Conn; this transport does not show the version.
func (c *sse) SetProtocol(string) {}

// Done implements Conn.
func (c *sse) Done() <-chan struct{} { return c.done }

// Err implements Conn.
func (c *sse) Err() error { return c.calls.reason() }

// Close implements Conn. The server sees the stream close.
func (c *sse) Close(ctx context.Context) error {
	c.stop(ctx, ErrClosed)
	c.free()
	return nil
}

package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	methodInitialized = "notifications/initialized"
	methodCancelled   = "notifications/cancelled"
)

// streamable is a Conn over streamable HTTP (MCP specification, Transports).
// Each message is its own POST, and nothing is shared between calls but the
// header that names the session, so what goes wrong with one costs no other.
type streamable struct {
	*peer
	handler Handler
	listens bool
	max     int // bytes of one message

	ids   atomic.Int64
	agree atomic.Pointer[agreement]
	*chores
	done chan struct{}

	mu        sync.Mutex
	err       error  // why done is closed
	listening func() // ends the listening stream; nil when there is none
}

// agreement is what the handshake settled. It is never changed, only replaced.
type agreement struct {
	protocol, session string
	header            http.Header // of every POST
}

// stateless reports whether the agreed protocol has neither sessions nor
// streams that can be resumed, and wants Mcp-Method and its like.
func (a *agreement) stateless() bool { return a.protocol >= ProtocolStateless }

// DialHTTP makes a Conn over streamable HTTP. Nothing is sent before the first
// Call, and a URL that is of no use is that call's error.
func DialHTTP(o HTTPOptions) Conn {
	c := &streamable{peer: newPeer(o), handler: o.Handler, listens: o.Listen, max: MaxMessage, done: make(chan struct{})}
	c.chores = newChores(context.Background())
	c.settle(func(*agreement) {})
	return c
}

// settle replaces the agreement.
func (c *streamable) settle(change func(*agreement)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next agreement
	if old := c.agree.Load(); old != nil {
		next = *old
	}
	change(&next)
	next.header = c.header.Clone()
	next.header.Set("Accept", typeJSON+", "+typeEvents)
	next.header.Set("Content-Type", typeJSON)
	if next.protocol != "" {
		next.header.Set(headerProtocol, next.protocol)
	}
	if next.session != "" {
		next.header.Set(headerSession, next.session)
	}
	c.agree.Store(&next)
}

// SetProtocol implements Conn.
func (c *streamable) SetProtocol(version string) {
	c.settle(func(a *agreement) { a.protocol = version })
}

// postHeader is the header of one request's POST.
func (a *agreement) postHeader(req Request) http.Header {
	h := a.header.Clone()
	forward(h, req.Header)
	if req.Method == methodInitialize { // begins anew
		h.Del(headerProtocol)
		h.Del(headerSession)
	} else if a.stateless() {
		h.Set(headerMethod, req.Method)
		if req.Name != "" {
			h.Set(headerName, encodeHeaderValue(req.Name))
		}
		for name, values := range req.ParamHeaders {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	return h
}

// Call implements Conn.
func (c *streamable) Call(ctx context.Context, req Request) (Reply, error) {
	if err := c.Err(); err != nil {
		return Reply{}, notExecuted{err}
	}
	id := c.ids.Add(1)
	s := c.begin(ctx)
	reply, err := c.exchange(s, id, req)
	s.end()
	if err == nil {
		c.handshake(req, reply)
		return reply, nil
	}
	reason := err
	if ctx.Err() != nil {
		reason = context.Cause(ctx)
	} else if c.ctx.Err() != nil {
		reason = context.Cause(c.ctx)
	}
	if NotExecuted(err) {
		return Reply{}, notExecuted{reason}
	}
	if ctx.Err() != nil && req.Method != methodInitialize && !c.agree.Load().stateless() {
		c.beside(Request{Method: methodCancelled, Header: req.Header},
			appendNotification(nil, methodCancelled, cancelParams(id)))
	}
	return Reply{}, reason
}

// scope is the context of one call. It ends with the caller's context, with
// the conversation, or with the call, whichever is first.
type scope struct {
	context.Context
	cancel   context.CancelCauseFunc
	caller   func() bool // stops listening to the caller's context
	conn     func() bool // stops listening to the conversation's
	outlives bool        // a stream is still being read when the call is over
}

func (c *streamable) begin(ctx context.Context) *scope {
	var s scope
	s.Context, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.caller = context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	s.conn = context.AfterFunc(c.ctx, func() { s.cancel(context.Cause(c.ctx)) })
	return &s
}

// end is called when the call is over.
func (s *scope) end() {
	s.caller()
	if !s.outlives {
		s.free()
	}
}

func (s *scope) free() {
	s.conn()
	s.cancel(nil)
}

// exchange posts a request and reads its answer.
func (c *streamable) exchange(s *scope, id int64, req Request) (Reply, error) {
	body := appendRequest(make([]byte, 0, 80+len(req.Method)+len(req.Params)), id, req.Method, req.Params)
	header := c.agree.Load().postHeader(req)
	resp, err := c.send(s, http.MethodPost, c.url, header, body)
	if err != nil {
		return Reply{}, err
	}
	if resp.StatusCode/100 != 2 {
		return c.refusal(s, resp, id, header.Get(headerSession) != "")
	}
	if req.Method == methodInitialize {
		session := resp.Header.Get(headerSession)
		c.settle(func(a *agreement) { a.session = session })
	}
	switch declared := mediaType(resp); {
	case declared == typeEvents:
		return c.follow(s, resp.Body, id)
	case resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent:
		resp.Body.Close()
		return Reply{}, fmt.Errorf("the server accepted the request (status %d) and did not answer it", resp.StatusCode)
	case declared == typeJSON || declared == "":
		return c.readReply(resp, id)
	default:
		status, _ := statusError(resp)
		return Reply{}, fmt.Errorf("the server's answer is %s, neither JSON nor an event stream: %w", declared, status)
	}
}

// Notify implements Conn.
func (c *streamable) Notify(ctx context.Context, method string, params json.RawMessage) error {
	if err := c.Err(); err != nil {
		return notExecuted{err}
	}
	s := c.begin(ctx)
	defer s.end()
	err := c.post(s, Request{Method: method}, appendNotification(nil, method, params))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && method == methodInitialized && c.listens && !c.agree.Load().stateless() {
		c.listen(c.hear)
	}
	return err
}

// post sends a message that has no reply. req gives the header.
func (c *streamable) post(ctx context.Context, req Request, body []byte) error {
	header := c.agree.Load().postHeader(req)
	resp, err := c.send(ctx, http.MethodPost, c.url, header, body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		status, _ := statusError(resp)
		return c.refused(status, header.Get(headerSession) != "")
	}
	if resp.ContentLength == 0 || mediaType(resp) == typeEvents {
		return resp.Body.Close()
	}
	discard(resp.Body)
	return nil
}

// beside posts a message in the background, if nothing prevents it.
func (c *streamable) beside(req Request, body []byte) {
	c.later(func(ctx context.Context) {
		if err := c.post(ctx, req, body); err != nil {
			c.log.Debug("the server did not take a message", "method", req.Method, "error", err)
		}
	})
}

// lose ends the conversation once, with the reason.
func (c *streamable) lose(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = reason
		close(c.done)
	}
}

// Done implements Conn.
func (c *streamable) Done() <-chan struct{} { return c.done }

// Err implements Conn.
func (c *streamable) Err() error {
	select {
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	default:
		return nil
	}
}

// Close implements Conn: it cuts off calls and streams, and tells the server
// that the MCP session is over, which a server may not care about.
func (c *streamable) Close(ctx context.Context) error {
	known := c.Err() == nil
	c.lose(ErrClosed)
	flushing, flushed := context.WithTimeout(ctx, flushLimit)
	c.flush(flushing)
	flushed()
	c.cancel(ErrClosed)
	if a := c.agree.Load(); known && a.session != "" {
		c.endSession(ctx, a)
	}
	c.stop(ctx, ErrClosed)
	c.free()
	return nil
}

func (c *streamable) endSession(ctx context.Context, a *agreement) {
	ctx, cancel := context.WithTimeout(ctx, choreLimit)
	defer cancel()
	header := a.header.Clone()
	header.Del("Content-Type")
	resp, err := c.send(ctx, http.MethodDelete, c.url, header, nil)
	if err != nil {
		c.log.Debug("ending the MCP session failed", "error", err)
		return
	}
	discard(resp.Body)
}

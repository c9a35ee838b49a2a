package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	retryDefault = time.Second      // before a stream is asked for again
	retryMax     = 30 * time.Second // whatever the server says
	resumeTries  = 5                // in a row that bring no event
	listenMax    = 5 * time.Minute  // between tries to listen that fail
	drainLimit   = time.Second      // for a stream to end after its response

	methodListen = "subscriptions/listen"
)

var errStreamEnded = errors.New("the server closed the stream before answering")

// follow reads the event stream that answers a request until the response
// comes. Where the server gave its events ids, a stream that breaks off is
// resumed ("Resumability and Redelivery").
func (c *streamable) follow(s *scope, body io.ReadCloser, id int64) (Reply, error) {
	lastID, retry, tries := "", retryDefault, 0
	for {
		events := newEventReader(body, c.max)
		events.id, events.lastID = lastID, lastID
		reply, got, err := c.readStream(events, id)
		if err == nil {
			c.drain(s, body)
			return reply, nil
		}
		body.Close()
		if s.Err() != nil || errors.Is(err, ErrReplyTooLarge) {
			return Reply{}, err
		}
		if lastID = events.lastID; lastID == "" || c.agree.Load().stateless() {
			if errors.Is(err, io.EOF) {
				return Reply{}, errStreamEnded
			}
			return Reply{}, fmt.Errorf("%w: %w", errStreamEnded, err)
		}
		if events.retry > 0 {
			retry = min(events.retry, retryMax)
		}
		if got {
			tries = 0
		}
		if body, err = c.resume(s, lastID, retry, &tries); err != nil {
			// Not wrapped: that resuming was refused or not executed says
			// nothing of the request, which may have run.
			return Reply{}, fmt.Errorf("%w, and could not be resumed: %v", errStreamEnded, err)
		}
	}
}

// readStream reads events until the response to the request with that id, or
// for ever where id is 0. got tells whether any event came.
func (c *streamable) readStream(events *eventReader, id int64) (reply Reply, got bool, err error) {
	for {
		e, err := events.next()
		if errors.Is(err, ErrReplyTooLarge) {
			if of, known := guessID(e.data); id != 0 && (!known || of == id) {
				return Reply{}, true, err
			}
			c.log.Warn("the server sent a message that is too large; it is skipped", "limit_bytes", c.max)
			continue
		}
		if err != nil {
			return Reply{}, got, err
		}
		got = true
		if len(e.data) == 0 || e.name != "" && e.name != "message" {
			continue
		}
		messages, err := splitMessages(e.data)
		if err != nil {
			c.log.Warn("the server sent an event that is no JSON-RPC message; it is skipped", "error", err)
			continue
		}
		for _, m := range messages {
			if reply, ok := c.receive(m, id); ok {
				return reply, true, nil
			}
		}
	}
}

// drain lets a stream end by itself after its response, in the background, so
// that its connection can be used again.
func (c *streamable) drain(s *scope, body io.ReadCloser) {
	s.outlives = c.start(func(context.Context) {
		limit := time.AfterFunc(drainLimit, func() { s.cancel(nil) })
		discard(body)
		limit.Stop()
		s.free()
	})
	if !s.outlives {
		body.Close()
	}
}

// resume asks for the rest of a stream, a bounded number of times. tries counts
// on over the streams of a call that brought nothing.
func (c *streamable) resume(ctx context.Context, lastID string, retry time.Duration, tries *int) (io.ReadCloser, error) {
	err := errors.New("the streams that followed brought nothing")
	for *tries < resumeTries {
		if !wait(ctx, retry) {
			return nil, context.Cause(ctx)
		}
		*tries++
		var body io.ReadCloser
		if body, err = c.openStream(ctx, lastID); err == nil {
			return body, nil
		}
		if !mayPass(err) {
			break
		}
	}
	return nil, err
}

// openStream gets an event stream: the standalone one, or the rest of a
// request's where lastID is an event of it.
func (c *streamable) openStream(ctx context.Context, lastID string) (io.ReadCloser, error) {
	header := c.agree.Load().header.Clone()
	header.Del("Content-Type")
	header.Set("Accept", typeEvents)
	if lastID != "" {
		header.Set(headerLastID, lastID)
	}
	resp, err := c.send(ctx, http.MethodGet, c.url, header, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && mediaType(resp) == typeEvents {
		return resp.Body, nil
	}
	status, _ := statusError(resp)
	if status.Code == http.StatusNotFound && header.Get(headerSession) != "" {
		c.lose(ErrSessionLost)
		return nil, ErrSessionLost
	}
	return nil, status
}

// mayPass reports whether opening a stream may succeed at the next try.
func mayPass(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code >= 500 || status.Code == http.StatusTooManyRequests
	}
	return !errors.Is(err, ErrSessionLost)
}

// wait waits, and reports false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// handshake begins to listen after the handshake of 2026-07-28, which is the
// request server/discover. (That of older versions is a notification.)
func (c *streamable) handshake(req Request, reply Reply) {
	if c.listens && req.Method == methodDiscover && speaksStateless(reply) && c.agree.Load().stateless() && len(req.Params) > 2 {
		// The parameters are the _meta that this version asks for.
		params := append(req.Params[:len(req.Params)-1:len(req.Params)-1], `,"notifications":{"toolsListChanged":true}}`...)
		c.listen(func(ctx context.Context) { c.subscribe(ctx, Request{Method: methodListen, Params: params}) })
	}
}

// listen runs f in the background in place of what listened before.
func (c *streamable) listen(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(c.ctx)
	c.mu.Lock()
	before := c.listening
	c.listening = cancel
	c.mu.Unlock()
	if before != nil {
		before()
	}
	started := c.start(func(context.Context) {
		defer cancel()
		f(ctx)
	})
	if !started {
		cancel()
	}
}

// hear keeps the standalone stream open ("Listening for Messages from the
// Server"), until the server says that it has none.
func (c *streamable) hear(ctx context.Context) {
	lastID, retry, pause := "", retryDefault, retryDefault
	for {
		body, err := c.openStream(ctx, lastID)
		if err == nil {
			events := newEventReader(body, c.max)
			events.id, events.lastID = lastID, lastID
			_, got, _ := c.readStream(events, 0)
			body.Close()
			lastID = events.lastID
			if events.retry > 0 {
				retry = min(events.retry, retryMax)
			}
			if got {
				pause = retry
			}
		} else if !mayPass(err) {
			c.log.Debug("the server has no stream to listen to", "error", err)
			return
		}
		if !wait(ctx, pause) {
			return
		}
		pause = min(2*pause, listenMax)
	}
}

// subscribe keeps a subscriptions/listen request open (2026-07-28), whose
// stream carries the notifications asked for and whose response ends it.
func (c *streamable) subscribe(ctx context.Context, req Request) {
	for pause := retryDefault; ; pause = min(2*pause, listenMax) {
		began := time.Now()
		reply, err := c.Call(ctx, req)
		if err == nil && reply.Error != nil {
			err = reply.Error
			c.log.Debug("the server offers nothing to listen to", "error", err)
			return
		}
		if err != nil && !mayPass(err) {
			c.log.Debug("the server has no stream to listen to", "error", err)
			return
		}
		if time.Since(began) > listenMax {
			pause = retryDefault
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"mcpo/internal/wire"
)

// call sends a tool call, and sends it once more if it certainly did not run, or
// twice where a new login is made meanwhile.
func (c *connection) call(ctx context.Context, name string, args json.RawMessage, header http.Header) (wire.Reply, error) {
	token, done := c.listeners.add(ctx)
	defer done()
	for try := 1; ; try++ {
		session, err := c.await(ctx)
		if err != nil {
			return wire.Reply{}, err
		}
		tool, ok := c.tools.Load().find(name)
		if !ok {
			return wire.Reply{}, ErrUnknownTool
		}
		if c.dial.in.quiet {
			c.touched.Store(true)
		}
		reply, err := c.ask(ctx, session, tool, args, header, token)
		if err == nil || ctx.Err() != nil {
			return reply, c.late(err)
		}
		if goneFor(err) {
			held := c.heldBack(err)
			if !held {
				c.report(session)
			}
			// What held it back the second time may be another login, with which the
			// conversation was replaced.
			if try == 1 || held && try == 2 && c.session.Load() != session {
				continue
			}
		}
		return reply, c.explain(err)
	}
}

// late is what a call comes to whose time is over: one that was never sent, as
// nothing let it in, did not run.
func (c *connection) late(err error) error {
	if errors.Is(err, ErrTimeout) && wire.NotExecuted(err) {
		return c.unavailable(StateFailed, errUnsent)
	}
	return err
}

// explain tells a refusal of this one call, and what did not reach the server,
// from the loss of the connection.
func (c *connection) explain(err error) error {
	var status *wire.StatusError
	if errors.As(err, &status) || errors.Is(err, wire.ErrReplyTooLarge) || c.dial.in.required(err) {
		return err
	}
	if wire.NotExecuted(err) {
		return c.unavailable(StateFailed, err)
	}
	return &LostError{Server: c.cfg.Name, Err: err}
}

// report takes a connection that is of no more use out of service.
func (c *connection) report(session *wire.Session) {
	if !c.session.CompareAndSwap(session, nil) {
		return // somebody else did, or it was replaced already
	}
	c.set(StateStarting, wire.ErrSessionLost)
	select {
	case c.lost <- session:
	case <-c.ctx.Done():
	}
}

// get hands out the open connection, waiting while one is being opened.
func (c *connection) get(ctx context.Context) (*wire.Session, error) {
	if s := c.session.Load(); s != nil {
		return s, nil
	}
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	asked := -1 // the number of attempts when this call asked for one more
	for {
		c.mu.Lock()
		state, reason, wake, attempts, resting := c.state, c.err, c.wake, c.attempts, c.resting
		c.mu.Unlock()
		if s := c.session.Load(); s != nil {
			return s, nil
		}
		switch {
		case state == StateFailed:
			signal(c.nudge)
			return nil, c.unavailable(state, reason)
		case state != StateLoginRequired && resting: // between the loss and the next attempt
			signal(c.nudge)
		case state != StateLoginRequired:
		case asked >= 0 && attempts > asked:
			return nil, reason
		case asked < 0: // the login may have been made meanwhile
			asked = attempts
			signal(c.nudge)
		}
		select {
		case <-wake:
		case <-patience.C:
			return nil, c.unavailable(state, reason)
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), ErrTimeout) { // nothing was sent
				return nil, c.unavailable(state, reason)
			}
			return nil, context.Cause(ctx)
		case <-c.ctx.Done():
			return nil, ErrRemoved
		}
	}
}

func (c *connection) unavailable(state State, reason error) error {
	return &UnavailableError{Server: c.cfg.Name, State: state, RetryAfter: time.Second, Err: reason}
}

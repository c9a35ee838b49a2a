package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"mcpo/internal/wire"
)

// run is the connection's life.
func (c *connection) run() {
	defer close(c.ended)
	defer c.closing.Wait()
	wait := firstBackoff
	wasLost := false // an open connection was, and no other has been opened since
	for {
		born, login := time.Now(), c.logins.Load()
		session, err := c.openTraced()
		if err == nil && wasLost {
			c.dial.in.again.Add(1)
			wasLost = false
		}
		if err != nil && c.logins.Load() == login {
			c.failed(err)
		}
		c.firstTime.Do(func() { close(c.tried) }) // after the state, which who waited reads next
		if err == nil {
			err = c.keep(session, login)
			wasLost = !errors.Is(err, errOtherLogin)
			c.session.CompareAndSwap(session, nil)
			c.discard(session, err)
			c.set(StateStarting, err) // calls wait for a lost connection to come back
			if time.Since(born) > steady {
				wait = 0
			}
		}
		if c.ctx.Err() != nil {
			return
		}
		if c.logins.Load() != login { // whatever went wrong, it was the old login's
			wait = firstBackoff
			continue
		}
		if c.dial.in.required(err) {
			c.awaitLogin(err)
			wait = firstBackoff
			continue
		}
		c.log.Warn("server is not available; mcpo tries again", "error", err, "in", wait.String())
		if wait > 0 {
			c.pause(wait)
		}
		wait = min(max(2*wait, firstBackoff), maxBackoff)
		c.set(StateStarting, err)
	}
}

// failed says that an attempt to open a connection came to nothing.
func (c *connection) failed(err error) {
	c.mu.Lock()
	c.attempts++
	c.mu.Unlock()
	if c.dial.in.required(err) {
		c.set(StateLoginRequired, err)
	} else {
		c.set(StateFailed, err)
	}
}

// awaitLogin waits until somebody asks: a login was made, or may have been made
// by another process.
func (c *connection) awaitLogin(err error) {
	if !c.asked {
		c.log.Info("server needs a login", "reason", err)
	}
	c.asked = true
	close(c.out)
	c.out = make(chan struct{})
	c.set(StateLoginRequired, err)
	select {
	case <-c.nudge:
	case <-c.ctx.Done():
	}
}

// pause waits for about d, or until a call would like an attempt now, though
// not shorter than the first backoff.
func (c *connection) pause(d time.Duration) {
	select { // an old wish does not count
	case <-c.nudge:
	default:
	}
	c.rest(true)
	defer c.rest(false)
	least := time.NewTimer(firstBackoff)
	defer least.Stop()
	select {
	case <-least.C:
	case <-c.ctx.Done():
		return
	}
	rest := time.NewTimer(time.Duration(float64(d-firstBackoff) * (0.75 + rand.Float64()/2)))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-c.nudge:
	case <-c.ctx.Done():
	}
}

// open makes one attempt: dial, shake hands, list the tools.
func (c *connection) open(ctx context.Context) (*wire.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.ConnectTimeout,
		errors.New("the server did not finish its start in time (CONNECTION_TIMEOUT sets how long mcpo waits)"))
	defer cancel()
	session, err := c.dial.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.list(ctx, session); err != nil {
		c.discard(session, err)
		return nil, err
	}
	c.session.Store(session)
	c.asked = false
	c.set(StateConnected, nil)
	c.log.Info("server is connected", "name", wire.Line(session.Info.Name, 100), "version", wire.Line(session.Info.Version, 100),
		"protocol", session.Info.Protocol, "tools", len(c.tools.Load().Tools))
	return session, nil
}

// list reads the tool list and publishes it if it says something new.
func (c *connection) list(ctx context.Context, session *wire.Session) error {
	tools, err := session.ListTools(ctx)
	if err != nil {
		return err
	}
	if l := newToolList(c.cfg, session.Info, tools); !l.same(c.tools.Load()) {
		c.tools.Store(c.learn(l))
	}
	return nil
}

// keep stays with an open connection until it is lost and says why. Meanwhile
// it lists the tools again from time to time, and when the server says that
// they changed: soon, but at most once in relistPause however often it says so.
// login is what was counted in logins when the connection was opened.
func (c *connection) keep(session *wire.Session, login int64) error {
	regular := time.NewTicker(c.opts.Relist)
	defer regular.Stop()
	due := time.NewTimer(0)
	due.Stop()
	defer due.Stop()
	var listed time.Time
	waiting := false
	for {
		if c.logins.Load() != login {
			return errOtherLogin
		}
		select {
		case <-session.Done():
			return session.Err()
		case <-c.relogin:
			continue
		case lost := <-c.lost:
			if lost != session {
				continue // an older one, which is closed already
			}
			return wire.ErrSessionLost
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-c.changed:
			if !waiting {
				waiting = true
				due.Reset(max(settle, time.Until(listed.Add(relistPause))))
			}
			continue
		case <-due.C:
		case <-regular.C:
			if c.dial.in.quiet && !c.touched.Swap(false) {
				continue
			}
		}
		waiting, listed = false, time.Now()
		if err := c.relist(session); err != nil {
			return err
		}
	}
}

// relist reads the tools of an open connection again. Trouble costs nothing
// unless it shows that the connection is gone.
func (c *connection) relist(session *wire.Session) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.ConnectTimeout)
	defer cancel()
	err := c.list(ctx, session)
	if err == nil {
		return nil
	}
	c.log.Warn("listing the tools again failed", "error", err)
	if goneFor(err) && !c.heldBack(err) {
		return err
	}
	return nil
}

// goneFor reports whether err means that the connection is of no more use.
// A refusal in words (an HTTP status) leaves it in place.
func goneFor(err error) bool {
	var status *wire.StatusError
	return wire.NotExecuted(err) && !errors.As(err, &status)
}

// heldBack reports whether a request was not sent for want of what lets the caller
// in, such as a new token while nobody gives any. It says nothing of the
// connection, unless the caller has to log in.
func (c *connection) heldBack(err error) bool {
	var unsent interface{ NotExecuted() bool }
	return errors.As(err, &unsent) && unsent.NotExecuted() && !c.dial.in.required(err)
}

// discard closes a conversation that nobody is to use any more, beside the
// opening of the next one. One whose MCP session is unknown to the server for
// one call, or is that of an older login, may still be answering others, which
// are given time to finish, unless the caller has logged out.
func (c *connection) discard(session *wire.Session, reason error) {
	out := c.out
	c.closing.Go(func() {
		if errors.Is(reason, wire.ErrSessionLost) || errors.Is(reason, errOtherLogin) {
			select {
			case <-time.After(retireTime):
			case <-out:
			case <-c.ctx.Done():
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := session.Close(ctx); err != nil {
			c.log.Debug("closing the connection failed", "error", err)
		}
	})
}

// rest tells the calls that wait whether to wish for an attempt.
func (c *connection) rest(resting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resting = resting
	close(c.wake)
	c.wake = make(chan struct{})
}

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/tracing"
	"mcpo/internal/wire"
)

// State is how a connection is.
type State string

// The states of a connection.
const (
	StateStarting  State = "starting"
	StateConnected State = "connected"
	StateFailed    State = "failed" // the last attempt failed; another follows
	// StateLoginRequired: the caller has to log in, and then asks again.
	StateLoginRequired State = "login_required"
)

// Status is a snapshot of a connection.
type Status struct {
	State State
	// Err is why the last attempt failed or the last connection was lost; nil
	// when connected.
	Err error
	// Transport is what is spoken, for example "stdio".
	Transport config.Transport
	// Info is what the server said of itself; zero before it did.
	Info wire.Info
	// Tools is the number of tools that are served.
	Tools int
}

const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 30 * time.Second
	steady       = 5 * time.Second // a connection that lived this long restarts without delay
	// startPatience is how long a call waits for a connection that is being
	// opened, before it is told to come back.
	startPatience = 10 * time.Second
	retireTime    = time.Minute     // for calls in flight on a connection whose MCP session is lost
	closeTimeout  = 3 * time.Second // for closing a connection that is of no more use
	// A changed tool list is read after settle, as changes come in groups, and
	// not again before relistPause.
	settle      = 50 * time.Millisecond
	relistPause = time.Second
)

// connection keeps one conversation with a server open: one goroutine opens
// it, keeps the tool list fresh, and opens it again when it is lost.
type connection struct {
	cfg  config.Server
	opts Options
	log  *slog.Logger
	dial dialer
	// learn gives the list to use in place of one that was just read.
	learn func(*ToolList) *ToolList

	// who has it, how many use it now, and when it was used last: of a server
	// with logins, whose mu guards them.
	who   caller.ID
	users int
	used  time.Time

	listeners listeners
	cause     atomic.Pointer[tracing.Cause] // the call for which it is to be opened; nil without traces

	tools   atomic.Pointer[ToolList]
	locked  atomic.Bool                  // the caller has to log in, or has just logged in or out
	touched atomic.Bool                  // called since the last look at its tools
	session atomic.Pointer[wire.Session] // nil while there is none

	tried     chan struct{} // closed after the first attempt
	changed   chan struct{} // the server said that its tools changed
	lost      chan *wire.Session
	nudge     chan struct{} // a call would like an attempt now
	logins    atomic.Int64  // how often the caller has logged in or out
	relogin   chan struct{} // that has happened
	out       chan struct{} // closed and replaced when the caller has to log in; of run alone
	ctx       context.Context
	cancel    context.CancelFunc
	ended     chan struct{} // the goroutine is gone
	starting  sync.Once
	firstTime sync.Once
	closing   sync.WaitGroup // conversations that are being closed
	asked     bool           // that a login is needed was logged; of run alone

	mu       sync.Mutex
	state    State
	err      error
	attempts int           // to open a connection that came to an end
	resting  bool          // no attempt goes on, and a call may wish for one
	wake     chan struct{} // closed and replaced at each change of state
}

func newConnection(cfg config.Server, opts Options, log *slog.Logger, in entrance, learn func(*ToolList) *ToolList) *connection {
	ctx, cancel := context.WithCancel(context.Background())
	c := &connection{
		cfg: cfg, opts: opts, log: log, learn: learn,
		tried: make(chan struct{}), changed: make(chan struct{}, 1),
		lost: make(chan *wire.Session, 1), nudge: make(chan struct{}, 1),
		relogin: make(chan struct{}, 1), out: make(chan struct{}),
		ctx: ctx, cancel: cancel, ended: make(chan struct{}),
		state: StateStarting, wake: make(chan struct{}),
	}
	c.dial = newDialer(cfg, opts, log, c.hear, in)
	return c
}

func (c *connection) start() {
	c.starting.Do(func() { go c.run() })
}

// close ends the connection and returns when all of it is gone, child
// processes included.
func (c *connection) close() {
	c.starting.Do(func() { close(c.ended) }) // never started: nothing to end
	c.cancel()
	<-c.ended
}

// hear is told each notification of the server's.
func (c *connection) hear(method string, params json.RawMessage) {
	switch method {
	case "notifications/tools/list_changed":
		signal(c.changed)
	case "notifications/progress":
		c.listeners.progress(params)
	case "notifications/message":
		if c.who.IsOne() {
			c.listeners.logged(params)
		}
	}
}

// signal leaves a token in a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

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

func (c *connection) set(state State, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(state, err)
}

// change is set with the lock held.
func (c *connection) change(state State, err error) {
	c.state, c.err = state, err
	c.locked.Store(state == StateLoginRequired || errors.Is(err, errOtherLogin))
	close(c.wake)
	c.wake = make(chan struct{})
}

// errOtherLogin ends a conversation whose caller has logged in or out since.
var errOtherLogin = errors.New("the caller has logged in or out")

// renew is told that the caller has logged in or out. The conversation is that of
// the login before, perhaps another person's: no call uses it from now on, and
// the next one is opened.
func (c *connection) renew() {
	c.logins.Add(1)
	c.mu.Lock()
	if c.session.Swap(nil) != nil {
		c.change(StateStarting, errOtherLogin)
	}
	c.mu.Unlock()
	signal(c.relogin)
	signal(c.nudge)
}

// failing reports whether the connection cannot be opened, though nobody has to
// log in for it.
func (c *connection) failing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil && (c.state == StateFailed || c.state == StateStarting)
}

func (c *connection) status() Status {
	c.mu.Lock()
	s := Status{State: c.state, Err: c.err, Transport: c.cfg.Transport}
	c.mu.Unlock()
	if l := c.tools.Load(); l != nil {
		s.Info, s.Tools = l.Info, len(l.Tools)
	}
	return s
}

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

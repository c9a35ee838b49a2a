package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
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

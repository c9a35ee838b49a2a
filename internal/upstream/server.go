package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/wire"
)

// Defaults of [Options].
const (
	DefaultConnectTimeout = 60 * time.Second
	DefaultCallTimeout    = 5 * time.Minute
	DefaultRelist         = time.Minute
	DefaultMaxCallers     = 10_000
)

// Options are what all servers have in common.
type Options struct {
	// Env is laid over mcpo's own environment for children, and a server's
	// own env over that.
	Env map[string]string
	// Identity is what mcpo says of itself.
	Identity wire.Identity
	// ConnectTimeout bounds one attempt to connect, the tool list included.
	ConnectTimeout time.Duration
	// CallTimeout bounds a call to a server whose configuration sets none.
	CallTimeout time.Duration
	// MaxCallers is how many callers may have a connection to one server at
	// once. Beyond, the one that was not used for longest is closed.
	MaxCallers int
	// Relist is the time between two looks at a server's tool list.
	Relist time.Duration
	Log    *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = DefaultCallTimeout
	}
	if o.MaxCallers <= 0 {
		o.MaxCallers = DefaultMaxCallers
	}
	if o.Relist <= 0 {
		o.Relist = DefaultRelist
	}
	return o
}

// Server is one configured server. A server without logins has one connection
// that all callers share; otherwise each caller has one of its own.
type Server struct {
	cfg    config.Server
	opts   Options
	log    *slog.Logger
	access *Access         // nil without logins
	pool   *http.Transport // to a server with logins, for all callers
	first  *connection     // that of the start; nil when nobody's
	older  atomic.Bool     // what callers' connections know of its protocol
	again  atomic.Int64    // connections that were opened again after a loss

	catalogue atomic.Pointer[ToolList]
	learning  sync.Mutex
	recent    []*ToolList // of callers, the oldest first; guarded by learning

	mu       sync.Mutex
	callers  map[caller.ID]*connection // of a server with logins
	evicted  int                       // of them, since the last sweep
	inFlight int
	removed  bool
	idle     chan struct{} // closed when removed and nothing is in flight
	ending   chan struct{} // closed when the connections are to be closed
	retiring sync.WaitGroup
}

// New makes a server; Start brings it to life. access is nil for a server
// without logins.
func New(cfg config.Server, opts Options, access *Access) *Server {
	opts = opts.withDefaults()
	s := &Server{cfg: cfg, opts: opts, log: opts.Log.With("server", cfg.Name), access: access,
		callers: map[caller.ID]*connection{}, idle: make(chan struct{}), ending: make(chan struct{})}
	if access == nil {
		s.first = newConnection(cfg, opts, s.log, entrance{again: &s.again}, s.learn)
		return s
	}
	s.pool = wire.NewTransport()
	if access.First != (caller.ID{}) {
		s.first = s.connectionFor(access.First)
	}
	return s
}

// Start begins to connect and returns at once.
func (s *Server) Start() {
	if s.first != nil {
		s.first.start()
	}
	if s.access != nil && s.access.Idle > 0 {
		s.retiring.Go(func() { s.sweep(s.access.Idle, s.ending) })
	}
}

// Name is the server's name in the configuration.
func (s *Server) Name() string { return s.cfg.Name }

// Config is the configuration that the server was made from.
func (s *Server) Config() config.Server { return s.cfg }

// Tried is closed when the first attempt to connect has ended, well or not, and
// from the start where nobody's connection is opened then.
func (s *Server) Tried() <-chan struct{} {
	if s.first == nil {
		return closed
	}
	return s.first.tried
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Status tells how the caller's connection is.
func (s *Server) Status(who caller.ID) Status { return s.connectionOf(who).status() }

// Tools is the caller's tool list: the newest that was read, which outlives the
// connection, or nil before there was one, and while the caller has to log in.
func (s *Server) Tools(who caller.ID) *ToolList {
	c := s.connectionOf(who)
	if c.locked.Load() {
		return nil
	}
	return c.tools.Load()
}

// Wake tells the caller's connection that a login was made or taken away. One is
// opened where there is none.
func (s *Server) Wake(who caller.ID) { s.connectionOf(who).renew() }

// WakeOpen is Wake for a connection that is there already, and opens none.
func (s *Server) WakeOpen(who caller.ID) {
	s.mu.Lock()
	c := s.callers[who]
	s.mu.Unlock()
	if c != nil {
		c.renew()
	}
}

// Ready waits until the caller has a tool list and gives it. Errors are those
// of [Server.Call].
func (s *Server) Ready(ctx context.Context, who caller.ID) (*ToolList, error) {
	c := s.take(ctx, who)
	defer s.give(c)
	if l := c.tools.Load(); l != nil && !c.locked.Load() {
		return l, nil
	}
	if _, err := c.await(ctx); err != nil {
		return nil, err
	}
	return c.tools.Load(), nil
}

// Call calls a tool for a caller. args is a JSON object, sent byte for byte;
// forwarded are the caller's own request headers, of which those that the
// configuration names go along. A JSON-RPC error of the server's is a reply.
// Errors are [ErrUnknownTool], [ErrTimeout], [ErrRemoved], *[UnavailableError],
// *[LostError], a *[wire.StatusError], [wire.ErrReplyTooLarge], an error for
// which Access.Required is true, or the cause of the end of ctx.
func (s *Server) Call(ctx context.Context, who caller.ID, tool string, args json.RawMessage, forwarded http.Header) (wire.Reply, error) {
	if !s.enter() {
		return wire.Reply{}, ErrRemoved
	}
	defer s.leave()
	limit := s.cfg.Timeout
	if limit <= 0 {
		limit = s.opts.CallTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrTimeout)
	defer cancel()
	c := s.take(ctx, who)
	defer s.give(c)
	reply, err := c.call(ctx, tool, args, s.cfg.Forward.Select(forwarded))
	var unavailable *UnavailableError // for want of time or not: it did not run
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &unavailable) {
		err = ErrTimeout // a deadline of ours seen by a lower layer
	}
	return reply, err
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		return false
	}
	s.inFlight++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	s.closeIfIdle()
}

func (s *Server) closeIfIdle() {
	if s.removed && s.inFlight == 0 {
		close(s.idle)
	}
}

// Close takes the server away: new calls are refused, calls in flight may
// finish until ctx ends, then the connection is closed.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	if !s.removed {
		s.removed = true
		s.closeIfIdle()
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
	case <-ctx.Done():
	}
	s.mu.Lock()
	connections := slices.Collect(maps.Values(s.callers))
	select {
	case <-s.ending:
	default:
		close(s.ending)
	}
	s.mu.Unlock()
	if s.access == nil {
		connections = append(connections, s.first)
	}
	var all sync.WaitGroup
	for _, c := range connections {
		all.Go(c.close)
	}
	all.Wait()
	s.retiring.Wait()
	if s.pool != nil {
		s.pool.CloseIdleConnections()
	}
}

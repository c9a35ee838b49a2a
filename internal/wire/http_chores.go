package wire

import (
	"context"
	"sync"
	"time"
)

const (
	// choreLimit bounds what is sent beside the calls: cancellations, answers
	// to the server's requests, the end of the MCP session.
	choreLimit = 5 * time.Second
	// choresMax is how many of these are under way at once; more are dropped.
	choresMax = 32
	// flushLimit is how long the end of a conversation waits for them: a server
	// should know which calls are cancelled, but may be the one that hangs.
	flushLimit = time.Second
)

// chores is what a conversation over HTTP does beside its calls, in goroutines
// that end with it.
type chores struct {
	ctx    context.Context // ends with the conversation
	cancel context.CancelCauseFunc
	slots  chan struct{} // holds one element for each message being sent

	mu      sync.Mutex
	stopped bool // nothing starts any more
	work    sync.WaitGroup
}

// newChores makes chores whose context has the values of ctx, not its end.
func newChores(ctx context.Context) *chores {
	c := &chores{slots: make(chan struct{}, choresMax)}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return c
}

// start runs f in a goroutine, or reports false when the chores were stopped.
func (c *chores) start(f func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.work.Go(func() { f(c.ctx) })
	return true
}

// later runs f, which sends one message, unless too many are being sent.
func (c *chores) later(f func(ctx context.Context)) {
	select {
	case c.slots <- struct{}{}:
	default:
		return
	}
	started := c.start(func(ctx context.Context) {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(ctx, choreLimit)
		defer cancel()
		f(ctx)
	})
	if !started {
		<-c.slots
	}
}

// flush waits for the messages that are being sent, at most until ctx ends.
func (c *chores) flush(ctx context.Context) {
	for range choresMax {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		case <-ctx.Done():
			return
		}
	}
}

// stop ends all that runs and waits for it, at most until ctx ends.
func (c *chores) stop(ctx context.Context, reason error) {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cancel(reason)
	ended := make(chan struct{})
	go func() {
		c.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

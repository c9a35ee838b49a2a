package limit

import (
	"fmt"
	"maps"
	"sync"
	"time"
)

// BreakerRules say when calls to a server are no more tried.
type BreakerRules struct {
	// Failures is how many calls have to fail in a row, without a success in
	// between.
	Failures int
	// Rest is how long no call is tried then.
	Rest time.Duration
}

// Outcome is what a call says of its server.
type Outcome int

// The outcomes of a call.
const (
	Neither Outcome = iota // the server was not asked, or it cannot be told
	Worked                 // the server answered, whatever it said
	Failed                 // it did not
)

// OpenError refuses a call to a server that only failed. It did not run.
type OpenError struct {
	// RetryAfter is when the server is tried again; a second at least.
	RetryAfter time.Duration
}

// Error implements error.
func (e *OpenError) Error() string {
	return fmt.Sprintf("the server only failed; it is tried again in %s", e.RetryAfter)
}

// forgetAfter is how long failures are remembered when no more calls come.
const forgetAfter = 10 * time.Minute

// Breaker spares callers the waiting for a server that only fails, and the
// server the calls. After a rest it lets one call at a time through to find out,
// and a success lets all through.
//
// It counts for each caller alone, though the server is the same for all: a
// caller may bring failures about, with arguments on which the server breaks or
// with a login of which it wants nothing to know, and nobody is to close a server
// for the others. What that costs is that each caller finds out for themselves.
//
// A nil Breaker lets everything through. It is safe for concurrent use.
type Breaker[K comparable] struct {
	rules   BreakerRules
	changed func(who K, open bool)
	max     int // callers that are counted; others are let through

	mu       sync.Mutex
	circuits map[K]*circuit
	swept    time.Time
}

// circuit is what is known of a caller whose last call failed.
type circuit struct {
	failures int // in a row
	last     time.Time
	open     bool
	until    time.Time // when the next call may find out; of an open one
	probing  bool      // one is finding out
}

// NewBreaker makes a breaker, or nil when the rules never refuse. changed is told
// when a caller's calls are no more tried (open), and when they are again.
func NewBreaker[K comparable](r BreakerRules, changed func(who K, open bool)) *Breaker[K] {
	if r.Failures <= 0 {
		return nil
	}
	return &Breaker[K]{rules: r, changed: changed, max: maxCallers, circuits: map[K]*circuit{}}
}

// Rules are what the breaker was made with; zero of a nil one.
func (b *Breaker[K]) Rules() BreakerRules {
	if b == nil {
		return BreakerRules{}
	}
	return b.rules
}

// Try begins a caller's call, which is to be ended. The error is an
// *[OpenError].
func (b *Breaker[K]) Try(who K) (*Attempt[K], error) {
	if b == nil {
		return nil, nil //nolint:nilnil // a nil attempt is one that nobody counts
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.circuits[who]
	if c == nil || !c.open {
		return &Attempt[K]{breaker: b, who: who}, nil
	}
	rest := time.Until(c.until)
	if rest > 0 || c.probing {
		return nil, &OpenError{RetryAfter: max(rest, time.Second)}
	}
	c.probing = true
	return &Attempt[K]{breaker: b, who: who, probe: c}, nil
}

// Attempt is one call's. A nil Attempt is that of a call that nobody counts.
type Attempt[K comparable] struct {
	breaker *Breaker[K]
	who     K
	probe   *circuit // that this call finds out about; nil for others
}

// End tells what the call said of its server. It is to be called once.
func (a *Attempt[K]) End(o Outcome) {
	if a == nil {
		return
	}
	b := a.breaker
	b.mu.Lock()
	before, open := b.count(a, o)
	b.mu.Unlock()
	if before != open {
		b.changed(a.who, open)
	}
}

// count tells whether the caller's circuit was open before, and is now. mu is
// held.
func (b *Breaker[K]) count(a *Attempt[K], o Outcome) (before, open bool) {
	now, c := time.Now(), b.circuits[a.who]
	before = c != nil && c.open
	probed := c != nil && c == a.probe
	if probed {
		c.probing = false
	}
	switch o {
	case Worked:
		delete(b.circuits, a.who)
		return before, false
	case Failed:
		if c = b.circuitOf(a.who, now); c == nil {
			return false, false
		}
		c.failures++
		c.last = now
		if probed || !c.open && c.failures >= b.rules.Failures {
			c.open, c.until = true, now.Add(b.rules.Rest)
		}
		return before, c.open
	}
	return before, before
}

// circuitOf finds or makes a caller's circuit; nil when there are too many. mu
// is held.
func (b *Breaker[K]) circuitOf(who K, now time.Time) *circuit {
	if c := b.circuits[who]; c != nil {
		return c
	}
	if now.Sub(b.swept) >= sweepEvery {
		b.swept = now
		old := max(forgetAfter, 2*b.rules.Rest)
		maps.DeleteFunc(b.circuits, func(_ K, c *circuit) bool { return !c.probing && now.Sub(c.last) > old })
	}
	if len(b.circuits) >= b.max {
		return nil
	}
	c := &circuit{}
	b.circuits[who] = c
	return c
}

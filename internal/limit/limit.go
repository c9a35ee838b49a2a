// Package limit keeps one caller from taking what the others need, and from
// waiting again and again for a server that does not answer.
//
// The walk of a call: [Breaker.Try] refuses it while its server only fails;
// [Limiter.Enter] gives it a place, at once or at the end of its caller's queue,
// or refuses it; [Place.Wait] waits for its turn; [Place.Leave] and
// [Attempt.End] tell what became of it, and the next one's turn comes.
//
// The package counts, and knows nothing of what it counts: callers are any
// comparable type. Each server has a [Limiter] and a [Breaker] of its own. What
// they remember is bounded, however many callers come.
package limit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rules are what each caller may do. A zero PerSecond or Concurrent limits
// nothing.
type Rules struct {
	// PerSecond is how many calls may begin in a second, and Burst how many at
	// once after a rest: 1 at least.
	PerSecond float64
	Burst     int
	// Concurrent is how many calls may go on at the same time.
	Concurrent int
	// Queue is how many more may wait for their turn, and QueueTime how long.
	Queue     int
	QueueTime time.Duration
}

// Why a call is refused.
type Why int

// The reasons of [ExceededError].
const (
	TooFast Why = iota // more calls in a time than PerSecond
	TooMany            // more calls at once than Concurrent
)

// ExceededError refuses a call that is over its caller's limits. It did not run.
type ExceededError struct {
	Why Why
	// RetryAfter is when the next one may be let in; a second at least.
	RetryAfter time.Duration
}

// Error implements error.
func (e *ExceededError) Error() string {
	if e.Why == TooMany {
		return fmt.Sprintf("the caller has too many calls at once; the next may begin in %s", e.RetryAfter)
	}
	return fmt.Sprintf("the caller calls too fast; the next may begin in %s", e.RetryAfter)
}

const (
	// maxCallers is how many callers are counted one by one. Whoever comes beyond
	// them shares one count with all the others beyond.
	maxCallers = 100_000
	// sweepEvery is the least time between two looks for callers who rest.
	sweepEvery = 10 * time.Second
)

// Limiter holds the callers of one server to its rules. A nil Limiter lets
// everything in. It is safe for concurrent use.
type Limiter[K comparable] struct {
	rules Rules
	max   int // callers that are counted one by one

	mu      sync.Mutex
	callers map[K]*queue[K]
	crowd   *queue[K] // those beyond
	swept   time.Time
}

// New makes a limiter, or nil when the rules limit nothing.
func New[K comparable](r Rules) *Limiter[K] {
	if r.PerSecond <= 0 && r.Concurrent <= 0 {
		return nil
	}
	l := &Limiter[K]{rules: r, max: maxCallers, callers: map[K]*queue[K]{}}
	l.crowd = newQueue(l)
	return l
}

// Rules are what the limiter was made with; zero of a nil one.
func (l *Limiter[K]) Rules() Rules {
	if l == nil {
		return Rules{}
	}
	return l.rules
}

// Enter gives a caller's call its place, which is to be left in the end. The
// error is an *[ExceededError].
func (l *Limiter[K]) Enter(who K) (*Place[K], error) {
	if l == nil {
		return nil, nil //nolint:nilnil // a nil place is one that waits for nothing
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queueOf(who, now)
	p := &Place[K]{limiter: l, queue: q, who: who, until: now.Add(l.rules.QueueTime), turn: make(chan struct{})}
	switch {
	case len(q.waiting) == 0 && q.begin(now):
		p.called = true
		close(p.turn)
	case len(q.waiting) >= l.rules.Queue || q.pause(now) > l.rules.QueueTime:
		return nil, q.exceeded(now)
	default:
		q.waiting = append(q.waiting, p)
		q.advance(now)
	}
	return p, nil
}

// queueOf finds or makes a caller's queue, while mu is held.
func (l *Limiter[K]) queueOf(who K, now time.Time) *queue[K] {
	if q := l.callers[who]; q != nil {
		return q
	}
	if now.Sub(l.swept) >= sweepEvery {
		l.swept = now
		maps.DeleteFunc(l.callers, func(_ K, q *queue[K]) bool { return q.rests(now) })
	}
	if len(l.callers) >= l.max {
		return l.crowd
	}
	q := newQueue(l)
	l.callers[who] = q
	return q
}

// Place is one call's. A nil Place is that of a call without limits.
type Place[K comparable] struct {
	limiter *Limiter[K]
	queue   *queue[K]
	who     K
	until   time.Time
	turn    chan struct{} // closed when it is this call's turn

	called, left bool // guarded by limiter.mu
}

// Wait returns when it is the call's turn. The error is an *[ExceededError] when
// that takes too long, or the cause of the end of ctx.
func (p *Place[K]) Wait(ctx context.Context) error {
	if p == nil {
		return nil
	}
	select {
	case <-p.turn:
		return nil
	default:
	}
	patience := time.NewTimer(time.Until(p.until))
	defer patience.Stop()
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-patience.C:
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	if p.called { // at the last moment
		return nil
	}
	return p.queue.exceeded(time.Now())
}

// Leave ends the call or its waiting; the next one's turn comes. It may be
// called more than once.
func (p *Place[K]) Leave() {
	if p == nil {
		return
	}
	l, q, now := p.limiter, p.queue, time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p.left:
		return
	case p.called:
		q.running--
	default:
		q.waiting = slices.DeleteFunc(q.waiting, func(o *Place[K]) bool { return o == p })
	}
	p.left = true
	q.advance(now)
	if l.callers[p.who] == q && q.rests(now) {
		delete(l.callers, p.who)
	}
}

// queue is one caller's calls. The limiter's mu guards it.
type queue[K comparable] struct {
	limiter *Limiter[K]
	bucket  *rate.Limiter // nil without PerSecond
	running int
	waiting []*Place[K] // in their order
	due     *time.Timer // advances when the first who waits may begin; nil when none was set
}

func newQueue[K comparable](l *Limiter[K]) *queue[K] {
	q := &queue[K]{limiter: l}
	if l.rules.PerSecond > 0 {
		q.bucket = rate.NewLimiter(rate.Limit(l.rules.PerSecond), max(l.rules.Burst, 1))
	}
	return q
}

// begin counts one more call that goes on, if the rules allow it now.
func (q *queue[K]) begin(now time.Time) bool {
	if q.full() || q.bucket != nil && !q.bucket.AllowN(now, 1) {
		return false
	}
	q.running++
	return true
}

func (q *queue[K]) full() bool {
	most := q.limiter.rules.Concurrent
	return most > 0 && q.running >= most
}

// advance lets those begin whose turn it is, and comes back when time alone
// brings the next one's.
func (q *queue[K]) advance(now time.Time) {
	if q.due != nil {
		q.due.Stop()
		q.due = nil
	}
	for len(q.waiting) > 0 && q.begin(now) {
		first := q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		first.called = true
		close(first.turn)
	}
	if len(q.waiting) > 0 && !q.full() {
		q.due = time.AfterFunc(max(q.until(1, now), time.Millisecond), q.onTime) // never at once, for the bucket's arithmetic rounds
	}
}

func (q *queue[K]) onTime() {
	q.limiter.mu.Lock()
	defer q.limiter.mu.Unlock()
	q.advance(time.Now())
}

// until is how long it takes until n more calls may begin, as far as time alone
// decides.
func (q *queue[K]) until(n int, now time.Time) time.Duration {
	if q.bucket == nil {
		return 0
	}
	missing := float64(n) - q.bucket.TokensAt(now)
	return time.Duration(max(0, missing/q.limiter.rules.PerSecond) * float64(time.Second))
}

// pause is how long a call that comes now has to wait at least: until all who
// wait have begun.
func (q *queue[K]) pause(now time.Time) time.Duration { return q.until(len(q.waiting)+1, now) }

func (q *queue[K]) exceeded(now time.Time) error {
	e := &ExceededError{Why: TooFast, RetryAfter: max(q.pause(now), time.Second)}
	if q.full() && q.until(1, now) == 0 {
		e.Why = TooMany
	}
	return e
}

// rests reports whether nothing is to be remembered of the caller.
func (q *queue[K]) rests(now time.Time) bool {
	return q.running == 0 && len(q.waiting) == 0 && (q.bucket == nil || q.bucket.TokensAt(now) >= float64(q.bucket.Burst()))
}

package limit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// enter is Enter for a call that has to be let in or queued.
func enter[K comparable](t *testing.T, l *Limiter[K], who K) *Place[K] {
	t.Helper()
	p, err := l.Enter(who)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// its reports whether it is a call's turn.
func its[K comparable](p *Place[K]) bool {
	select {
	case <-p.turn:
		return true
	default:
		return false
	}
}

func wantExceeded(t *testing.T, err error, want ExceededError) {
	t.Helper()
	var got *ExceededError
	if !errors.As(err, &got) || *got != want {
		t.Errorf("the error is %v, want %v", err, &want)
	}
}

func TestNoRules(t *testing.T) {
	l := New[string](Rules{Queue: 1})
	if l != nil {
		t.Error("a limiter that limits nothing is there")
	}
	p, err := l.Enter("one")
	if err != nil || p.Wait(t.Context()) != nil {
		t.Errorf("no limiter refuses: %v", err)
	}
	p.Leave()
	if l.Rules() != (Rules{}) {
		t.Error("no limiter has rules")
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](Rules{PerSecond: 2, Burst: 3})
		for range 3 {
			enter(t, l, "one").Leave()
		}
		_, err := l.Enter("one")
		wantExceeded(t, err, ExceededError{TooFast, time.Second})
		enter(t, l, "two").Leave() // has a bucket of its own
		<-time.After(500 * time.Millisecond)
		enter(t, l, "one").Leave()
		_, err = l.Enter("one")
		wantExceeded(t, err, ExceededError{TooFast, time.Second})
	})
}

// TestRetryAfterIsKept: whoever comes back when told to is let in.
func TestRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](Rules{PerSecond: 0.1, Burst: 1, Queue: 5, QueueTime: 5 * time.Second})
		enter(t, l, "one").Leave()
		_, err := l.Enter("one")
		wantExceeded(t, err, ExceededError{TooFast, 10 * time.Second}) // it is no use to wait five
		<-time.After(10 * time.Second)
		if p := enter(t, l, "one"); !its(p) {
			t.Error("it is not the call's turn")
		}
	})
}

func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](Rules{Concurrent: 2})
		first, second := enter(t, l, "one"), enter(t, l, "one")
		_, err := l.Enter("one")
		wantExceeded(t, err, ExceededError{TooMany, time.Second})
		if p := enter(t, l, "two"); !its(p) {
			t.Error("another caller waits")
		}
		first.Leave()
		first.Leave() // counts once
		enter(t, l, "one")
		_, err = l.Enter("one")
		wantExceeded(t, err, ExceededError{TooMany, time.Second})
		second.Leave()
	})
}

func TestQueueHasAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](Rules{Concurrent: 1, Queue: 10, QueueTime: time.Minute})
		running := enter(t, l, "one")
		order := make(chan int, 10)
		for i := range 10 {
			p := enter(t, l, "one")
			go func() {
				defer p.Leave()
				if err := p.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				order <- i
			}()
		}
		_, err := l.Enter("one")
		wantExceeded(t, err, ExceededError{TooMany, time.Second})
		running.Leave()
		for want := range 10 {
			if got := <-order; got != want {
				t.Errorf("call %d had its turn in place of %d", got, want)
			}
		}
	})
}

func TestQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](Rules{Concurrent: 1, Queue: 2, QueueTime: 5 * time.Second})
		running := enter(t, l, "one")
		impatient, late := enter(t, l, "one"), enter(t, l, "one")
		gone, cancel := context.WithCancelCause(t.Context())
		away := errors.New("the caller went away")
		cancel(away)
		if err := impatient.Wait(gone); !errors.Is(err, away) {
			t.Errorf("the caller who went away is told %v", err)
		}
		impatient.Leave()
		next := enter(t, l, "one") // there is room again
		start := time.Now()
		err := late.Wait(t.Context())
		wantExceeded(t, err, ExceededError{TooMany, time.Second})
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it waited %s", took)
		}
		late.Leave()
		running.Leave()
		if !its(next) {
			t.Error("it is not the turn of the one who still waits")
		}
		if running.Leave(); l.callers["one"].running != 1 {
			t.Error("a call left twice")
		}
		next.Leave()
		if len(l.callers) != 0 {
			t.Errorf("%d callers are remembered without need", len(l.callers))
		}
	})
}

// TestTimeBringsTheTurn: nobody has to leave for the next one to begin.
func TestTimeBringsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](Rules{PerSecond: 4, Burst: 1, Queue: 10, QueueTime: 5 * time.Second})
		start := time.Now()
		for i := range 5 {
			p := enter(t, l, "one")
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(start), time.Duration(i)*250*time.Millisecond; took < want || took > want+10*time.Millisecond {
				t.Errorf("call %d began after %s, want %s", i, took, want)
			}
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[int](Rules{PerSecond: 1, Burst: 2, Concurrent: 2})
		l.max = 100
		for who := range 1000 {
			if p, err := l.Enter(who); err == nil {
				p.Leave()
			}
		}
		if len(l.callers) > 100 {
			t.Errorf("%d callers are remembered", len(l.callers))
		}
		_, err := l.Enter(5000) // one of the crowd, which has had its calls
		wantExceeded(t, err, ExceededError{TooFast, time.Second})
		enter(t, l, 0).Leave() // is known, and has one left
		<-time.After(time.Minute)
		enter(t, l, 5000)
		if len(l.callers) != 1 {
			t.Errorf("%d callers are remembered, of whom one calls", len(l.callers))
		}
	})
}

// model is a caller's calls as slowly and as simply as can be. Times are in
// eighths of a second.
type model struct {
	tokens   float64
	running  []int
	waiting  []int
	until    map[int]float64
	at       float64
	rate     float64 // for each eighth
	rules    Rules
	patience float64
}

func (m *model) begin() {
	for len(m.waiting) > 0 && len(m.running) < m.rules.Concurrent && m.tokens >= 1 {
		m.tokens--
		m.running = append(m.running, m.waiting[0])
		m.waiting = m.waiting[1:]
	}
}

func (m *model) enter(id int) (refused bool) {
	if len(m.waiting) == 0 && len(m.running) < m.rules.Concurrent && m.tokens >= 1 {
		m.tokens--
		m.running = append(m.running, id)
		return false
	}
	if len(m.waiting) >= m.rules.Queue || (float64(len(m.waiting)+1)-m.tokens)/m.rate > m.patience {
		return true
	}
	m.waiting = append(m.waiting, id)
	m.until[id] = m.at + m.patience
	return false
}

func (m *model) leave(id int) {
	is := func(o int) bool { return o == id }
	m.running, m.waiting = slices.DeleteFunc(m.running, is), slices.DeleteFunc(m.waiting, is)
	m.begin()
}

func (m *model) eighth() {
	before := m.at
	m.at++
	m.waiting = slices.DeleteFunc(m.waiting, func(id int) bool { return m.until[id] > before && m.until[id] < m.at })
	m.tokens = min(float64(m.rules.Burst), m.tokens+m.rate)
	m.begin()
}

// TestLimiterIsTheModel plays random calls, departures and pauses.
func TestLimiterIsTheModel(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { play(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func play(t *testing.T, dice *rand.Rand) {
	rules := Rules{PerSecond: 4, Burst: 1 + dice.IntN(4), Concurrent: 1 + dice.IntN(4), Queue: dice.IntN(5), QueueTime: 1100 * time.Millisecond}
	l := New[string](rules)
	m := &model{tokens: float64(rules.Burst), until: map[int]float64{}, rate: 0.5, rules: rules, patience: 8.8}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	places := map[int]*Place[string]{}
	history := ""
	for id := range 150 {
		known := append(slices.Clone(m.running), m.waiting...)
		switch what := dice.IntN(4); {
		case what < 2:
			history += fmt.Sprintf(" enter %d", id)
			p, err := l.Enter("one")
			if refused := m.enter(id); refused != (err != nil) {
				t.Fatalf("%+v:%s: refused is %t, the error %v", rules, history, refused, err)
			}
			if err != nil {
				break
			}
			places[id] = p
			go func() {
				if p.Wait(ctx) != nil {
					p.Leave()
				}
			}()
		case what == 2 && len(known) > 0:
			gone := known[dice.IntN(len(known))]
			history += fmt.Sprintf(" leave %d", gone)
			places[gone].Leave()
			m.leave(gone)
		default:
			history += " pause"
			<-time.After(time.Second / 8)
			m.eighth()
		}
		synctest.Wait()
		running, waiting := look(l, places)
		want := slices.Sorted(slices.Values(m.running))
		if !slices.Equal(running, want) || !slices.Equal(waiting, m.waiting) {
			t.Fatalf("%+v:%s: running %s, waiting %s", rules, history, cmp.Diff(want, running), cmp.Diff(m.waiting, waiting))
		}
	}
}

// look gives the calls that go on and those that wait, by their numbers, and
// forgets those that left.
func look(l *Limiter[string], places map[int]*Place[string]) (running, waiting []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(places)) {
		switch p := places[id]; {
		case p.left:
			delete(places, id)
		case p.called:
			running = append(running, id)
		default:
			waiting = append(waiting, id)
		}
	}
	return running, waiting
}

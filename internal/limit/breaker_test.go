package limit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told are the changes that a breaker tells.
type told []string

func (c *told) changed(who string, open bool) {
	what := " is closed"
	if open {
		what = " is open"
	}
	*c = append(*c, who+what)
}

func try(t *testing.T, b *Breaker[string], who string) *Attempt[string] {
	t.Helper()
	a, err := b.Try(who)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantOpen(t *testing.T, b *Breaker[string], who string, after time.Duration) {
	t.Helper()
	_, err := b.Try(who)
	var open *OpenError
	if !errors.As(err, &open) || open.RetryAfter != after {
		t.Errorf("the error is %v, want one that says %s", err, after)
	}
}

func TestNoBreaker(t *testing.T) {
	b := NewBreaker[string](BreakerRules{}, nil)
	for range 10 {
		a, err := b.Try("one")
		if err != nil {
			t.Fatal(err)
		}
		a.End(Failed)
	}
	if b.Rules() != (BreakerRules{}) {
		t.Error("no breaker has rules")
	}
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log told
		b := NewBreaker(BreakerRules{Failures: 3, Rest: 10 * time.Second}, log.changed)
		for _, o := range []Outcome{Failed, Failed, Worked, Failed, Failed, Neither} { // never three in a row
			try(t, b, "one").End(o)
		}
		old := try(t, b, "one")
		try(t, b, "one").End(Failed)
		wantOpen(t, b, "one", 10*time.Second)
		try(t, b, "two").End(Failed) // nobody closes a server for others
		try(t, b, "two").End(Worked)

		<-time.After(4 * time.Second)
		old.End(Failed) // began before, and says nothing new
		wantOpen(t, b, "one", 6*time.Second)
		<-time.After(6 * time.Second)
		probe := try(t, b, "one")
		wantOpen(t, b, "one", time.Second) // one at a time
		probe.End(Neither)
		probe = try(t, b, "one")
		probe.End(Failed)
		wantOpen(t, b, "one", 10*time.Second)
		<-time.After(10 * time.Second)
		try(t, b, "one").End(Worked)
		for range 2 {
			try(t, b, "one").End(Failed) // is counted from the beginning
		}
		try(t, b, "one")
		if diff := cmp.Diff(told{"one is open", "one is closed"}, log); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAnySuccessCloses: not only that of the call that finds out.
func TestAnySuccessCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log told
		b := NewBreaker(BreakerRules{Failures: 1, Rest: 10 * time.Second}, log.changed)
		old := try(t, b, "one")
		try(t, b, "one").End(Failed)
		<-time.After(10 * time.Second)
		probe := try(t, b, "one")
		old.End(Worked)
		try(t, b, "one").End(Worked)
		probe.End(Failed) // of what is no more
		if diff := cmp.Diff(told{"one is open", "one is closed", "one is open"}, log); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBreakerMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerRules{Failures: 2, Rest: time.Second}, func(int, bool) {})
		b.max = 100
		fail := func(who int) {
			if a, err := b.Try(who); err == nil {
				a.End(Failed)
			}
		}
		for range 3 {
			for who := range 1000 {
				fail(who)
			}
		}
		if len(b.circuits) != 100 {
			t.Errorf("%d callers are remembered", len(b.circuits))
		}
		<-time.After(forgetAfter + time.Second)
		fail(5000)
		if len(b.circuits) != 1 {
			t.Errorf("%d callers are remembered, of whom one calls", len(b.circuits))
		}
	})
}

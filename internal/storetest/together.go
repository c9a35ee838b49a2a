package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcpo/internal/store"
)

// together runs do n times at once.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() { <-start; do(i) })
	}
	close(start)
	all.Wait()
}

// replacesWhole reads a record while others replace it, by longer and shorter
// ones: it is always one of them.
func replacesWhole(t *testing.T, s Store) {
	const writers, readers, rounds = 2, 4, 50
	key := grant("notes", "ada")
	put(t, s, key, "x", time.Time{})
	together(writers+readers, func(i int) {
		for round := range rounds {
			if i >= writers {
				r, err := s.Get(t.Context(), key)
				if err != nil || strings.Trim(string(r.Value), "x") != "" || len(r.Value)%1000 != 1 {
					t.Errorf("Get = %d bytes, %v", len(r.Value), err)
				}
				continue
			}
			value := strings.Repeat("x", 1+1000*(round%10))
			if err := s.Put(t.Context(), store.Record{Key: key, Value: []byte(value)}); err != nil {
				t.Error(err)
			}
		}
	})
}

func oneTakes(t *testing.T, s Store) {
	for round := range 10 {
		key := ticket(fmt.Sprint("round", round))
		put(t, s, key, "prize", time.Now().Add(time.Hour))
		var winners atomic.Int32
		together(16, func(int) {
			switch r, err := s.Take(t.Context(), key); {
			case err == nil && string(r.Value) == "prize":
				winners.Add(1)
			case !errors.Is(err, store.ErrNotFound):
				t.Errorf("Take = %q, %v; want ErrNotFound", r.Value, err)
			}
		})
		if got := winners.Load(); got != 1 {
			t.Fatalf("%d took the record, want 1", got)
		}
	}
}

// takesEachOnce puts values under one key while others take them. A value may
// be replaced before it is taken, but none is taken twice.
func takesEachOnce(t *testing.T, s Store) {
	const values, takers = 50, 4
	key := ticket("t")
	var taken [values]atomic.Int32
	take := func() {
		r, err := s.Take(t.Context(), key)
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		var value int
		if _, scan := fmt.Sscan(string(r.Value), &value); err != nil || scan != nil {
			t.Errorf("Take = %q, %v", r.Value, err)
			return
		}
		taken[value].Add(1)
	}
	together(takers+1, func(i int) {
		for value := range values {
			if i > 0 {
				take()
			} else if err := s.Put(t.Context(), store.Record{Key: key, Value: []byte(fmt.Sprint(value))}); err != nil {
				t.Error(err)
			}
		}
	})
	take()
	for value := range taken {
		if n := taken[value].Load(); n > 1 {
			t.Errorf("%d was taken %d times", value, n)
		}
	}
	if taken[values-1].Load() != 1 {
		t.Error("the last value was lost")
	}
}

func sweepSparesTheNew(t *testing.T, s Store) {
	key := grant("notes", "ada")
	for range 25 {
		put(t, s, key, "old", time.Now().Add(-time.Hour))
		together(3, func(i int) {
			var err error
			if i == 0 {
				err = s.Put(t.Context(), store.Record{Key: key, Value: []byte("new")})
			} else {
				_, err = s.Sweep(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
		wantValue(t, s, key, "new")
	}
}

func oneHoldsALock(t *testing.T, s Store) {
	const holders, rounds = 8, 10
	key, count := grant("notes", "ada"), 0 // the race detector watches it
	together(holders+1, func(i int) {
		for range rounds {
			if i == holders { // a sweep takes no lock away
				if _, err := s.Sweep(t.Context()); err != nil {
					t.Error(err)
				}
				continue
			}
			_, unlock, err := s.Lock(t.Context(), key)
			if err != nil {
				t.Error(err)
				return
			}
			count++
			unlock()
		}
	})
	if count != holders*rounds {
		t.Errorf("count = %d, want %d", count, holders*rounds)
	}
}

func lockIsOfItsKey(t *testing.T, s Store) {
	key := grant("notes", "ada")
	_, unlock, err := s.Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, key, "value", time.Time{})
	wantValue(t, s, key, "value")
	if _, err := s.Take(t.Context(), key); err != nil {
		t.Errorf("Take of a locked key: %v", err)
	}
	_, other, err := s.Lock(t.Context(), grant("notes", "Ada"))
	if err != nil {
		t.Fatal(err)
	}
	other()
	unlock()

	_, again, err := s.Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	unlock() // of what is another's now: nothing happens
	wantLocked(t, s, key)
	again()
}

// wantLocked checks that the lock of key is held.
func wantLocked(t *testing.T, s Store, key store.Key) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, unlock, err := s.Lock(ctx, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock of what is locked: %v, want the end of the context", err)
		if err == nil {
			unlock()
		}
	}
}

func waitForALockEnds(t *testing.T, s Store) {
	key := grant("notes", "ada")
	_, unlock, err := s.Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	wantLocked(t, s, key)
	unlock()

	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Lock(over, key); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with a context that ended: %v, want Canceled", err)
	}
	_, unlock, err = s.Lock(t.Context(), key) // who gave up waiting is not in the way
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// TestQueueForgets holds that names which nobody locks cost nothing.
func TestQueueForgets(t *testing.T) {
	q := newQueue()
	leave, err := q.enter(t.Context(), "door")
	if err != nil {
		t.Fatal(err)
	}
	var patient, impatient sync.WaitGroup
	ctx, giveUp := context.WithCancel(t.Context())
	for range 4 {
		impatient.Go(func() {
			if _, err := q.enter(ctx, "door"); !errors.Is(err, context.Canceled) {
				t.Errorf("enter: %v, want Canceled", err)
			}
		})
		patient.Go(func() {
			leave, err := q.enter(t.Context(), "door")
			if err != nil {
				t.Error(err)
				return
			}
			leave()
		})
	}
	giveUp()
	impatient.Wait()
	leave()
	patient.Wait()
	if len(q.doors) != 0 {
		t.Errorf("%d doors are left", len(q.doors))
	}
}

// TestLocksWhileTheyAreSwept has lockers that share nothing but the folder, as
// processes do, and a sweep that deletes the files they lock.
func TestLocksWhileTheyAreSwept(t *testing.T) {
	const lockers, rounds = 4, 500
	dir := t.TempDir()
	var inside atomic.Int32
	var locking, sweeping sync.WaitGroup
	for range lockers {
		locking.Go(func() {
			l := locker{dir: dir, queue: newQueue()}
			for range rounds {
				unlock, err := l.lock(t.Context(), "name")
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				inside.Add(-1)
				unlock()
			}
		})
	}
	var done atomic.Bool
	sweeping.Go(func() {
		for !done.Load() {
			if err := (locker{dir: dir}).sweep(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	locking.Wait()
	done.Store(true)
	sweeping.Wait()
}

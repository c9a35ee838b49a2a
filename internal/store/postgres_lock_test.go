package store_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
	"mcpo/internal/storetest"
)

// shortLease is how long locks outlive the holders of other processes here: short,
// for a test waits for it, and long enough for a slow machine to renew it.
const shortLease = 3 * time.Second

// endLeases is what a holder sees that was halted for longer than its lease.
func endLeases(t *testing.T, dsn string) {
	t.Helper()
	pgtest.SQL(t, dsn, "UPDATE mcpo_locks SET until = now() - interval '1 hour'")
}

func lock(t *testing.T, s storetest.Store, key store.Key) (held context.Context, unlock func()) {
	t.Helper()
	held, unlock, err := s.Lock(t.Context(), key)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return held, unlock
}

func wantLocked(t *testing.T, s storetest.Store, key store.Key) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := s.Lock(ctx, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock of what another replica holds: %v, want DeadlineExceeded", err)
	}
}

// TestLostLock: whoever did not reach the database for too long changes nothing
// any more once another replica has the lock.
func TestLostLock(t *testing.T) {
	dsn, key := pgtest.Shared(t).NewDatabase(t), grant("notes", "ada")
	a, b := openPostgres(t, dsn), openPostgres(t, dsn)
	held, unlock := lock(t, a, key)
	wantLocked(t, b, key)
	if err := a.Put(held, store.Record{Key: key, Value: []byte("a")}); err != nil {
		t.Errorf("Put by the holder: %v", err)
	}
	endLeases(t, dsn)
	if err := a.Put(held, store.Record{Key: key, Value: []byte("still a")}); err != nil {
		t.Errorf("Put while nobody else has the lock: %v", err)
	}
	of, free := lock(t, b, key)
	late := context.WithoutCancel(held)
	for what, err := range map[string]error{
		"Put":            a.Put(held, store.Record{Key: key, Value: []byte("late")}),
		"Put of another": a.Put(late, store.Record{Key: grant("mail", "ada"), Value: []byte("late")}),
		"Delete":         a.Delete(late, key),
		"Take":           func() error { _, err := a.Take(held, key); return err }(),
	} {
		if !errors.Is(err, store.ErrLockLost) {
			t.Errorf("%s by the one that lost the lock: %v, want ErrLockLost", what, err)
		}
	}
	wantIn(t, b, key, "still a")
	unlock() // of what is b's: nothing happens
	wantLocked(t, a, key)
	if err := b.Put(of, store.Record{Key: key, Value: []byte("b")}); err != nil {
		t.Errorf("Put by the new holder: %v", err)
	}
	free()
	if err := b.Put(of, store.Record{Key: key, Value: []byte("b, later")}); err != nil {
		t.Errorf("Put after unlocking, with nobody in between: %v", err)
	}
	if err := a.Put(held, store.Record{Key: key}); !errors.Is(err, store.ErrLockLost) {
		t.Errorf("Put by the one that lost the lock, when it is free: %v, want ErrLockLost", err)
	}
}

// TestLockIsRenewed watches the time until which a lock is held.
func TestLockIsRenewed(t *testing.T) {
	dsn, key := pgtest.Shared(t).NewDatabase(t), grant("notes", "ada")
	a, b := openWith(t, optionsOf(dsn, slog.New(slog.DiscardHandler), firstSecret).Lease(100*time.Millisecond)), openPostgres(t, dsn)
	_, unlock := lock(t, a, key)
	seen := map[string]bool{}
	eventually(t, "the lock is renewed", func() bool {
		seen[pgtest.SQL(t, dsn, "SELECT until FROM mcpo_locks")[0]] = true
		return len(seen) == 5
	})
	unlock()
	_, free := lock(t, b, key)
	free()
}

// TestLockLeftBehind: a replica need not wait for a lock that it could not free.
func TestLockLeftBehind(t *testing.T) {
	server := pgtest.Start(t)
	dsn, key := server.NewDatabase(t), grant("notes", "ada")
	s := openHasty(t, dsn)
	_, unlock := lock(t, s, key)
	server.Stop(t)
	eventually(t, "the store is away", func() bool { return s.Health() != nil })
	unlock()
	server.Continue(t)
	eventually(t, "the store is back", func() bool { return s.Health() == nil })
	_, again := lock(t, s, key)
	again()
}

// TestAKilledReplicaFreesItsLock when its lease is over.
func TestAKilledReplicaFreesItsLock(t *testing.T) {
	dsn, key := pgtest.Shared(t).NewDatabase(t), grant("notes", "ada")
	s := openPostgres(t, dsn)
	p := start(t, "hold", dsn)
	p.hear(t, 1, "locked")
	wantLocked(t, s, key)
	_ = p.cmd.Process.Kill()
	_, unlock := lock(t, s, key)
	unlock()
}

func TestReplicasLockEachOtherOut(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	s := openPostgres(t, dsn)
	putIn(t, s, grant("notes", "ada"), "0")
	startAll(t, "count", dsn)
	wantIn(t, s, grant("notes", "ada"), "100")
}

// TestOldLocksAreSwept, which nobody had for a day.
func TestOldLocksAreSwept(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	s := openPostgres(t, dsn)
	for _, who := range []string{"ada", "bob"} {
		_, unlock := lock(t, s, grant("notes", who))
		unlock()
	}
	held, unlock := lock(t, s, grant("notes", "old"))
	pgtest.SQL(t, dsn, "UPDATE mcpo_locks SET until = now() - interval '2 days' WHERE fence = 3")
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows := pgtest.SQL(t, dsn, "SELECT fence FROM mcpo_locks ORDER BY fence"); len(rows) != 2 || rows[1] != "2" {
		t.Errorf("the locks are %q", rows)
	}
	if err := s.Put(held, store.Record{Key: grant("notes", "old")}); !errors.Is(err, store.ErrLockLost) {
		t.Errorf("Put with a lock that was forgotten: %v, want ErrLockLost", err)
	}
	unlock()
}

package store_test

import (
	"strings"
	"testing"
	"time"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// watch listens to what s is told, and returns once it listens.
func watch(t *testing.T, s *store.Postgres) (next func() store.Key) {
	t.Helper()
	heard := make(chan store.Key, 100)
	t.Cleanup(s.Watch(func(key store.Key) { heard <- key }))
	next = func() store.Key {
		t.Helper()
		select {
		case key := <-heard:
			return key
		case <-time.After(patience):
			t.Fatal("nothing is heard")
			return store.Key{}
		}
	}
	wantHeard(t, next, store.Key{})
	return next
}

func wantHeard(t *testing.T, next func() store.Key, want store.Key) {
	t.Helper()
	if got := next(); got != want {
		t.Fatalf("%v is heard, want %v", got, want)
	}
}

func TestWatch(t *testing.T) {
	server := pgtest.Shared(t)
	dsn := server.NewDatabase(t)
	a, b := openPostgres(t, dsn), openPostgres(t, dsn)
	next := watch(t, b)
	ada, bob := grant("notes", "ada"), grant("mail", "bob")
	putIn(t, a, ada, "token")
	wantHeard(t, next, ada)

	// Nothing is heard of all this: what follows is the next.
	putIn(t, b, ada, "b's own")
	putIn(t, a, ticket(1), "not a grant")
	if err := a.Delete(t.Context(), bob); err != nil { // there is none
		t.Fatal(err)
	}
	pgtest.SQL(t, dsn, "NOTIFY mcpo, 'forged'; NOTIFY mcpo, 'a.b'; NOTIFY mcpo")
	putIn(t, a, bob, "token")
	wantHeard(t, next, bob)

	if err := a.Delete(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	wantHeard(t, next, ada)
	held, unlock := lock(t, a, bob)
	if err := a.Put(held, store.Record{Key: bob, Value: []byte("fenced")}); err != nil {
		t.Fatal(err)
	}
	wantHeard(t, next, bob)
	unlock()
	if _, err := a.Take(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	wantHeard(t, next, bob)
	long := grant("notes", strings.Repeat("x", 9000))
	putIn(t, a, long, "token")
	wantHeard(t, next, store.Key{}) // which is too much to tell
}

func TestWatchAfterABreak(t *testing.T) {
	server := pgtest.Shared(t)
	dsn := server.NewDatabase(t)
	a, b := openPostgres(t, dsn), openPostgres(t, dsn)
	next := watch(t, b)
	server.SQL(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN mcpo' AND datname = '"+pgtest.Name(t, dsn)+"'")
	wantHeard(t, next, store.Key{})
	putIn(t, a, grant("notes", "ada"), "token")
	wantHeard(t, next, grant("notes", "ada"))
}

// TestWatchersComeAndGo: each hears of what happens while it is there.
func TestWatchersComeAndGo(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	a, b := openPostgres(t, dsn), openPostgres(t, dsn)
	gone := make(chan store.Key, 100)
	stop := b.Watch(func(key store.Key) { gone <- key })
	<-gone
	stop()
	second := make(chan store.Key, 100)
	defer b.Watch(func(key store.Key) { second <- key })()
	putIn(t, a, grant("notes", "ada"), "token")
	if key := <-second; key != grant("notes", "ada") {
		t.Errorf("%v is heard", key)
	}
	if len(gone) != 0 {
		t.Errorf("who stopped is told of %v", <-gone)
	}
}

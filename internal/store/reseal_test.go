package store_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/caller"
	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// sealed is a store whose records can be sealed anew.
type sealed interface {
	Put(ctx context.Context, r store.Record) error
	Get(ctx context.Context, key store.Key) (store.Record, error)
	Seals(ctx context.Context) (store.Seals, error)
	Reseal(ctx context.Context) (int, error)
}

func TestResealFiles(t *testing.T) {
	dir := t.TempDir()
	testReseal(t, func(keys ...string) sealed { return open(t, dir, keys...) })
}

func TestResealPostgres(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	testReseal(t, func(keys ...string) sealed { return openPostgres(t, dsn, keys...) })
}

// testReseal changes the key of a store with more records than are read at once.
func testReseal(t *testing.T, open func(keys ...string) sealed) {
	const callers = 250
	first := open(firstSecret)
	key := func(i int) store.Key {
		return grant("notes", string(rune('a'+i%26))+caller.User(string(rune(i))).String())
	}
	for i := range callers {
		if err := first.Put(t.Context(), store.Record{Key: key(i), Value: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	wantSeals := func(s sealed, want store.Seals) {
		t.Helper()
		if got, err := s.Seals(t.Context()); err != nil || got != want {
			t.Errorf("Seals = %+v, %v; want %+v", got, err, want)
		}
	}
	wantResealed := func(s sealed, want int) {
		t.Helper()
		if got, err := s.Reseal(t.Context()); err != nil || got != want {
			t.Errorf("Reseal = %d, %v; want %d", got, err, want)
		}
	}
	wantSeals(first, store.Seals{First: callers})
	wantResealed(first, 0)

	both := open(secondSecret, firstSecret)
	wantSeals(both, store.Seals{Others: callers})
	wantResealed(both, callers)
	wantResealed(both, 0)
	wantSeals(both, store.Seals{First: callers})
	wantSeals(first, store.Seals{None: callers}) // still open somewhere, with the key that is to go
	wantResealed(first, 0)

	second := open(secondSecret)
	for i := range callers {
		r, err := second.Get(t.Context(), key(i))
		if diff := cmp.Diff([]byte{byte(i)}, r.Value); err != nil || diff != "" {
			t.Fatalf("Get %d: %v %s", i, err, diff)
		}
	}
}

// Package storetest holds every store to the same promises.
//
//	a package's test ── Run ──▶ a store that it makes ──▶ each promise in turn
//
// It stands outside the house: only tests import it.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// Store is what is promised; see the methods of [store.Files].
type Store interface {
	Get(ctx context.Context, key store.Key) (store.Record, error)
	Put(ctx context.Context, r store.Record) error
	Delete(ctx context.Context, key store.Key) error
	Take(ctx context.Context, key store.Key) (store.Record, error)
	List(ctx context.Context, kind store.Kind) ([]store.Record, error)
	Count(ctx context.Context, kind store.Kind) (int, error)
	Lock(ctx context.Context, key store.Key) (held context.Context, unlock func(), err error)
	Sweep(ctx context.Context) (int, error)
}

// Run tests the promises, each on a store of its own that open makes, without
// any record.
func Run(t *testing.T, open func(t *testing.T) Store) {
	promises := []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"what is put is got until it is deleted", putGetDelete},
		{"a record comes back as it was put", comesBackAsPut},
		{"bytes are not shared with the store", bytesAreCopied},
		{"keys that look alike name different records", lookAlikes},
		{"a key that no record can have is refused", impossibleKeys},
		{"a list has all records of its kind", lists},
		{"records are counted by their kind", counts},
		{"what expired is not found, and swept", expires},
		{"what is taken is gone", takes},
		{"a record is replaced as a whole", replacesWhole},
		{"one of many takes a record", oneTakes},
		{"a record that is put again is taken again", takesEachOnce},
		{"a sweep leaves alone what was put anew", sweepSparesTheNew},
		{"one of many holds a lock", oneHoldsALock},
		{"a lock is of one key, and of no record", lockIsOfItsKey},
		{"the wait for a lock ends with the context", waitForALockEnds},
	}
	for _, promise := range promises {
		t.Run(promise.name, func(t *testing.T) { promise.test(t, open(t)) })
	}
}

// grant names the record of a caller's grant for a server.
func grant(server, who string) store.Key {
	return store.Key{Kind: store.Grants, Server: server, Caller: caller.FromStore(who)}
}

// ticket names the record of a ticket.
func ticket(name string) store.Key { return store.Key{Kind: store.Tickets, Name: name} }

func put(t *testing.T, s Store, key store.Key, value string, expires time.Time) {
	t.Helper()
	if err := s.Put(t.Context(), store.Record{Key: key, Value: []byte(value), Expires: expires}); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// wantValue checks what is found under key.
func wantValue(t *testing.T, s Store, key store.Key, want string) {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get %v: %v", key, err)
	}
	if string(r.Value) != want || r.Key != key {
		t.Fatalf("Get %v = %q under %v, want %q", key, r.Value, r.Key, want)
	}
}

// wantNothing checks that nothing is found under key.
func wantNothing(t *testing.T, s Store, key store.Key) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get %v = %q, %v; want ErrNotFound", key, r.Value, err)
	}
}

// wantList checks the records of a kind.
func wantList(t *testing.T, s Store, kind store.Kind, want ...store.Record) {
	t.Helper()
	got, err := s.List(t.Context(), kind)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	byName := cmpopts.SortSlices(func(a, b store.Record) bool {
		return a.Key.Server+"/"+a.Key.Caller.String()+"/"+a.Key.Name < b.Key.Server+"/"+b.Key.Caller.String()+"/"+b.Key.Name
	})
	if diff := cmp.Diff(want, got, byName, cmpopts.EquateEmpty(), cmpopts.EquateComparable(caller.ID{})); diff != "" {
		t.Fatalf("List (-want +got):\n%s", diff)
	}
}

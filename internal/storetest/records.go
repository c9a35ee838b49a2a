package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

func putGetDelete(t *testing.T, s Store) {
	key := grant("notes", "ada")
	wantNothing(t, s, key)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete of nothing: %v", err)
	}
	put(t, s, key, "one", time.Time{})
	wantValue(t, s, key, "one")
	put(t, s, key, "two", time.Now().Add(time.Hour))
	wantValue(t, s, key, "two")
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	wantNothing(t, s, key)
	put(t, s, key, "three", time.Time{})
	wantValue(t, s, key, "three")
}

func comesBackAsPut(t *testing.T, s Store) {
	elsewhere := time.FixedZone("elsewhere", 5*60*60)
	want := store.Record{
		Key:     store.Key{Kind: store.Logins, Server: "notes", Caller: caller.FromStore("ada"), Name: "state"},
		Value:   []byte("\x00\xff{not json\n"),
		Expires: time.Now().Add(time.Hour).In(elsewhere),
	}
	if err := s.Put(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	want.Expires = want.Expires.UTC().Round(0)
	wantList(t, s, store.Logins, want)
	wantValue(t, s, want.Key, string(want.Value))

	put(t, s, ticket("empty"), "", time.Time{})
	wantValue(t, s, ticket("empty"), "")
}

func bytesAreCopied(t *testing.T, s Store) {
	key, value := ticket("t"), []byte("value")
	if err := s.Put(t.Context(), store.Record{Key: key, Value: value}); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	r, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Value) > 0 {
		r.Value[1] = 'X'
	}
	wantValue(t, s, key, "value")
}

// lookAlikes puts under keys that a careless store takes for one another, or
// for a path.
func lookAlikes(t *testing.T, s Store) {
	keys := []store.Key{
		grant("a_b", "c"), grant("a", "b_c"), grant("a_b_c", ""), grant("", "a_b_c"),
		grant("ab", "c"), grant("a", "bc"), grant("a/b", "c"), grant("a", "b/c"), grant("a\x00b", "c"), grant("a", "b\x00c"),
		grant("notes", "ada"), grant("notes", "Ada"), grant("notes", "ADA"), grant("Notes", "ada"), grant("notes", "ada "), grant("notes", "ada."),
		grant("notes", "\u00e9"), grant("notes", "e\u0301"), // é, in one character and in two
		grant("notes", "\u0430da"), grant("notes", "k"), grant("notes", "\u212a"), // the Cyrillic a, the sign of kelvin
		grant("notes", "s"), grant("notes", "\u017f"), grant("notes", "i"), grant("notes", "\u0131"), grant("notes", "a\u200bda"),
		grant("notes", "\ufffd"), grant("\ufffd", "notes"),
		grant("notes", "../x"), grant("../notes", "x"), grant("notes", "../../key"), grant("notes", ".."), grant("..", "."), grant("notes", "/etc/passwd"),
		grant("notes", "x.json"), grant("notes", "x"), grant("notes", "CON"), grant("notes", "x:y"), grant("notes", `..\x`), grant("notes", "%2e%2e"),
		grant("notes", ""), grant("", "notes"), grant("", ""),
		{Kind: store.Grants, Server: "notes", Name: "ada"}, {Kind: store.Registrations, Server: "notes", Caller: caller.FromStore("ada")},
		{Kind: store.Registrations, Server: "notes", Name: "ada"}, {Kind: store.Registrations, Name: "notes"}, {Kind: store.Registrations, Server: "notes"},
		{Kind: store.Logins, Name: "notes"}, {Kind: store.Tickets, Name: "notes"}, {Kind: store.Catalogues, Server: "notes"}, {Kind: store.Catalogues, Name: "notes"}, {Kind: store.Tickets, Name: "NOTES"}, {Kind: store.Tickets, Caller: caller.FromStore("notes")},
	}
	for _, key := range keys {
		put(t, s, key, describe(key), time.Time{})
	}
	for _, key := range keys {
		wantValue(t, s, key, describe(key))
	}
	for _, key := range keys {
		if r, err := s.Take(t.Context(), key); err != nil || string(r.Value) != describe(key) {
			t.Fatalf("Take %v = %q, %v", key, r.Value, err)
		}
	}
}

// describe gives a text that no other key has.
func describe(key store.Key) string {
	return fmt.Sprintf("%q %q %q %q", key.Kind, key.Server, key.Caller, key.Name)
}

func impossibleKeys(t *testing.T, s Store) {
	for _, key := range []store.Key{
		{}, {Kind: "../tokens", Name: "x"}, {Kind: "Grant", Name: "x"}, {Kind: "lock", Name: "x"},
		grant("\xff", "ada"), grant("notes", "\xff"), ticket("\xff"),
	} {
		if err := s.Put(t.Context(), store.Record{Key: key}); err == nil {
			t.Errorf("Put %q is accepted", key)
		}
		wantNothing(t, s, key)
	}
}

func lists(t *testing.T, s Store) {
	wantList(t, s, store.Grants)
	later := time.Now().Add(time.Hour).UTC().Round(0)
	records := []store.Record{
		{Key: grant("mail", "ada"), Value: []byte("1")},
		{Key: grant("notes", "ada"), Value: []byte("2"), Expires: later},
		{Key: grant("notes", "bob"), Value: []byte("3")},
	}
	for _, r := range records {
		put(t, s, r.Key, string(r.Value), r.Expires)
	}
	put(t, s, ticket("t"), "4", time.Time{})
	wantList(t, s, store.Grants, records...)
	wantList(t, s, store.Tickets, store.Record{Key: ticket("t"), Value: []byte("4")})
	wantList(t, s, store.Registrations)
}

func expires(t *testing.T, s Store) {
	past, future := time.Now().Add(-time.Nanosecond), time.Now().Add(time.Hour)
	put(t, s, ticket("gone"), "1", past)
	put(t, s, ticket("taken"), "2", past)
	put(t, s, grant("notes", "gone"), "3", past)
	put(t, s, grant("notes", "here"), "4", future)
	put(t, s, grant("notes", "forever"), "5", time.Time{})
	wantNothing(t, s, ticket("gone"))
	wantNothing(t, s, grant("notes", "gone"))
	wantList(t, s, store.Tickets)
	if _, err := s.Take(t.Context(), ticket("taken")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Take of what expired: %v, want ErrNotFound", err)
	}
	wantSwept(t, s, 2)
	wantSwept(t, s, 0)
	wantValue(t, s, grant("notes", "here"), "4")
	wantValue(t, s, grant("notes", "forever"), "5")

	put(t, s, grant("notes", "here"), "6", past)
	wantNothing(t, s, grant("notes", "here"))
	put(t, s, grant("notes", "here"), "7", future)
	wantValue(t, s, grant("notes", "here"), "7")
	wantSwept(t, s, 0)
}

func wantSwept(t *testing.T, s Store, want int) {
	t.Helper()
	if got, err := s.Sweep(t.Context()); err != nil || got != want {
		t.Errorf("Sweep = %d, %v; want %d", got, err, want)
	}
}

func takes(t *testing.T, s Store) {
	key := ticket("t")
	if _, err := s.Take(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Take of nothing: %v, want ErrNotFound", err)
	}
	put(t, s, key, "one", time.Now().Add(time.Hour))
	if r, err := s.Take(t.Context(), key); err != nil || string(r.Value) != "one" || r.Key != key {
		t.Fatalf("Take = %q under %v, %v", r.Value, r.Key, err)
	}
	wantNothing(t, s, key)
	wantList(t, s, store.Tickets)
	if _, err := s.Take(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("second Take: %v, want ErrNotFound", err)
	}
}

func counts(t *testing.T, s Store) {
	put(t, s, ticket("one"), "1", time.Time{})
	put(t, s, grant("notes", "ada"), "2", time.Time{})
	put(t, s, grant("notes", "bob"), "3", time.Time{})
	put(t, s, grant("maps", "ada"), "4", time.Time{})
	put(t, s, grant("maps", "ada"), "5", time.Time{})
	for kind, want := range map[store.Kind]int{store.Grants: 3, store.Tickets: 1, store.Logins: 0} {
		if n, err := s.Count(t.Context(), kind); err != nil || n != want {
			t.Errorf("%s: %d records, %v; want %d", kind, n, err, want)
		}
	}
}

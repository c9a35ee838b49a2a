package store_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcpo/internal/store"
)

// wantOpenError checks that the store does not open, and that the error has all
// the words. It returns the error.
func wantOpenError(t *testing.T, dir string, keys []string, words ...string) error {
	t.Helper()
	_, err := store.Open(store.Options{Dir: dir, Keys: keys, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("Open: no error")
	}
	for _, word := range append(words, "; ") { // what is wrong; what to do
		if !strings.Contains(err.Error(), word) {
			t.Errorf("Open: %v; want %q in it", err, word)
		}
	}
	for _, key := range keys {
		if key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("the error holds the key: %v", err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has more than one line: %v", err)
	}
	return err
}

func TestKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, open(t, dir), grant("notes", "ada"), "token")
	first := readFile(t, filepath.Join(dir, "key"))
	wantValue(t, open(t, dir), grant("notes", "ada"), "token")
	if second := readFile(t, filepath.Join(dir, "key")); second != first || len(first) < 32 {
		t.Errorf("the key was %q and is %q", first, second)
	}
	other := t.TempDir()
	open(t, other)
	if readFile(t, filepath.Join(other, "key")) == first {
		t.Error("two folders have the same key")
	}
}

func TestKeyRotation(t *testing.T) {
	dir, ada, bob := t.TempDir(), grant("notes", "ada"), grant("notes", "bob")
	put(t, open(t, dir, firstSecret), ada, "one")

	both := open(t, dir, secondSecret, firstSecret)
	wantValue(t, both, ada, "one")
	put(t, both, ada, "two")
	put(t, both, bob, "three")

	second := open(t, dir, secondSecret) // all records were sealed anew
	wantValue(t, second, ada, "two")
	wantValue(t, second, bob, "three")
	wantOpenError(t, dir, []string{firstSecret}, "2 of the 2 records")
}

// TestKeyInTheFolderStaysValid gives a key to a store that had made one.
func TestKeyInTheFolderStaysValid(t *testing.T) {
	dir, ada, bob := t.TempDir(), grant("notes", "ada"), grant("notes", "bob")
	put(t, open(t, dir), ada, "one")
	s := open(t, dir, firstSecret)
	wantValue(t, s, ada, "one")
	put(t, s, bob, "two")
	err := wantOpenError(t, dir, nil, "1 of the 2 records") // bob's is sealed with what was given
	if !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("Open: %v, want ErrWrongKey", err)
	}
}

func TestWrongKey(t *testing.T) {
	dir, ada := t.TempDir(), grant("notes", "ada")
	path := fileOf(t, open(t, dir, firstSecret), dir, ada, "token")
	before := readFile(t, path)
	for _, keys := range [][]string{{secondSecret}, nil} {
		if err := wantOpenError(t, dir, keys, "1 of the 1 records", dir); !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("Open: %v, want ErrWrongKey", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "key")); err == nil {
		t.Error("a key was made that opens nothing")
	}
	if got := files(t, dir); len(got) != 1 || readFile(t, path) != before {
		t.Errorf("the folder was changed: %q", got)
	}
	wantValue(t, open(t, dir, firstSecret), ada, "token")
}

// TestWrongKeyWhileRunning has two processes with different keys meet in a
// folder that was empty when both began.
func TestWrongKeyWhileRunning(t *testing.T) {
	dir, ada, bob := t.TempDir(), grant("notes", "ada"), grant("notes", "bob")
	first, second := open(t, dir, firstSecret), open(t, dir, secondSecret)
	put(t, first, ada, "token")
	put(t, second, bob, "bob's token")

	wantError(t, second, ada, store.ErrWrongKey)
	wantError(t, second, ada, store.ErrWrongKey) // it was not set aside
	if _, err := second.Take(t.Context(), ada); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("Take: %v, want ErrWrongKey", err)
	}
	if _, err := second.List(t.Context(), store.Grants); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("List: %v, want ErrWrongKey", err)
	}
	if _, err := second.Sweep(t.Context()); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("Sweep: %v, want ErrWrongKey", err)
	}
	wantValue(t, second, bob, "bob's token")
	wantValue(t, first, ada, "token")
}

func TestWeakKeys(t *testing.T) {
	wantOpenError(t, t.TempDir(), []string{"short"}, "number 1", "5 bytes", "16")
	wantOpenError(t, t.TempDir(), []string{firstSecret, ""}, "number 2", "0 bytes")

	for _, content := range []string{"", "\n", "abc"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "key"), content)
		wantOpenError(t, dir, nil, filepath.Join(dir, "key"), "damaged")
	}
}

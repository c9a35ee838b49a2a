package store_test

import (
	"log/slog"
	"testing"

	"mcpo/internal/store"
	"mcpo/internal/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return store.NewMemory() })
}

func TestFiles(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, t.TempDir()) })
}

// open opens a store in dir.
func open(t *testing.T, dir string, keys ...string) *store.Files {
	t.Helper()
	s, err := store.Open(store.Options{Dir: dir, Keys: keys, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

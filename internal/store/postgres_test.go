package store_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
	"mcpo/internal/storetest"
)

func TestPostgres(t *testing.T) {
	server := pgtest.Shared(t)
	storetest.Run(t, func(t *testing.T) storetest.Store { return openPostgres(t, server.NewDatabase(t)) })
}

// openPostgres opens a store that is closed at the end of the test.
func openPostgres(t *testing.T, dsn string, keys ...string) *store.Postgres {
	t.Helper()
	return openLogged(t, dsn, slog.New(slog.DiscardHandler), keys...)
}

func openLogged(t *testing.T, dsn string, log *slog.Logger, keys ...string) *store.Postgres {
	t.Helper()
	if len(keys) == 0 {
		keys = []string{firstSecret}
	}
	return openWith(t, optionsOf(dsn, log, keys...))
}

// optionsOf are patient: most tests are not about a database that is slow.
func optionsOf(dsn string, log *slog.Logger, keys ...string) store.PostgresOptions {
	return store.PostgresOptions{DSN: dsn, Keys: keys, Log: log}.Patient(patience)
}

// openHasty opens a store that gives up as soon as it does in earnest.
func openHasty(t *testing.T, dsn string, keys ...string) *store.Postgres {
	t.Helper()
	if len(keys) == 0 {
		keys = []string{firstSecret}
	}
	return openWith(t, store.PostgresOptions{DSN: dsn, Keys: keys, Log: slog.New(slog.DiscardHandler)})
}

func openWith(t *testing.T, o store.PostgresOptions) *store.Postgres {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), o)
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

func putIn(t *testing.T, s *store.Postgres, key store.Key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), store.Record{Key: key, Value: []byte(value)}); err != nil {
		t.Errorf("Put: %v", err)
	}
}

func putWithEnd(t *testing.T, s *store.Postgres, key store.Key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), store.Record{Key: key, Value: []byte(value), Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func wantIn(t *testing.T, s *store.Postgres, key store.Key, want string) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); err != nil || string(r.Value) != want {
		t.Errorf("Get %v = %q, %v; want %q", key, r.Value, err, want)
	}
}

func wantErrorIn(t *testing.T, s *store.Postgres, key store.Key, want error) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); !errors.Is(err, want) {
		t.Errorf("Get %v = %q, %v; want the error %q", key, r.Value, err, want)
	}
}

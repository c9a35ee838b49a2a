package store_test

import (
	"log/slog"
	"testing"

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
	s, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: dsn, Keys: keys, Log: log})
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

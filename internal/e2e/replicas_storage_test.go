package e2e

import (
	"log/slog"
	"path/filepath"
	"testing"

	"mcpo/internal/oauth"
	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// replicasSealing seals the records of all replicas.
const replicasSealing = "the key that the replicas seal their records with"

// shared is a place that replicas keep logins in.
type shared struct {
	config map[string]any                 // the storage block
	open   func(t *testing.T) oauth.Store // the same place, for the test to look into
	dsn    string                         // of a database; it tells replicas what others change
	other  func(t *testing.T) shared      // another place of this kind
}

// onEachStorage tells a story about replicas for every kind of storage.
func onEachStorage(t *testing.T, tell func(*testing.T, shared)) {
	t.Run("file", func(t *testing.T) { tell(t, inFiles(t)) })
	t.Run("postgres", func(t *testing.T) { tell(t, inPostgres(t, pgtest.Shared(t))) })
}

func inFiles(t *testing.T) shared {
	dir := filepath.Join(t.TempDir(), "storage")
	return shared{
		other:  inFiles,
		config: map[string]any{"path": dir, "encryption_key": replicasSealing},
		open: func(t *testing.T) oauth.Store {
			files, err := store.Open(store.Options{Dir: dir, Keys: []string{replicasSealing}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			return files
		},
	}
}

func inPostgres(t *testing.T, server *pgtest.Server) shared {
	dsn := server.NewDatabase(t)
	return shared{
		dsn:    dsn,
		other:  func(t *testing.T) shared { return inPostgres(t, server) },
		config: map[string]any{"type": "postgres", "dsn": dsn, "encryption_key": replicasSealing},
		open: func(t *testing.T) oauth.Store {
			p, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: dsn, Keys: []string{replicasSealing}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			return p
		},
	}
}

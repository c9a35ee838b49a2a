package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// tryPostgres opens a store that is not to be opened, and returns why.
func tryPostgres(t *testing.T, dsn string, keys ...string) error {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: dsn, Keys: keys, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		s.Close()
	}
	return err
}

// dump is all that the tables hold.
func dump(t *testing.T, dsn string) string {
	t.Helper()
	return strings.Join(pgtest.SQL(t, dsn, "SELECT * FROM mcpo_schema; SELECT * FROM mcpo_keys; SELECT * FROM mcpo_records; SELECT * FROM mcpo_damaged; SELECT * FROM mcpo_locks"), "\n")
}

func TestReplicasMakeTheTablesTogether(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			s := openPostgres(t, dsn)
			putIn(t, s, grant("notes", fmt.Sprint(i)), "token")
		})
	}
	all.Wait()
	if found, err := openPostgres(t, dsn).List(t.Context(), store.Grants); err != nil || len(found) != 3 {
		t.Errorf("List = %d records, %v; want 3", len(found), err)
	}
	if steps := pgtest.SQL(t, dsn, "SELECT version FROM mcpo_schema"); len(steps) != 1 || steps[0] != "1" {
		t.Errorf("the steps are %q", steps)
	}
}

func TestTablesOfALaterMcpo(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	openPostgres(t, dsn)
	pgtest.SQL(t, dsn, "INSERT INTO mcpo_schema (version) VALUES (2)")
	before := dump(t, dsn)
	if err := tryPostgres(t, dsn, firstSecret); err == nil || !strings.Contains(err.Error(), "its tables are those of a later mcpo, in version 2; this one knows those up to 1") {
		t.Errorf("OpenPostgres: %v", err)
	}
	if dump(t, dsn) != before {
		t.Error("something was changed")
	}
}

func TestKeysOfADatabase(t *testing.T) {
	dsn, ada := pgtest.Shared(t).NewDatabase(t), grant("notes", "ada")
	openPostgres(t, dsn, firstSecret)
	if err := tryPostgres(t, dsn, secondSecret); !errors.Is(err, store.ErrWrongKey) || !strings.Contains(err.Error(), "give all of them the same encryption keys") {
		t.Errorf("a replica with another key, before any record: %v", err)
	}
	putIn(t, openPostgres(t, dsn, firstSecret), ada, "token")
	before := dump(t, dsn)
	if err := tryPostgres(t, dsn, secondSecret); !errors.Is(err, store.ErrWrongKey) || !strings.Contains(err.Error(), "1 of its 1 records do not open") {
		t.Errorf("a replica with another key: %v", err)
	}
	if dump(t, dsn) != before {
		t.Error("something was changed")
	}

	// The way to another key: all replicas get it as their second, then as their
	// first, and in the end alone.
	old, second := openPostgres(t, dsn, firstSecret), openPostgres(t, dsn, firstSecret, secondSecret)
	first := openPostgres(t, dsn, secondSecret, firstSecret)
	putIn(t, first, grant("notes", "bob"), "bob's token")
	wantIn(t, second, grant("notes", "bob"), "bob's token")
	wantIn(t, first, ada, "token")
	if _, err := old.Get(t.Context(), grant("notes", "bob")); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("Get with the old key alone: %v", err)
	}
	if _, err := old.Take(t.Context(), grant("notes", "bob")); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("Take with the old key alone: %v", err)
	}
	if err := tryPostgres(t, dsn, secondSecret); !errors.Is(err, store.ErrWrongKey) || !strings.Contains(err.Error(), "1 of its 2") {
		t.Errorf("the new key alone, too early: %v", err)
	}
	putIn(t, first, ada, "a newer token")
	wantIn(t, openPostgres(t, dsn, secondSecret), ada, "a newer token")
}

// TestRefusedDatabases tells of what waiting does not mend, without passwords.
func TestRefusedDatabases(t *testing.T) {
	server := pgtest.Shared(t)
	mine := server.NewDatabase(t)
	name := pgtest.Name(t, mine)
	server.SQL(t, "CREATE ROLE guest LOGIN")
	for dsn, want := range map[string]string{
		"postgres://me:hunter2@db:port/x":                        "cannot be understood",
		"postgres://me:hunter2/x@db/x":                           "cannot be understood",
		"host=db password=hunter2 what":                          "cannot be understood",
		"postgres://me:hunter2@db/x?sslrootcert=/nowhere/ca.pem": "/nowhere/ca.pem",
		strings.Replace(mine, "/"+name+"?", "/nowhere?", 1):      `it does not let mcpo in: database "nowhere" does not exist; check`,
		strings.Replace(mine, name+"@", "nobody@", 1):            `it does not let mcpo in: role "nobody" does not exist; check`,
		strings.Replace(mine, name+"@", "guest@", 1):             "grant CREATE on its schema to the user of the DSN",
	} {
		err := tryPostgres(t, dsn, firstSecret)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", dsn, err, want)
		}
	}
	if err := tryPostgres(t, mine); err == nil || !strings.Contains(err.Error(), "need an encryption key") {
		t.Errorf("without a key: %v", err)
	}
	if err := tryPostgres(t, mine, "short"); err == nil || !strings.Contains(err.Error(), "number 1 is too weak") {
		t.Errorf("with a short key: %v", err)
	}
}

package store_test

import (
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// patience bounds every wait; it is long, for it is met by failures only.
const patience = 60 * time.Second

// eventually looks again and again until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	end := time.After(patience)
	for !is() {
		select {
		case <-end:
			t.Fatalf("not within %v: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// wantAway asks for everything, more often than there is time for if each waited:
// all of it is refused.
func wantAway(t *testing.T, s *store.Postgres, why string) {
	t.Helper()
	begun := time.Now()
	key := grant("notes", "ada")
	for range 20 {
		_, get := s.Get(t.Context(), key)
		_, take := s.Take(t.Context(), key)
		_, list := s.List(t.Context(), store.Grants)
		_, sweep := s.Sweep(t.Context())
		_, _, lock := s.Lock(t.Context(), key)
		put, remove := s.Put(t.Context(), store.Record{Key: key}), s.Delete(t.Context(), key)
		for _, err := range []error{get, take, list, sweep, lock, put, remove, s.Health()} {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("the error is %v, want ErrUnavailable", err)
			}
		}
	}
	if took := time.Since(begun); took > patience {
		t.Errorf("the refusals took %v", took)
	}
	if said := s.Health().Error(); !strings.Contains(said, why) || !strings.Contains(said, " since 20") {
		t.Errorf("Health says %q, want %q", said, why)
	}
}

func wantBack(t *testing.T, s *store.Postgres) {
	t.Helper()
	eventually(t, "the store is back", func() bool {
		r, err := s.Get(t.Context(), grant("notes", "ada"))
		return err == nil && string(r.Value) == "token"
	})
	eventually(t, "the store takes changes", func() bool {
		_, unlock, err := s.Lock(t.Context(), grant("notes", "ada"))
		if err != nil {
			return false
		}
		unlock()
		return true
	})
}

// TestAway takes the database away in each way, and gives it back.
func TestAway(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.NewDatabase(t)
	name := pgtest.Name(t, dsn)
	cut := "; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'"
	sql := func(statements string) func() {
		return func() { server.SQL(t, statements) }
	}
	putIn(t, openPostgres(t, dsn), grant("notes", "ada"), "token")
	s := openHasty(t, dsn)
	for _, c := range []struct {
		name, why  string
		away, back func()
	}{
		{"stopped", "nothing listens", func() { server.Stop(t) }, func() { server.Continue(t) }},
		{"halted", "it does not answer", func() { server.Pause(t) }, func() { server.Resume(t) }},
		{"read-only", "it takes no changes", sql("ALTER DATABASE " + name + " SET default_transaction_read_only = on" + cut), sql("ALTER DATABASE " + name + " RESET default_transaction_read_only")},
		{"too many connections", "SQLSTATE 53300", sql("ALTER DATABASE " + name + " CONNECTION LIMIT 0" + cut), sql("ALTER DATABASE " + name + " CONNECTION LIMIT -1")},
		{"locked out", "it does not let mcpo in", sql("ALTER ROLE " + name + " NOLOGIN" + cut), sql("ALTER ROLE " + name + " LOGIN")},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.away()
			eventually(t, "the store notices", func() bool { return s.Health() != nil })
			eventually(t, "the reason is "+c.why, func() bool { err := s.Health(); return err != nil && strings.Contains(err.Error(), c.why) })
			wantAway(t, s, c.why)
			c.back()
			wantBack(t, s)
		})
	}
	t.Run("cut off", func(t *testing.T) { // which the next statement does not notice
		server.SQL(t, "SELECT 1"+cut)
		wantBack(t, s)
	})
}

// TestWritesFindOut that the database takes none before anybody looks.
func TestWritesFindOut(t *testing.T) {
	server := pgtest.Shared(t)
	dsn := server.NewDatabase(t)
	s := openHasty(t, dsn)
	server.SQL(t, "ALTER ROLE "+pgtest.Name(t, dsn)+" SET default_transaction_read_only = on; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+pgtest.Name(t, dsn)+"'")
	if err := s.Put(t.Context(), store.Record{Key: grant("notes", "ada")}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put: %v, want ErrUnavailable", err)
	}
}

// TestStartsWithoutTheDatabase: it comes later, and empty.
func TestStartsWithoutTheDatabase(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.NewDatabase(t)
	server.Stop(t)
	s := openHasty(t, dsn)
	wantAway(t, s, "nothing listens")
	server.Continue(t)
	eventually(t, "the store is there", func() bool {
		return s.Put(t.Context(), store.Record{Key: grant("notes", "ada"), Value: []byte("token")}) == nil
	})

	server.Stop(t)
	wrong := openHasty(t, dsn, secondSecret)
	server.Continue(t)
	eventually(t, "the wrong key is noticed", func() bool {
		err := wrong.Health()
		return err != nil && strings.Contains(err.Error(), store.ErrWrongKey.Error())
	})
}

// TestPostgresLeavesNothingRunning, whatever went on when it was closed.
func TestPostgresLeavesNothingRunning(t *testing.T) {
	server := pgtest.Start(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, away := range []bool{false, true} {
		s, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: server.NewDatabase(t), Keys: []string{firstSecret}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan store.Key, 10)
		s.Watch(func(key store.Key) { heard <- key })
		<-heard
		lock(t, s, grant("mail", "ada")) // and never freed
		if away {
			server.Stop(t)
		}
		s.Close()
		wantAway(t, s, "it was closed")
	}
}

// TestLargeCatalogue: what a server makes large takes its time, and takes the
// database from nobody.
func TestLargeCatalogue(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	openPostgres(t, dsn) // makes the tables
	s := openWith(t, store.PostgresOptions{DSN: dsn, Keys: []string{firstSecret}, Log: slog.New(slog.DiscardHandler)}.Patient(50*time.Millisecond))
	large := store.Record{Key: store.Key{Kind: store.Catalogues, Server: "notes"}, Value: make([]byte, 16<<20)}
	eventually(t, "the store takes it", func() bool { return s.Put(t.Context(), large) == nil })
	eventually(t, "the store gives it", func() bool {
		r, err := s.Get(t.Context(), large.Key)
		return err == nil && len(r.Value) == len(large.Value)
	})
}

// TestManyGrants take their time to be listed.
func TestManyGrants(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	patient := openPostgres(t, dsn)
	const many = 32
	for n := range many {
		if err := patient.Put(t.Context(), store.Record{Key: grant("notes", strconv.Itoa(n)), Value: make([]byte, 1<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	s := openWith(t, store.PostgresOptions{DSN: dsn, Keys: []string{firstSecret}, Log: slog.New(slog.DiscardHandler)}.Patient(50*time.Millisecond))
	eventually(t, "all are listed", func() bool {
		all, err := s.List(t.Context(), store.Grants)
		return err == nil && len(all) == many
	})
}

package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// frozen is a host that takes connections and never says anything, as one that
// hangs.
func frozen(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// TestHostThatHangs: of the several hosts of a DSN one that hangs keeps nobody from
// the next.
func TestHostThatHangs(t *testing.T) {
	server := pgtest.StartWith(t, pgtest.Options{TCP: true})
	dsn := server.NewDatabase(t)
	for _, hosts := range []int{1, 2} {
		t.Run(fmt.Sprint(hosts), func(t *testing.T) {
			addresses := server.Addr()
			for range hosts {
				addresses = frozen(t) + "," + addresses
			}
			s := openHasty(t, pgtest.At(t, dsn, addresses))
			eventually(t, "the last host is found", func() bool { return s.Health() == nil })
			putIn(t, s, grant("notes", "ada"), "token")
			heard := make(chan struct{}, 1)
			s.Watch(func(key store.Key) {
				select {
				case heard <- struct{}{}:
				default:
				}
			})
			<-heard
		})
	}
}

// long is less than what pgx waits for the end of a connection whose server hangs,
// 15 s, and far more than what a store needs that does not wait for it.
const long = 10 * time.Second

// manyAtOnce has all connections of a pool in use.
func manyAtOnce(t *testing.T, s *store.Postgres) {
	t.Helper()
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() { _, _ = s.Get(t.Context(), grant("notes", "ada")) }) // who fails fails
	}
	all.Wait()
}

// TestServerThatHangs under load: its connections, which take their time to end,
// keep nobody from a server that answers, nor a store from being closed.
func TestServerThatHangs(t *testing.T) {
	one, two := pgtest.StartWith(t, pgtest.Options{TCP: true}), pgtest.StartWith(t, pgtest.Options{TCP: true})
	dsn := one.NewDatabase(t)
	two.NewDatabase(t)
	s := openWith(t, store.PostgresOptions{DSN: pgtest.At(t, dsn, one.Addr()+","+two.Addr()), Keys: []string{firstSecret}, Log: slog.New(slog.DiscardHandler)}.Patient(500*time.Millisecond))
	eventually(t, "the first server answers", func() bool { return s.Health() == nil })
	manyAtOnce(t, s)
	one.Pause(t)
	defer one.Resume(t)
	begun := time.Now()
	manyAtOnce(t, s)
	eventually(t, "the second server is found", func() bool { return s.Health() == nil })
	if took := time.Since(begun); took > long {
		t.Errorf("the second server is found after %v", took)
	}
	manyAtOnce(t, s)
	two.Pause(t)
	defer two.Resume(t)
	begun = time.Now()
	if _, err := s.Get(t.Context(), store.Key{Kind: store.Catalogues, Server: "notes"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a catalogue: %v", err)
	}
	if took := time.Since(begun); took > long {
		t.Errorf("it is unavailable after %v", took)
	}
	manyAtOnce(t, s)
	begun = time.Now()
	s.Close()
	if took := time.Since(begun); took > long {
		t.Errorf("closing takes %v", took)
	}
}

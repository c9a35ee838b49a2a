package app

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/pgtest"
)

// TestReloadOfTheDatabase: servers with logins go where the new configuration
// says, and nothing is left of connections to where they were. A database that
// refuses changes nothing.
func TestReloadOfTheDatabase(t *testing.T) {
	server, h := pgtest.Shared(t), newHousehold(t)
	first, second := server.NewDatabase(t), server.NewDatabase(t)
	port := freePort(t)
	configure := func(dsn, key string) {
		write(t, h.path, fmt.Sprintf(`{"storage": {"type": "postgres", "dsn": %q, "encryption_key": %q}, "mcpServers": {%s, %s}}`,
			dsn, key, guarded("lab", "http://127.0.0.1:1/mcp", port, ""), open(t, "clock")))
	}
	connected := func(dsn string) bool {
		return server.SQL(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+pgtest.Name(t, dsn)+"'")[0] != "0"
	}
	p := newPerson(t)
	configure(first, sharedKey)
	m := run(t, Options{ConfigPath: h.path, HotReload: true, Log: slog.New(slog.NewTextHandler(p, nil))})
	soon(t, "the first database is used", func() bool { return connected(first) })
	configure(second, sharedKey)
	soon(t, "the second database is used", func() bool { return connected(second) && !connected(first) })

	configure(first, strings.ToUpper(sharedKey))
	p.reads("the old one stays in use")
	soon(t, "the first database is left alone", func() bool { return !connected(first) })
	if status, body := m.get("GET", "/readyz", ""); status != 200 || !strings.Contains(body, `"store":{"state":"ok"}`) {
		t.Errorf("readyz: %d %s", status, body)
	}
	if err := m.stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	soon(t, "nothing is left", func() bool { return !connected(second) })
}

// TestStoreInUseWhileAnotherOpens: who asks for the one in use, as /readyz does,
// does not wait for one that takes its time.
func TestStoreInUseWhileAnotherOpens(t *testing.T) {
	opening, on := make(chan struct{}), make(chan struct{})
	first, second := config.Storage{Path: "first"}, config.Storage{Path: "second"}
	s := &stored{open: func(_ Options, at config.Storage) (*opened, error) {
		if at.Path == second.Path {
			opening <- struct{}{}
			<-on
		}
		return &opened{from: at}, nil
	}}
	one, err := s.at(first)
	if err != nil {
		t.Fatal(err)
	}
	var reload sync.WaitGroup
	reload.Go(func() {
		if two, err := s.at(second); err != nil || two == one {
			t.Errorf("at = %v, %v", two, err)
		}
	})
	<-opening
	if s.current() != one || !s.moves(second) {
		t.Error("another store than the first is in use")
	}
	close(on)
	reload.Wait()
	if old := s.turn(); old != one || s.moves(second) {
		t.Errorf("turn = %v", old)
	}
}

// TestReloadToNowhere: a reload that changes to a database that is not there takes
// mcpo out of no service, for it would take all replicas at once.
func TestReloadToNowhere(t *testing.T) {
	h := newHousehold(t)
	port := freePort(t)
	configure := func(storage string) {
		write(t, h.path, fmt.Sprintf(`{"storage": %s, "mcpServers": {%s, %s}}`, storage, guarded("lab", "http://127.0.0.1:1/mcp", port, ""), open(t, "clock")))
	}
	configure(fmt.Sprintf(`{"path": %q, "encryption_key": %q}`, h.dir+"/kept", sharedKey))
	m := run(t, Options{ConfigPath: h.path, HotReload: true})
	m.await(200, "GET", "/readyz", "")
	configure(fmt.Sprintf(`{"type": "postgres", "dsn": "postgres://127.0.0.1:%d/mcpo", "encryption_key": %q}`, freePort(t), sharedKey))
	soon(t, "the other database is wanted", func() bool {
		status, body := m.get("GET", "/readyz", "")
		if status != 200 && strings.Contains(body, `"unavailable"`) {
			t.Fatalf("readyz: %d %s", status, body)
		}
		return strings.Contains(body, `"store":{"state":"unavailable"`)
	})
}

// soon looks again and again until something is so.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	end := time.After(time.Minute)
	for !is() {
		select {
		case <-end:
			t.Fatalf("not within a minute: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

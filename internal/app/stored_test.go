package app

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

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
	until := func(what string, is func() bool) {
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
	p := newPerson(t)
	configure(first, sharedKey)
	m := run(t, Options{ConfigPath: h.path, HotReload: true, Log: slog.New(slog.NewTextHandler(p, nil))})
	until("the first database is used", func() bool { return connected(first) })
	configure(second, sharedKey)
	until("the second database is used", func() bool { return connected(second) && !connected(first) })

	configure(first, strings.ToUpper(sharedKey))
	p.reads("the old one stays in use")
	until("the first database is left alone", func() bool { return !connected(first) })
	if status, body := m.get("GET", "/readyz", ""); status != 200 || !strings.Contains(body, `"store":{"state":"ok"}`) {
		t.Errorf("readyz: %d %s", status, body)
	}
	if err := m.stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	until("nothing is left", func() bool { return !connected(second) })
}

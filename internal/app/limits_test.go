package app

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"mcpo/internal/mcptest"
)

// TestLimitsChange: a reload brings limits and takes them away. It keeps the
// connection, and where they stay the same what was counted.
func TestLimitsChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	file := func(more, one string) {
		write(t, path, fmt.Sprintf(`{"mcpServers":{"a":{"command":%q%s}},%s}`, mcptest.BuildStdio(t), one, more))
	}
	const few = `"limits":{"calls_per_second":0.001,"burst":2,"queue":0}`
	file(`"public_url":""`, "")
	m := run(t, Options{ConfigPath: path})
	m.await(200, "POST", "/a/add_tool", `{"name":"mark"}`) // lives as long as this connection
	m.await(200, "POST", "/a/mark", `{}`)
	again := func() {
		for range 2 { // the second begins when the first is over
			m.reload <- struct{}{}
		}
	}
	file(few, "")
	again()
	m.await(429, "POST", "/a/mark", `{}`)
	again()
	if status, body := m.get("POST", "/a/mark", `{}`); status != 429 {
		t.Errorf("the same limits have forgotten what was called: %d %s", status, body)
	}
	file(few, `,"limits":false`)
	again()
	for range 5 {
		if status, body := m.get("POST", "/a/mark", `{}`); status != 200 {
			t.Errorf("a call without limits: %d %s", status, body)
		}
	}
}

// TestCircuitBreakerIsTold in the log, when it opens and when it closes.
func TestCircuitBreakerIsTold(t *testing.T) {
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, fmt.Sprintf(`{"mcpServers":{"a":{"type":"http","url":%q,"timeout":0.2}},"circuit_breaker":{"failures":2,"seconds":0.2}}`,
		waitingServer(t, arrived, release)))
	log := newPerson(t)
	m := run(t, Options{ConfigPath: path, Log: slog.New(slog.NewTextHandler(log, nil))})
	m.await(504, "POST", "/a/wait", `{}`)
	m.await(503, "POST", "/a/wait", `{}`)
	close(release)
	m.await(200, "POST", "/a/wait", `{}`)
	log.reads("calls only fail")
	log.reads("answers the caller again")
}

package e2e

import (
	"errors"
	"testing"

	"mcpo/internal/oauthtest"
)

// sufferOnWayToServer has two people call a server, one of them before the fault
// begins. While it lasts the server forgets its MCP sessions too, so that they
// have to be opened through it.
func sufferOnWayToServer(t *testing.T, x *toxiproxy, f fault) row {
	w := x.faulty(t, f.id, oauthtest.Options{}, nil)
	alice, bob := w.guest(t, "alice"), w.guest(t, "bob")
	release := w.runs.hold("before")
	defer release()
	early := make(chan seen, 1)
	go func() { early <- alice.run(work{"before", 20_000}) }()
	w.runs.await(t, "before")
	during := func() []seen {
		release()
		saw := append(round("first", alice, bob), <-early)
		w.lab.ForgetSessions()
		return append(saw, append(round("second", alice, bob), round("third", alice, bob)...)...)
	}
	well := func() error { return errors.Join(alice.whoami("lab"), bob.whoami("lab")) }
	return w.bear(t, w.toLab, f, during, well,
		alice.echoes, func() error { return alice.whoami("near") }, func() error { return bob.whoami("near") })
}

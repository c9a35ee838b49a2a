package e2e

import (
	"errors"
	"testing"
)

// sufferOnWayToAuthority has the access tokens of two people refused while their
// authorization server is behind a fault. A third person's is good.
func sufferOnWayToAuthority(t *testing.T, x *toxiproxy, f fault) row {
	w := x.faulty(t, f.id, strict(f), nil)
	alice, bob, carol := w.guest(t, "alice"), w.guest(t, "bob"), w.guest(t, "carol")
	w.lab.Expire()
	await(t, func() error { return carol.whoami("lab") })
	during := func() []seen { return append(round("first", alice, bob), round("second", alice, bob)...) }
	well := func() error { return errors.Join(alice.whoami("lab"), bob.whoami("lab")) }
	return w.bear(t, w.toAuthority, f, during, well,
		carol.echoes, func() error { return carol.whoami("lab") }, func() error { return alice.whoami("near") })
}

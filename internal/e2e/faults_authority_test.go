package e2e

import (
	"errors"
	"fmt"
	"testing"

	"mcpo/internal/oauthtest"
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

// TestSpentForNothing loses the answer to a refresh token at an authorization
// server that ends logins where one comes again. No program can keep such a login
// once its access token is refused too. It ends in a link, and nobody else's does.
func TestSpentForNothing(t *testing.T) {
	x := startToxiproxy(t)
	t.Setenv("CONNECTION_TIMEOUT", fmt.Sprint(connectTimeout))
	w := x.faulty(t, "spent", oauthtest.Options{}, nil)
	alice, bob := w.guest(t, "alice"), w.guest(t, "bob")
	w.lab.Expire()
	await(t, func() error { return bob.whoami("lab") })
	f := makeFault("", true, "limit_data", map[string]any{"bytes": 200}, fromServer)
	stop := steadily(t, bob.echoes, func() error { return bob.whoami("lab") })
	w.toAuthority.on(t, f)
	s := alice.run(work{"spent", 0})
	w.toAuthority.off(t, f)
	var link string
	await(t, func() (err error) {
		link, err = alice.link()
		return err
	})
	t.Logf("while the answer was lost: %s; after that a link, with %d spent tokens sent again", w.judge(t, s), w.lab.Replays())
	browse(t, link, oauthtest.BrowseOptions{User: "alice"})
	await(t, func() error { return alice.whoami("lab") })
	stop()
}

package e2e

import (
	"errors"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

// TestReplicasRefreshOnce: an access token is over while a hundred calls are
// made at all replicas. It is renewed once, and no call fails.
func TestReplicasRefreshOnce(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{})
		alice := r.member(t, "alice")
		alice.logIn(t)
		alice.mustWork(t)
		hundred := func(renewed int) {
			t.Helper()
			if err := together(100, func(int) error { return alice.works(r.url) }); err != nil {
				t.Error(err)
			}
			r.hadAtLab(t, "refresh", renewed)
		}

		r.outside.Expire() // and the server says so
		hundred(1)

		r.outside.Set(func(o *oauthtest.Options) { o.AccessTTL = time.Second })
		r.outside.Expire()
		if err := alice.works(r.url); err != nil {
			t.Error(err)
		}
		short := alice.grant(t, s.open(t)).AccessToken
		r.outside.Set(func(o *oauthtest.Options) { o.AccessTTL = time.Hour })
		await(t, func() error { // it runs out, and all know when
			if r.outside.Active(short) {
				return errors.New("the token is good for too long")
			}
			return nil
		})
		hundred(3)
		alice.mustWork(t)
	})
}

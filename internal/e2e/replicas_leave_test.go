package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// toldTime is long for a replica that is told what others change, and too short
// for one that looks in the store itself from time to time.
const toldTime = 3 * time.Second

// TestReplicasNoticeWhoLeaves: a login that is given up at one replica, or that
// the operator takes away, is not used by the others from then on, though its
// tokens are good at the server: mcpo has no way to revoke them there.
func TestReplicasNoticeWhoLeaves(t *testing.T) {
	for _, way := range []struct {
		name  string
		leave func(*testing.T, member)
	}{{"disconnecting", disconnect}, {"being logged out", offboard}} {
		t.Run(way.name, func(t *testing.T) {
			onEachStorage(t, func(t *testing.T, s shared) {
				r := replicate(t, s, oauthtest.Options{NoRevocation: true})
				alice, bob := r.member(t, "alice"), r.member(t, "bob")
				alice.logIn(t)
				bob.logIn(t)
				bob.mustWork(t)
				alice.mustWork(t) // all have just looked, and would not look again for a while
				way.leave(t, alice)
				left := time.Now()
				for i, p := range r.all {
					await(t, func() error {
						_, err := alice.link(p.base)
						return err
					})
					took := time.Since(left)
					t.Logf("replica %d refused a call %v after the end of the login", i, took.Round(time.Millisecond))
					if s.dsn != "" && took >= toldTime {
						t.Errorf("replica %d used the login for %v; others told it at once that it is over", i, took)
					}
				}
				if n := r.refreshTokens(); n != 2 {
					t.Errorf("%d logins are good at the server, where nothing can be revoked", n)
				}
				bob.mustWork(t)
				for i, p := range r.all { // it stays so
					if _, err := alice.link(p.base); err != nil {
						t.Errorf("replica %d: %v", i, err)
					}
				}
			})
		})
	}
}

// disconnect gives a login up, at a replica.
func disconnect(t *testing.T, m member) {
	t.Helper()
	a, err := m.ask(http.MethodPost, m.of.all[0].base+"/connections/lab/disconnect", "")
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("disconnecting %s: %d %s, %v", m.name, a.status, a.body, err)
	}
}

// offboard has the operator take all logins of somebody away, beside the
// replicas.
func offboard(t *testing.T, m member) {
	t.Helper()
	out, err := exec.Command(mcptest.Build(t, "mcpo/cmd/mcpo"), "logout", "--user", m.name, "--config", m.of.config).CombinedOutput()
	if said := fmt.Sprint(string(out)); !strings.Contains(said, m.name) || !strings.Contains(said, "lab") {
		t.Fatalf("logging %s out: %v\n%s", m.name, err, said)
	}
}

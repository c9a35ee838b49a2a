//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"mcpo/internal/oauthtest"
	"mcpo/internal/pgtest"
)

// TestReplicasFrozenInRefresh: a replica is stopped in the midst of a refresh,
// as a virtual machine is that is moved, for longer than the others wait for
// it. When it goes on it has missed the answer, which nobody has. One login puts
// that right, and if it was made meanwhile, the replica leaves it as it is.
func TestReplicasFrozenInRefresh(t *testing.T) {
	for _, meanwhile := range []bool{true, false} {
		name := "the login is made afterwards"
		if meanwhile {
			name = "the login is made meanwhile"
		}
		t.Run(name, func(t *testing.T) {
			s := inPostgres(t, pgtest.Shared(t))
			r := replicate(t, s, oauthtest.Options{})
			alice, kept := r.member(t, "alice"), s.open(t)
			alice.logIn(t)
			alice.mustWork(t)
			r.outside.Expire()
			r.outside.Set(func(o *oauthtest.Options) { o.Lose = map[string]int{"refresh": 1} })
			release := r.outside.Hold("refresh")
			called := make(chan error, 1)
			go func() { called <- alice.works(r.all[0].base) }()
			r.seen(t, "refresh", 1)
			r.send(t, 0, syscall.SIGSTOP)
			t.Cleanup(func() { r.send(t, 0, syscall.SIGCONT) })
			await(t, r.all[0].isFrozen)
			release()
			await(t, func() error {
				if r.serves(0) {
					return errors.New("the balancer has not noticed")
				}
				_, err := alice.link(r.all[1].base)
				return err
			})
			if meanwhile {
				alice.logIn(t)
			} else { // nobody knows whether it is spent, and when nothing else is left, it is tried
				r.replays = 1
			}
			r.send(t, 0, syscall.SIGCONT)
			if err := <-called; err == nil && !meanwhile {
				t.Error("a call was answered that nobody gave a token for")
			}
			if !meanwhile {
				await(t, func() error {
					_, err := alice.link(r.all[0].base)
					return err
				})
				alice.logIn(t)
			}
			made := alice.grant(t, kept).AccessToken
			for _, p := range r.all {
				await(t, func() error { return alice.works(p.base) })
			}
			if now := alice.grant(t, kept).AccessToken; now != made {
				t.Error("another login is kept than the one that was made last")
			}
			had := r.outside.Requests("refresh")
			r.outside.Expire()
			if err := together(20, func(int) error { return alice.works(r.url) }); err != nil {
				t.Error(err)
			}
			r.hadAtLab(t, "refresh", had+1)
		})
	}
}

// isFrozen gives an error while the process runs.
func (p *proxy) isFrozen() error {
	stat := statFields(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if len(stat) == 0 || stat[0] != "T" {
		return errors.New("the process is not stopped yet")
	}
	return nil
}

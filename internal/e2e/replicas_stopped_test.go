package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"mcpo/internal/oauthtest"
)

// TestReplicasStoppedInRefresh: a replica that is told to stop in the midst of
// a refresh ends when the new token is saved, whether or not the caller still
// waits. Nobody has to log in again.
func TestReplicasStoppedInRefresh(t *testing.T) {
	for _, waits := range []bool{true, false} {
		t.Run(fmt.Sprint("the caller waits: ", waits), func(t *testing.T) {
			onEachStorage(t, func(t *testing.T, s shared) {
				r := replicate(t, s, oauthtest.Options{})
				alice := r.member(t, "alice")
				alice.logIn(t)
				alice.mustWork(t)
				r.outside.Expire()
				release := r.outside.Hold("refresh")
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				called := make(chan error, 1)
				go func() { called <- alice.worksUntil(ctx, r.all[0].base) }()
				r.seen(t, "refresh", 1)
				if !waits {
					leave()
					if err := <-called; err == nil {
						t.Error("a call was answered that could not be made")
					}
				}
				r.send(t, 0, syscall.SIGTERM)
				await(t, func() error {
					if r.serves(0) {
						return fmt.Errorf("the balancer has not noticed")
					}
					return nil
				})
				release()
				if waits {
					if err := <-called; err != nil {
						t.Errorf("a call in flight: %v", err)
					}
				}
				<-r.all[0].done
				if code := r.all[0].cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("the replica exited with %d", code)
				}
				for range 10 {
					if err := alice.works(r.url); err != nil {
						t.Error(err)
					}
				}
				r.hadAtLab(t, "refresh", 1)
			})
		})
	}
}

// send sends a signal to replica i.
func (r *replicas) send(t *testing.T, i int, s syscall.Signal) {
	t.Helper()
	if err := r.all[i].cmd.Process.Signal(s); err != nil {
		t.Error(err)
	}
}

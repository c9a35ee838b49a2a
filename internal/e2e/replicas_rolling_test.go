package e2e

import (
	"syscall"
	"testing"

	"mcpo/internal/oauthtest"
)

// drainDelay is for how long a replica that is told to stop says so before it
// does: long enough for the balancer to look many times.
const drainDelay = "1s"

// TestReplicasRollingRestart: all replicas are replaced, one after the other,
// while people keep calling. No call fails, and nobody has to log in
// again.
func TestReplicasRollingRestart(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{}, "--drain-delay", drainDelay)
		people := r.people(t, 4)
		late := r.member(t, "late")
		link := late.mustLink(t, r.all[0].base)
		var calls []func() int64
		for _, m := range people {
			calls = append(calls, m.keepsCalling(t, r.url, r.url))
		}
		for i := range three {
			if err := r.all[i].cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			<-r.all[i].done
			if code := r.all[i].cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("replica %d exited with %d", i, code)
			}
			r.start(t, i)
			r.allServe(t)
		}
		var n int64
		for _, stop := range calls {
			n += stop()
		}
		t.Logf("%d calls were made meanwhile", n)
		for _, m := range people {
			m.mustWork(t)
		}
		r.hadAtLab(t, "login", len(people))
		late.follow(t, link) // which a replica gave that is no more
		late.mustWork(t)
		r.hadAtLab(t, "register", 1)
	})
}

package e2e

import (
	"fmt"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/pgtest"
)

// way is one of the ways from mcpo to others, on which faults are put.
type way struct {
	name string
	cut  int // bytes: fewer than a large answer has, which is larger on some ways
	// suffer tells the story of one fault, and what came of it.
	suffer func(t *testing.T, x *toxiproxy, f fault) row
}

// TestFaults puts every fault on every way, and takes it away again. Whatever
// callers see meanwhile is a right answer or a sentence that says what is wrong;
// nothing hangs, nothing that may have run is run again, other servers answer all
// the time, and nobody has to log in again.
func TestFaults(t *testing.T) {
	x := startToxiproxy(t)
	database := pgtest.StartWith(t, pgtest.Options{TCP: true})
	t.Setenv("CONNECTION_TIMEOUT", fmt.Sprint(connectTimeout))
	outcome := &table{}
	t.Run("on", func(t *testing.T) { // until all within have ended
		for _, w := range []way{
			{"MCP server", 2000, sufferOnWayToServer},
			{"authorization server", 200, sufferOnWayToAuthority},
			{"database", 400, sufferOnWayTo(database)},
		} {
			for i, f := range allFaults(w.cut) {
				t.Run(w.name+"/"+f.name, func(t *testing.T) {
					t.Parallel()
					r := w.suffer(t, x, f.named(fmt.Sprintf("%s-%d", w.name, i)))
					r.way, r.fault = w.name, f.name
					t.Log(r)
					outcome.add(r)
				})
			}
		}
	})
	t.Log("\n" + outcome.String())
}

// bear puts a fault on a way while during goes on, takes it away, and waits until
// well gives no error. The others may never fail.
func (w *faulty) bear(t *testing.T, p *passage, f fault, during func() []seen, well func() error, others ...func() error) row {
	t.Helper()
	replays, exchanged := w.lab.Replays(), w.lab.Requests("token")
	stop := steadily(t, others...)
	p.on(t, f)
	saw := during()
	p.off(t, f)
	over := time.Now()
	await(t, well)
	r := row{saw: map[string]int{}, well: time.Since(over)}
	r.others, r.othersSlowest = stop()
	for _, s := range saw {
		r.saw[w.judge(t, s)]++
		r.slowest = max(r.slowest, s.took)
	}
	if n := w.lab.Replays() - replays; n != 0 && !f.loses {
		t.Errorf("refresh tokens that were spent came again %d times", n)
	}
	if n := w.lab.Requests("token") - exchanged; n != 0 {
		t.Errorf("%d logins were made again", n)
	}
	return r
}

// strict is an authorization server where a refresh token that comes again ends
// the login, unless answers of it are lost: then it has to bear that.
func strict(f fault) oauthtest.Options {
	if f.loses {
		return oauthtest.Options{Rotation: oauthtest.RotateKindly}
	}
	return oauthtest.Options{}
}

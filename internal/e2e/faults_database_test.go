package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/pgtest"
)

// lookAgain is longer than mcpo uses a login from memory without a look at the
// store.
const lookAgain = 6 * time.Second

// sufferOnWayTo has two people call while the database that keeps their logins is
// behind a fault: for so long that memory alone does not do, and when their
// access tokens are refused. Somebody who has no login comes too. In the end mcpo
// starts again with what the database has.
func sufferOnWayTo(database *pgtest.Server) func(t *testing.T, x *toxiproxy, f fault) row {
	return func(t *testing.T, x *toxiproxy, f fault) row {
		way := x.passage(t, f.id, database.Addr())
		w := x.faulty(t, f.id, oauthtest.Options{}, map[string]any{"storage": map[string]any{
			"type": "postgres", "dsn": pgtest.At(t, database.NewDatabase(t), way.addr), "encryption_key": replicasSealing}})
		f.loses = false // of what the authorization server says nothing is lost
		alice, bob := w.guest(t, "alice"), w.guest(t, "bob")
		dora := w.stranger(t, "dora")
		during := func() []seen {
			saw := repeatFor(lookAgain, func(n int) []seen { return round(fmt.Sprint("memory", n), alice, bob) })
			w.lab.Expire()
			saw = append(saw, round("expired", alice, bob)...)
			saw = append(saw, round("again", alice, bob)...)
			dora.isTurnedAway(t)
			return saw
		}
		logins := w.lab.Requests("token")
		well := func() error { return errors.Join(alice.whoami("lab"), bob.whoami("lab"), w.got("/readyz", nil)) }
		r := w.bear(t, way, f, during, well,
			alice.echoes, func() error { return alice.whoami("near") }, func() error { return bob.whoami("near") })
		w.stop()
		w.start(t)
		await(t, well)
		w.lab.Expire()
		await(t, well)
		if n, again := w.lab.Replays(), w.lab.Requests("token")-logins; n != 0 || again != 0 {
			t.Errorf("with the next mcpo, %d spent refresh tokens came again, and %d logins were made again", n, again)
		}
		return r
	}
}

// repeatFor repeats calls for some time, with pauses.
func repeatFor(long time.Duration, calls func(n int) []seen) (saw []seen) {
	tick := time.NewTicker(long / 12)
	defer tick.Stop()
	for began, n := time.Now(), 0; time.Since(began) < long; n++ {
		saw = append(saw, calls(n)...)
		<-tick.C
	}
	return saw
}

// isTurnedAway makes a call of somebody without a login: it is answered with a
// link, or with a sentence while none can be given.
func (g guest) isTurnedAway(t *testing.T) {
	t.Helper()
	began := time.Now()
	a, err := g.call("/lab/whoami", "{}")
	link := a.Status == http.StatusUnauthorized && strings.Contains(a.Body, "/oauth/lab/authorize?ticket=")
	away := a.Status == http.StatusServiceUnavailable && strings.Contains(a.Body, "cannot reach the database")
	if err != nil || !link && !away {
		t.Errorf("somebody without a login is answered %d %s (%v)", a.Status, a.Body, err)
	}
	if took := time.Since(began); took > hang {
		t.Errorf("somebody without a login waits %v", took)
	}
}

// TestRefreshCutAnywhere has an access token refused again and again, and each
// time the connections to the database end some bytes later. A refresh token is
// neither lost nor spent twice, wherever it happens.
func TestRefreshCutAnywhere(t *testing.T) {
	x := startToxiproxy(t)
	database := pgtest.StartWith(t, pgtest.Options{TCP: true})
	t.Setenv("CONNECTION_TIMEOUT", fmt.Sprint(connectTimeout))
	way := x.passage(t, "cut", database.Addr())
	w := x.faulty(t, "cut", oauthtest.Options{}, map[string]any{"storage": map[string]any{
		"type": "postgres", "dsn": pgtest.At(t, database.NewDatabase(t), way.addr), "encryption_key": replicasSealing}})
	alice := w.guest(t, "alice")
	logins, saw := w.lab.Requests("token"), map[string]int{}
	for bytes := 50; bytes <= 5000; bytes += 50 {
		for _, stream := range []string{toServer, fromServer} {
			f := makeFault("", false, "limit_data", map[string]any{"bytes": bytes}, stream)
			w.lab.Expire()
			way.on(t, f)
			s := alice.run(work{fmt.Sprint(stream, bytes), 0})
			way.off(t, f)
			await(t, func() error { return alice.whoami("lab") })
			saw[w.judge(t, s)]++
			if n, again := w.lab.Replays(), w.lab.Requests("token")-logins; n != 0 || again != 0 {
				t.Fatalf("cut after %d bytes %s: %d spent refresh tokens came again, %d logins were made again", bytes, stream, n, again)
			}
		}
	}
	t.Log(saw)
	if saw["200"] == 0 || len(saw) == 1 {
		t.Errorf("all calls ended as one: %v", saw)
	}
}

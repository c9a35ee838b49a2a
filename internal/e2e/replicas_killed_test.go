package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"

	"github.com/jackc/pgx/v5"
)

// death is a step of a refresh at which a replica is killed.
type death struct {
	step string
	sent int  // times that it has sent the refresh token by then
	asks bool // the caller has to log in again, as the token may be spent
	// stop sees to it that replica 0 goes no further than to this step. It
	// gives how to await that it is there, and what to do after its death.
	stop func(t *testing.T, d dying) (arrived func(), after func())
}

// dying is the story of a replica that is killed in the refresh of alice's
// token.
type dying struct {
	*replicas
	alice member
	kept  oauth.Store
}

func deaths(s shared) []death {
	all := []death{
		{"before the mark", 0, false, beforeTheMark},
		{"after the mark", 0, true, afterTheMark},
		{"before the answer", 1, true, beforeTheAnswer},
		{"after saving", 1, false, afterSaving},
	}
	if s.dsn != "" { // with files, a process kills itself there, in the tests of internal/oauth
		all = append(all, death{"before saving", 1, true, beforeSaving})
	}
	return all
}

// TestReplicasKilledInRefresh: whenever a replica dies in a refresh, the others
// never send a refresh token again that may be spent. One login at most puts
// things right for its caller, and others notice nothing.
func TestReplicasKilledInRefresh(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		for _, at := range deaths(s) {
			t.Run(at.step, func(t *testing.T) {
				t.Parallel() // most of it is waiting
				at.comes(t, s.other(t))
			})
		}
	})
}

func (at death) comes(t *testing.T, s shared) {
	r := replicate(t, s, oauthtest.Options{})
	d := dying{r, r.member(t, "alice"), s.open(t)}
	d.alice.logIn(t)
	r.restart(t, 0) // one that does not know yet where tokens are renewed
	for _, what := range []string{connectPage, connectForm, callbackPage} {
		r.lead(what, 1)
	}
	d.alice.mustWork(t)
	r.outside.Expire()
	bob := r.member(t, "bob")
	bob.logIn(t)
	bob.mustWork(t)

	arrived, after := at.stop(t, d)
	called := make(chan error, 1)
	go func() { called <- d.alice.works(r.all[0].base) }()
	arrived()
	calls := bob.keepsCalling(t, r.all[1].base, r.all[2].base)
	r.kill(t, 0)
	if err := <-called; err == nil && at.step != "after saving" {
		t.Error("a call was answered by a replica that is dead")
	}
	after()
	good := r.refreshTokens()
	await(t, func() error {
		if r.serves(0) {
			return errors.New("the balancer has not noticed the death")
		}
		return nil
	})
	for range 3 {
		for _, p := range r.all[1:] {
			if !at.asks {
				if err := d.alice.works(p.base); err != nil {
					t.Error(err)
				}
			} else if detail, err := d.alice.link(p.base); err != nil || detail.Error != "token_expired" {
				t.Errorf("without a token that can be renewed: %+v, %v", detail, err)
			}
		}
	}
	sent := at.sent
	if !at.asks {
		sent = 1 // by it, or by another
	}
	r.hadAtLab(t, "refresh", sent)
	if left := r.refreshTokens(); left != good {
		t.Errorf("%d refresh tokens are good, of %d", left, good)
	}
	if at.asks {
		d.alice.logIn(t)
		for _, p := range r.all[1:] { // one may have looked in the store just before
			await(t, func() error { return d.alice.works(p.base) })
		}
	}
	r.outside.Expire()
	if err := together(20, func(int) error { return errors.Join(d.alice.works(r.url), bob.works(r.url)) }); err != nil {
		t.Errorf("when everything was put right: %v", err)
	}
	r.hadAtLab(t, "refresh", sent+2)
	t.Logf("another caller made %d calls meanwhile", calls())
}

// beforeTheMark has the replica wait for the lock.
func beforeTheMark(t *testing.T, d dying) (arrived, after func()) {
	_, unlock, err := d.kept.Lock(t.Context(), d.alice.key())
	if err != nil {
		t.Fatal(err)
	}
	had := d.outside.Requests("mcp")
	return func() { d.seen(t, "mcp", had+1) }, unlock // the access token was refused
}

// afterTheMark has it wait to hear where tokens are renewed.
func afterTheMark(t *testing.T, d dying) (arrived, after func()) {
	had, release := d.outside.Requests("metadata"), d.outside.Hold("metadata")
	return func() {
		d.seen(t, "metadata", had+1)
		if d.alice.grant(t, d.kept).Spending == "" {
			t.Error("the refresh token is about to be sent, and is not marked as being spent")
		}
	}, release
}

// beforeTheAnswer has it wait for the new token.
func beforeTheAnswer(t *testing.T, d dying) (arrived, after func()) {
	release := d.outside.Hold("refresh")
	return func() { d.seen(t, "refresh", 1) }, release
}

// beforeSaving has it wait for the database to take the new token.
func beforeSaving(t *testing.T, d dying) (arrived, after func()) {
	release := d.outside.Hold("refresh")
	db, err := pgx.Connect(t.Context(), d.shared.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	run := func(statement string) (rows int64) {
		done, err := db.Exec(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		return done.RowsAffected()
	}
	const waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	return func() {
			d.seen(t, "refresh", 1)
			run("BEGIN; LOCK TABLE mcpo_records IN SHARE MODE")
			release()
			await(t, func() error {
				if run("SELECT 1 "+waiting) == 0 {
					return errors.New("nobody saves anything")
				}
				return nil
			})
		}, func() {
			run("SELECT pg_terminate_backend(pid) " + waiting)
			run("COMMIT")
		}
}

// afterSaving lets it go on until others can see the new token.
func afterSaving(t *testing.T, d dying) (arrived, after func()) {
	old := d.alice.grant(t, d.kept).AccessToken
	return func() {
		await(t, func() error {
			if d.alice.grant(t, d.kept).AccessToken == old {
				return errors.New("no new token was saved")
			}
			return nil
		})
	}, func() {}
}

// refreshTokens is how many of them the lab would take now.
func (r *replicas) refreshTokens() (n int) {
	for _, token := range r.outside.Tokens() {
		if strings.HasPrefix(token, "refresh-") && r.outside.Active(token) {
			n++
		}
	}
	return n
}

// callPause is the time between two calls of somebody who keeps calling.
const callPause = 2 * time.Millisecond

// keepsCalling makes calls at each base, one after the other, all of which must
// be answered, until calls is called, which tells how many there were.
func (m member) keepsCalling(t *testing.T, bases ...string) (calls func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var n atomic.Int64
	for _, base := range bases {
		callers.Go(func() {
			tick := time.NewTicker(callPause)
			defer tick.Stop()
			for ctx.Err() == nil {
				if err := m.works(base); err != nil {
					t.Error(fmt.Errorf("meanwhile: %w", err))
					return
				}
				n.Add(1)
				<-tick.C
			}
		})
	}
	stop := sync.OnceFunc(func() {
		cancel()
		callers.Wait()
	})
	t.Cleanup(stop)
	return func() int64 {
		stop()
		return n.Load()
	}
}

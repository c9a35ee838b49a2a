package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/pgtest"
)

// outage is longer than replicas use a login without looking in the store,
// where that can be asked.
const outage = 6 * time.Second

// TestReplicasOutliveTheDatabase stops the database under load, and starts it
// again. Calls with tokens that replicas have in memory go on, everything else
// is told to come back, and nobody loses a login.
func TestReplicasOutliveTheDatabase(t *testing.T) {
	server := pgtest.Start(t)
	s := inPostgres(t, server)
	r := replicate(t, s, oauthtest.Options{})
	alice, bob, carol := r.member(t, "alice"), r.member(t, "bob"), r.member(t, "carol")
	alice.logIn(t)
	alice.mustWork(t)
	carol.logIn(t)
	if err := carol.works(r.all[1].base); err != nil { // others do not know her token
		t.Fatal(err)
	}
	link := bob.mustLink(t, r.url)

	calls := alice.keepsCalling(t, r.all[0].base, r.all[1].base, r.all[2].base, r.url)
	stopped := time.Now()
	server.Stop(t)
	await(t, func() error { return r.storeIs("unavailable") })
	for i := range three {
		if !r.serves(i) {
			t.Errorf("replica %d is out of service", i)
		}
	}
	for i, p := range r.all {
		bob.isTold(t, p.base+"/lab/whoami")
		if i == 2 {
			carol.isTold(t, p.base+"/lab/whoami")
		}
		if a, err := bob.ask(http.MethodPost, p.base+"/open/echo", `{"message":"x"}`); err != nil || a.status != http.StatusOK {
			t.Errorf("a server without logins: %d %s, %v", a.status, a.body, err)
		}
		if a, err := bob.ask(http.MethodGet, p.base+"/lab/openapi.json", ""); err != nil || a.status != http.StatusOK {
			t.Errorf("a document: %d %s, %v", a.status, a.body, err)
		}
		if a, err := alice.ask(http.MethodPost, p.base+"/connections/lab/disconnect", ""); err != nil || a.status != http.StatusServiceUnavailable {
			t.Errorf("disconnecting: %d %s, %v", a.status, a.body, err)
		}
	}
	if shown := browse(t, link, oauthtest.BrowseOptions{User: "bob"}); shown.Status != http.StatusServiceUnavailable || !strings.Contains(shown.Body, "Nothing is lost") {
		t.Errorf("the page of a link: %d %s", shown.Status, shown.Body)
	}
	if err := carol.works(r.all[1].base); err != nil {
		t.Error(err)
	}
	for time.Since(stopped) < outage && !t.Failed() {
		if err := alice.works(r.url); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d calls were made with a token in memory", calls())

	r.outside.Expire() // and tokens have to be renewed now
	for _, p := range r.all {
		alice.isTold(t, p.base+"/lab/whoami")
	}
	r.hadAtLab(t, "refresh", 0)

	server.Continue(t)
	for _, p := range r.all {
		await(t, func() error { return alice.comesBack(t, p.base) })
		await(t, func() error { return carol.comesBack(t, p.base) })
	}
	await(t, func() error { return r.storeIs("ok") })
	r.hadAtLab(t, "refresh", 2)
	bob.follow(t, link)
	for _, p := range r.all { // each may say once more what it said last
		await(t, func() error { return bob.comesBack(t, p.base) })
	}
	r.hadAtLab(t, "login", 3)
}

// TestReplicasStartWithoutDatabase starts them while there is none. Servers
// without logins are served, and the rest follows when it comes.
func TestReplicasStartWithoutDatabase(t *testing.T) {
	server := pgtest.Start(t)
	s := inPostgres(t, server)
	r := prepare(t, s, oauthtest.Options{})
	server.Stop(t)
	alice := r.member(t, "alice")
	for i := range r.all {
		r.start(t, i)
		p := r.all[i]
		p.eventually(t, func() error {
			a, err := alice.ask(http.MethodPost, p.base+"/open/echo", `{"message":"x"}`)
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("a server without logins: %d %s", a.status, a.body)
			}
			return err
		})
		alice.isTold(t, p.base+"/lab/whoami")
		if err := p.got("/readyz", nil); err == nil || r.serves(i) {
			t.Errorf("replica %d is ready without ever having seen the database", i)
		}
	}
	server.Continue(t)
	r.allServe(t)
	await(t, func() error { return r.storeIs("ok") })
	await(t, func() error {
		_, err := alice.link(r.all[0].base)
		return err
	})
	alice.follow(t, alice.mustLink(t, r.all[0].base))
	for _, p := range r.all {
		await(t, func() error { return alice.comesBack(t, p.base) })
	}
}

// storeIs gives an error unless all replicas say so of their store.
func (r *replicas) storeIs(state string) error {
	var problems []error
	for i, p := range r.all {
		var ready struct{ Store struct{ State string } }
		err := p.got("/readyz", &ready)
		if err == nil && ready.Store.State != state {
			err = fmt.Errorf("the store is %q", ready.Store.State)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("replica %d: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

// isTold makes a call that cannot be made now, and is told to come back.
func (m member) isTold(t *testing.T, url string) {
	t.Helper()
	a, err := m.ask(http.MethodPost, url, "{}")
	var body struct{ Detail struct{ Message string } }
	if err := errors.Join(err, json.Unmarshal([]byte(a.body), &body)); err != nil || a.status != http.StatusServiceUnavailable ||
		a.retryAfter == "" || !strings.Contains(body.Detail.Message, "Nothing is lost; try again") {
		t.Errorf("%s is answered %d %s with Retry-After %q (%v), want 503 with a sentence", m.name, a.status, a.body, a.retryAfter, err)
	}
}

// comesBack makes a call of somebody who has a login, which may still be told to
// come back, but nothing else.
func (m member) comesBack(t *testing.T, base string) error {
	t.Helper()
	a, err := m.ask(http.MethodPost, base+"/lab/whoami", "{}")
	if err == nil && a.status == http.StatusServiceUnavailable {
		return errors.New(a.body)
	}
	if err != nil || a.status != http.StatusOK {
		t.Errorf("%s is answered %d %s (%v)", m.name, a.status, a.body, err)
	}
	return nil
}

package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// replicas are two mcpos on one store: what is done at the first, and who is told
// of it at the second.
func replicas(t *testing.T, s *oauthtest.Server) (here, there *Authorizer, told *atomic.Int32) {
	kept := store.NewMemory()
	told = &atomic.Int32{}
	here = authorizer(t, s.MCP, func(o *Options) { o.Store = kept })
	there = authorizer(t, s.MCP, func(o *Options) {
		o.Store, o.ChangedElsewhere = kept, func(one caller.ID) {
			if one == who {
				told.Add(1)
			}
		}
	})
	return here, there, told
}

// TestRecheck: what becomes of a grant elsewhere counts here at once.
func TestRecheck(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	here, there, told := replicas(t, s)
	wantTold := func(when string, want int32) {
		t.Helper()
		if got := told.Swap(0); got != want {
			t.Errorf("%s: told %d times, want %d", when, got, want)
		}
	}
	if err := logIn(t, here); err != nil {
		t.Fatal(err)
	}
	there.Recheck(testContext(t), who)
	wantTold("a login of somebody who may wait", 1)
	works(t, there)

	almostOver(t, here)
	works(t, here) // renews
	there.Recheck(testContext(t), who)
	wantTold("a new access token", 0)
	if h, _ := there.memory(who); h.AccessToken != storedGrant(t, here).AccessToken {
		t.Error("the old access token is still used")
	}

	if err := logIn(t, here); err != nil {
		t.Fatal(err)
	}
	there.RecheckAll(testContext(t))
	wantTold("a new login", 1)
	works(t, there)

	if _, err := here.Logout(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	there.RecheckAll(testContext(t))
	wantTold("a logout", 1)
	before := s.Requests("mcp")
	_, err := ask(t, there)
	needsLogin(t, err, true)
	if s.Requests("mcp") != before {
		t.Error("the token was sent")
	}
	there.RecheckAll(testContext(t))
	wantTold("nobody here", 0)
}

// TestLogoutElsewhereDuringRead: who was reading the grant while it was given up
// elsewhere asks again before it is used.
func TestLogoutElsewhereDuringRead(t *testing.T) {
	s, kept := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), &slow{Store: store.NewMemory()}
	here := granted(t, s, func(o *Options) { o.Store = kept.Store })
	there := authorizer(t, s.MCP, func(o *Options) { o.Store = kept })
	for name, look := range map[string]func(){
		"a note":          func() { there.Recheck(testContext(t), who) },
		"notes were lost": func() { there.RecheckAll(testContext(t)) },
	} {
		for range 2 { // with the grant in memory, read long ago, and without
			if h, ok := there.memory(who); ok {
				there.grants.Store(who, held{grant: h.grant, read: h.read.Add(-time.Hour)})
			}
			kept.overtake = func() {
				if _, err := here.Logout(testContext(t), who); err != nil {
					t.Error(err)
				}
				look()
			}
			_, _ = there.token(testContext(t), who)
			if _, err := there.token(testContext(t), who); err == nil {
				t.Errorf("%s: the grant is used", name)
			}
			if err := logIn(t, here); err != nil {
				t.Fatal(err)
			}
			works(t, there)
		}
		there.forgetGrant(who)
	}
}

// TestScopesOfALink: a link may be opened at another mcpo than the one that the
// server refused something.
func TestScopesOfALink(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	here, there, _ := replicas(t, s)
	plain := ticketed(t, here, caller.Person{ID: who})
	if err := logIn(t, here); err != nil {
		t.Fatal(err)
	}
	works(t, there)
	for range stepUpMax {
		if there.notEnough(who, []string{"admin"}, storedGrant(t, there)); !there.MoreScopes(who) {
			t.Fatal("no login is to be made")
		}
		link := ticketed(t, there, caller.Person{ID: who})
		if link == plain {
			t.Fatal("the link is that of before")
		}
		if _, err := here.UseTicket(testContext(t), link); err != nil {
			t.Fatal(err)
		}
		if err := logIn(t, here); err != nil {
			t.Fatal(err)
		}
		if got := strings.Fields(s.LastForm("authorize").Get("scope")); !slices.Contains(got, "admin") {
			t.Errorf("the login asks for %q", got)
		}
		there.Recheck(testContext(t), who)
	}
	if there.MoreScopes(who) {
		t.Error("logins that are made elsewhere count for none")
	}
}

// TestVisits are known to every mcpo on the store, and to one server.
func TestVisits(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	here, there, _ := replicas(t, s)
	if err := here.Visited(testContext(t), "secret", caller.User("ada")); err != nil {
		t.Fatal(err)
	}
	if one, ok, err := there.Visitor(testContext(t), "secret"); one != caller.User("ada") || !ok || err != nil {
		t.Errorf("the visitor is %v, %v, %v", one, ok, err)
	}
	there.name = "another"
	for a, secret := range map[*Authorizer]string{there: "secret", here: "other"} {
		if one, ok, err := a.Visitor(testContext(t), secret); ok || err != nil {
			t.Errorf("%s: the visitor is %v, %v", secret, one, err)
		}
	}
}

// away is a store that can be gone.
type away struct {
	Store
	gone atomic.Bool
}

func (s *away) err() error {
	if s.gone.Load() {
		return fmt.Errorf("%w: connection refused", store.ErrUnavailable)
	}
	return nil
}

// Get implements Store.
func (s *away) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if err := s.err(); err != nil {
		return store.Record{}, err
	}
	return s.Store.Get(ctx, key)
}

// Put implements Store.
func (s *away) Put(ctx context.Context, r store.Record) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.Put(ctx, r)
}

// Lock implements Store.
func (s *away) Lock(ctx context.Context, key store.Key) (context.Context, func(), error) {
	if err := s.err(); err != nil {
		return nil, nil, err
	}
	return s.Store.Lock(ctx, key)
}

// TestStoreGoesAway: whose token is in memory goes on until it runs out, nobody
// loses a login, and all is well when the store is back.
func TestStoreGoesAway(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	kept := &away{Store: store.NewMemory()}
	a := granted(t, s, func(o *Options) { o.Store = kept })
	stale := func() { // the store is to be asked again
		h, _ := a.memory(who)
		h.read = h.read.Add(-recheck)
		a.grants.Store(who, h)
	}
	kept.gone.Store(true)
	for range 2 {
		stale()
		works(t, a)
	}
	a.Recheck(testContext(t), who)
	works(t, a)

	if _, err := a.Ticket(testContext(t), caller.Person{ID: caller.User("ada")}); !StoreUnavailable(err) {
		t.Errorf("Ticket: %v", err)
	}
	if _, err := a.Status(testContext(t), caller.User("ada")); !StoreUnavailable(err) {
		t.Errorf("Status of somebody unknown: %v", err)
	}
	var again interface{ NotExecuted() bool }
	s.Expire()
	before := s.Requests("refresh")
	if _, err := ask(t, a); !StoreUnavailable(err) || !errors.As(err, &again) || s.Requests("refresh") != before {
		t.Errorf("with a token that has run out: %v", err)
	}
	kept.gone.Store(false)
	works(t, a)
}

// TestStoreGoesDuringRefresh: what was renewed is used, and saved when the store
// is back.
func TestStoreGoesDuringRefresh(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	kept := &away{Store: store.NewMemory()}
	a := granted(t, s, func(o *Options) {
		o.Store = kept
		o.Step = func(at string) { kept.gone.Store(at == "answered") }
	})
	almostOver(t, a)
	works(t, a)
	kept.gone.Store(true)
	works(t, a)
	kept.gone.Store(false)
	tryNow(t, a)
	a.RecheckAll(testContext(t))
	other := authorizer(t, s.MCP, func(o *Options) { o.Store = kept.Store })
	over(t, s, other)
	works(t, other)
	if n := s.Requests("refresh"); n != 2 {
		t.Errorf("%d refreshes", n)
	}
}

// overtaken is a store whose lock is lost while the answer is on its way.
type overtaken struct {
	Store
	lost atomic.Bool
}

// Put implements Store.
func (s *overtaken) Put(ctx context.Context, r store.Record) error {
	if s.lost.CompareAndSwap(true, false) {
		return store.ErrLockLost
	}
	return s.Store.Put(ctx, r)
}

// TestLockIsLost: an answer that comes when the lock is another's is not written
// over what that one did, and is saved where it did nothing.
func TestLockIsLost(t *testing.T) {
	for name, meanwhile := range map[string]func(*testing.T, *Authorizer){
		"nothing": func(*testing.T, *Authorizer) {},
		"a login": func(t *testing.T, other *Authorizer) {
			if err := logIn(t, other); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
			kept := &overtaken{Store: store.NewMemory()}
			a := granted(t, s, func(o *Options) {
				o.Store = kept
				o.Step = func(at string) { kept.lost.Store(at == "answered") }
			})
			other := authorizer(t, s.MCP, func(o *Options) { o.Store = kept.Store })
			almostOver(t, a)
			works(t, a)
			renewed, _ := a.memory(who)
			meanwhile(t, other)
			stored := storedGrant(t, other)
			tryNow(t, a)
			a.RecheckAll(testContext(t))
			got := storedGrant(t, other)
			if name == "nothing" && got.AccessToken != renewed.AccessToken {
				t.Error("the new tokens were not saved")
			}
			if name == "a login" && got.AccessToken != stored.AccessToken {
				t.Error("the login was overwritten")
			}
		})
	}
}

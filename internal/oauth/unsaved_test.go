package oauth

import (
	"errors"
	"sync"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// fullDisk is an authorizer whose disk is full from the middle of a refresh on,
// which it has just made. Another mcpo shares the store.
func fullDisk(t testing.TB, s *oauthtest.Server) (a, other *Authorizer, disk *failing) {
	t.Helper()
	shared, once := store.NewMemory(), sync.Once{}
	disk = &failing{Store: shared}
	a = granted(t, s, func(o *Options) {
		o.Store = disk
		o.Step = func(step string) {
			if step == "marked" {
				once.Do(func() { disk.fail = errors.New("the disk is full") })
			}
		}
	})
	changeGrant(t, a, func(g *grant) { g.Obtained, g.Expiry = time.Now().Add(-time.Hour), time.Now().Add(early/2) })
	works(t, a)
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	return a, authorizer(t, s.MCP, func(o *Options) { o.Store = shared }), disk
}

// tryNow makes a try to save due.
func tryNow(t testing.TB, a *Authorizer) {
	t.Helper()
	u := a.unsavedOf(who)
	if u == nil {
		t.Fatal("nothing is unsaved")
	}
	a.unsaved.Store(who, &unsaved{grant: u.grant, over: u.over})
}

// TestFullDisk costs no login, whatever came of the refresh: what cannot be
// saved is used from memory, and saved when there is room again.
func TestFullDisk(t *testing.T) {
	for name, answer := range map[string]map[string]oauthtest.Answer{"renewed": nil, "not renewed": instead(503, "")} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Instead: answer})
			a, other, disk := fullDisk(t, s)
			for _, full := range []bool{true, true, false} {
				if !full {
					disk.fail = nil
				}
				a.forgetGrant(who)
				tryNow(t, a)
				if status, err := a.Status(testContext(t), who); err != nil || !status.Renewable {
					t.Errorf("full %v: Status = %+v, %v", full, status, err)
				}
				if g, err := a.readStored(testContext(t), who); err != nil || g.refreshable() == full || (a.unsavedOf(who) != nil) != full {
					t.Errorf("full %v: the store has %+v, %v", full, g, err)
				}
			}
			s.Set(func(o *oauthtest.Options) { o.Instead = nil })
			over(t, s, other)
			works(t, other)
		})
	}
}

// TestFullDiskAtTheEnd: closing tries once more.
func TestFullDiskAtTheEnd(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a, other, disk := fullDisk(t, s)
	disk.fail = nil
	a.Close()
	over(t, s, other)
	works(t, other)
}

// TestUnsavedIsReplaced by what another mcpo stores or removes meanwhile.
func TestUnsavedIsReplaced(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a, other, _ := fullDisk(t, s)
	if err := logIn(t, other); err != nil {
		t.Fatal(err)
	}
	if g, newer := storedGrant(t, a), storedGrant(t, other); g.AccessToken != newer.AccessToken {
		t.Error("the new login does not count")
	}
	if _, err := other.Logout(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	a.forgetGrant(who)
	if _, err := ask(t, a); err == nil || a.unsavedOf(who) != nil {
		t.Errorf("after a logout: %v", err)
	}
}

// TestUnsavedIsRevoked by a logout: it is the one that is good.
func TestUnsavedIsRevoked(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a, _, _ := fullDisk(t, s)
	if _, err := a.Logout(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	noneActive(t, s)
}

package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

// closing closes an authorizer beside the test, and returns when that has begun.
func closing(t testing.TB, a *Authorizer) (closed <-chan struct{}) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Close()
	}()
	for begun := testContext(t); a.enter() == nil; runtime.Gosched() {
		a.working.Done()
		if begun.Err() != nil {
			t.Fatal("closing does not begin")
		}
	}
	return done
}

// TestCloseWaitsForRefresh: a refresh token that is under way when mcpo is told
// to stop is not lost (threats 15).
func TestCloseWaitsForRefresh(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	almostOver(t, a)
	before := storedGrant(t, a).RefreshToken
	release := s.Hold("refresh")
	defer release()
	ctx, leave := context.WithCancel(testContext(t))
	left := make(chan error)
	go func() {
		_, err := a.token(ctx, who)
		left <- err
	}()
	if err := s.Await(testContext(t), "refresh", 1); err != nil {
		t.Fatal(err)
	}
	leave()
	<-left
	closed := closing(t, a)
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	release()
	<-closed
	if g := storedGrant(t, a); !g.refreshable() || g.RefreshToken == before {
		t.Error("the new refresh token was not saved")
	}
	if _, err := a.renewLocked(testContext(t), who, before, false); !errors.Is(err, errClosed) {
		t.Errorf("a refresh after that: %v", err)
	}
}

// TestCloseWaitsForExchange: so is a code. What comes later leaves its login for
// the mcpo that is started next.
func TestCloseWaitsForExchange(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	query, later := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{}), browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
	asked, release := s.Requests("token"), s.Hold("token")
	defer release()
	finished := make(chan error, 1)
	go func() {
		_, err := a.Finish(testContext(t), query, "")
		finished <- err
	}()
	if err := s.Await(testContext(t), "token", asked+1); err != nil {
		t.Fatal(err)
	}
	closed := closing(t, a)
	if _, err := a.Finish(testContext(t), later, ""); !errors.Is(err, errClosed) || !a.Knows(testContext(t), later.Get("state")) {
		t.Errorf("a later one: %v", err)
	}
	release()
	<-closed
	select {
	case err := <-finished:
		if err != nil {
			t.Errorf("Finish: %v", err)
		}
	case <-testShort(t).Done():
		t.Error("Close did not wait")
	}
	storedGrant(t, a)
}

// TestLoopbackCloseWaits for a callback in progress.
func TestLoopbackCloseWaits(t *testing.T) {
	h, inside, finish, cut := newHome(t), make(chan struct{}), make(chan struct{}), make(chan bool, 1)
	h.idle, h.handler = 0, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		select {
		case <-finish:
			cut <- false
		case <-r.Context().Done():
			cut <- true
		}
	})
	if _, err := h.open(h.port); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		by := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := by.Get(fmt.Sprintf("http://127.0.0.1:%d/callback", h.port)); err == nil {
			resp.Body.Close()
		}
	})
	<-inside
	both.Go(h.Close)
	select {
	case <-h.Loopback.closed.Done():
	case <-time.After(50 * time.Millisecond): // enough to see the defect, and no matter otherwise
		close(finish)
	}
	if <-cut {
		t.Error("Close did not wait")
	}
	both.Wait()
}

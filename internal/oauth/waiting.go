package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// waiter is a login that was begun here and waits for its person.
type waiter struct {
	done    func()     // ends the wait at the loopback port
	outcome chan error // holds one
}

// ErrElsewhere is the outcome of a login that another mcpo took over and did not
// finish.
var ErrElsewhere = errors.New("the login was not finished; the other mcpo, which has the callback port, says why in its log")

// waits remembers a login until its person comes, or does not.
func (a *Authorizer) waits(b *Begun, done func()) {
	key := hashed(b.State)
	outcome := make(chan error, 1)
	late := time.AfterFunc(LoginTime, func() { a.finished(b.State, ErrUnknownLogin) })
	b.Outcome = outcome
	b.Done = func() { a.finished(b.State, context.Canceled) }
	a.mu.Lock()
	defer a.mu.Unlock()
	a.awaiting[key] = waiter{done: func() { late.Stop(); done() }, outcome: outcome}
}

// finished ends the wait for a login, beside the answer that the browser still
// gets. Only the first outcome counts.
func (a *Authorizer) finished(state string, outcome error) {
	a.mu.Lock()
	w, ok := a.awaiting[hashed(state)]
	delete(a.awaiting, hashed(state))
	a.mu.Unlock()
	if ok {
		w.done()
		w.outcome <- outcome
	}
}

// stopWaiting ends all waits.
func (a *Authorizer) stopWaiting() {
	a.mu.Lock()
	waiting := a.awaiting
	a.awaiting = map[string]waiter{}
	a.mu.Unlock()
	for _, w := range waiting {
		w.done()
		w.outcome <- context.Canceled
	}
}

// elsewherePath is where an mcpo that has the callback port tells others that
// share its store whether it knows a login.
const elsewherePath = "/waiting/"

// elsewhereHeader shows that it is an mcpo.
const elsewhereHeader = "Mcpo-Callback"

// serveWaiting answers an mcpo that found the port taken.
func (l *Loopback) serveWaiting(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(elsewhereHeader, "1")
	l.mu.Lock()
	var all []*Authorizer
	for a := range l.users {
		all = append(all, a)
	}
	l.mu.Unlock()
	for _, a := range all {
		if a.knows(r.Context(), store.Key{Kind: store.Logins, Name: r.PathValue("login")}) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	http.Error(w, "no such login waits here", http.StatusNotFound)
}

// use and unuse say whose logins may wait here.
func (l *Loopback) use(a *Authorizer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users[a] = true
}

func (l *Loopback) unuse(a *Authorizer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.users, a)
}

// askElsewhere asks who has the port. isOurs tells that it is an mcpo, knows
// that it can finish the login.
func askElsewhere(ctx context.Context, port int, login string) (isOurs, knows bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	address := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + elsewherePath + login
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, false
	}
	direct := &http.Transport{DisableKeepAlives: true}
	resp, err := direct.RoundTrip(req)
	if err != nil {
		return false, false
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
	return resp.Header.Get(elsewhereHeader) != "", resp.StatusCode == http.StatusNoContent
}

// openPort opens the loopback port. elsewhere is true when another mcpo has it,
// which may share our store.
func (a *Authorizer) openPort(ctx context.Context, redirectURI string) (done func(), elsewhere bool, err error) {
	if !a.usesLoopback(redirectURI) {
		return func() {}, false, nil
	}
	done, err = a.loopback.open(portOf(redirectURI))
	var inUse *PortInUseError
	if errors.As(err, &inUse) {
		if isOurs, _ := askElsewhere(ctx, inUse.Port, "any"); isOurs {
			return func() {}, true, nil
		}
	}
	return done, false, err
}

// handOver leaves a login to the mcpo that has the port, and watches from here
// what becomes of it.
func (a *Authorizer) handOver(ctx context.Context, who caller.ID, b *Begun) error {
	port := portOf(b.RedirectURI)
	if _, knows := askElsewhere(ctx, port, loginKey(b.State).Name); !knows {
		if err := a.store.Delete(ctx, loginKey(b.State)); err != nil {
			return fmt.Errorf("removing the login: %w", err)
		}
		return &PortInUseError{Port: port}
	}
	began := time.Now()
	watch, stop := context.WithTimeout(context.WithoutCancel(ctx), LoginTime)
	a.waits(b, stop)
	a.watching.Go(func() { a.watch(watch, who, b.State, began) })
	return nil
}

// watch looks from time to time whether the grant is there.
func (a *Authorizer) watch(ctx context.Context, who caller.ID, state string, began time.Time) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	left := 0 // looks since the login was taken
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if g, err := a.read(ctx, who); err == nil && g.Obtained.After(began) {
			a.remember(who, g)
			a.finished(state, nil)
			a.changed(who)
			return
		}
		if !a.Knows(ctx, state) {
			left++
		}
		if left > int(renewTime/(300*time.Millisecond)) {
			a.finished(state, ErrElsewhere)
			return
		}
	}
}

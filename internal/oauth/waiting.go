package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

const (
	// pendingMax logins may wait for one caller. Another one gives up the oldest.
	pendingMax = 20
	// beginBurst logins may be begun by one caller at once, unless Options say
	// otherwise, and one every beginRest after.
	beginBurst = 5
	beginRest  = 2 * time.Second
)

// mayBegin reports whether the caller has not begun too many logins just now.
func (a *Authorizer) mayBegin(who caller.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begins[who] == nil {
		maps.DeleteFunc(a.begins, func(_ caller.ID, l *rate.Limiter) bool { return l.Tokens() >= float64(a.burst) }) // as good as new
		a.begins[who] = rate.NewLimiter(rate.Every(beginRest), a.burst)
	}
	return a.begins[who].Allow()
}

// waiter is a login that was begun here and waits for its person.
type waiter struct {
	who     caller.ID
	began   time.Time
	done    func()     // ends the wait at the loopback port
	outcome chan error // holds one
}

// ErrElsewhere is the outcome of a login that another mcpo took over and did not
// finish.
var ErrElsewhere = errors.New("the login was not finished; the other mcpo, which has the callback port, says why in its log")

// waits remembers a login until its person comes, or does not.
func (a *Authorizer) waits(ctx context.Context, who caller.ID, b *Begun, done func()) {
	key := hashed(b.State)
	outcome := make(chan error, 1)
	late := time.AfterFunc(LoginTime, func() { a.finished(b.State, ErrUnknownLogin) })
	b.Outcome = outcome
	b.Done = func() { a.finished(b.State, context.Canceled) }
	a.mu.Lock()
	a.awaiting[key] = waiter{who: who, began: time.Now(), done: func() { late.Stop(); done() }, outcome: outcome}
	old, tooMany := a.oldest(who)
	a.mu.Unlock()
	if !tooMany {
		return
	}
	a.ended(old, context.Canceled)
	if err := a.store.Delete(ctx, store.Key{Kind: store.Logins, Name: old}); err != nil {
		a.log.Debug("a login that was given up stays in the store until it runs out", "error", err)
	}
}

// oldest is the first of the caller's logins that wait here, while a.mu is held.
// tooMany says that it has to go.
func (a *Authorizer) oldest(who caller.ID) (key string, tooMany bool) {
	n := 0
	for k, w := range a.awaiting {
		if w.who != who {
			continue
		}
		if n++; n == 1 || w.began.Before(a.awaiting[key].began) {
			key = k
		}
	}
	return key, n > pendingMax
}

// finished ends the wait for a login, beside the answer that the browser still
// gets. Only the first outcome counts.
func (a *Authorizer) finished(state string, outcome error) { a.ended(hashed(state), outcome) }

// ended is finished by the hash of the state.
func (a *Authorizer) ended(key string, outcome error) {
	a.mu.Lock()
	w, ok := a.awaiting[key]
	delete(a.awaiting, key)
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
	watch, stop := context.WithTimeout(context.WithoutCancel(ctx), LoginTime)
	a.waits(ctx, who, b, stop)
	a.Follow(watch, who, b)
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

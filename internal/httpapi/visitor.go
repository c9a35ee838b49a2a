package httpapi

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"mcpo/internal/caller"
)

// webUICookie is where Open WebUI keeps the session token in browsers. Cookies
// do not mind ports, so a mcpo on the same host is sent it.
const webUICookie = "token"

// errOtherUser is a link that somebody else opened than the one it is for.
var errOtherUser = errors.New("the link is for another user than the one who is signed in to Open WebUI in this browser")

// signedIn is who is signed in to Open WebUI in the browser, as far as that can
// be seen and verified.
func signedIn(r *http.Request, m *mount) (people []caller.Person) {
	for _, c := range r.CookiesNamed(webUICookie) {
		if p, err := m.identify.BySession(c.Value); err == nil {
			people = append(people, p)
		}
	}
	return people
}

// visit is a login that was finished in a browser lately.
type visit struct {
	who caller.Person
	at  time.Time
}

const (
	visitTime = time.Hour
	maxVisits = 10_000
)

// visits remember whose login was finished in which browser, so that a person
// who comes from there finds the own connections.
type visits struct {
	mu sync.Mutex
	by map[string]visit // by the browser's secret and the server's name
}

func (v *visits) remember(browser, server string, who caller.Person) {
	if browser == "" || !who.ID.IsOne() {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.by == nil {
		v.by = map[string]visit{}
	}
	for key, old := range v.by {
		if time.Since(old.at) > visitTime || len(v.by) >= maxVisits {
			delete(v.by, key)
		}
	}
	v.by[formToken(browser, server)] = visit{who, time.Now()}
}

func (v *visits) find(browser, server string) (caller.Person, bool) {
	if browser == "" {
		return caller.Person{}, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	found, ok := v.by[formToken(browser, server)]
	if !ok || time.Since(found.at) > visitTime {
		return caller.Person{}, false
	}
	return found.who, true
}

// visitor is the caller who looks at a page. A browser sends no header that says
// who it is, so what counts besides is the one signed in to Open WebUI there,
// and then whose login was finished there. Where a header does say it, that alone
// counts, and if it does not hold, nothing does.
func (h *Handler) visitor(r *http.Request, m *mount) (caller.Person, *answer) {
	who, refused := h.who(r, m)
	if refused == nil && who.ID.IsOne() || !m.personal() || !h.claimsNobody(r) {
		return who, refused
	}
	people := signedIn(r, m)
	for _, p := range people {
		if p.ID != people[0].ID {
			return caller.Person{}, refuseProof(&caller.RefusedError{Message: "This browser is signed in to Open WebUI as more than one person. Sign out there, and in again."})
		}
	}
	if len(people) > 0 {
		return people[0], nil
	}
	if p, ok := h.visits.find(browserOf(r), m.server.Name()); ok {
		return p, nil
	}
	return who, refused
}

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
	by map[string]visit // by the visit's secret and the server's name
}

// visited remembers whose login was finished here, under a secret that is made
// for it.
func (h *Handler) visited(w http.ResponseWriter, m *mount, who caller.ID) {
	if !who.IsOne() {
		return
	}
	secret := newSecret()
	h.visits.remember(secret, m.server.Name(), caller.Person{ID: who})
	h.setCookie(w, h.cookieName(visitCookie, m.server.Name()), secret, visitTime)
}

func (v *visits) remember(secret, server string, who caller.Person) {
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
	v.by[formToken(secret, server)] = visit{who, time.Now()}
}

func (v *visits) find(secret, server string) (caller.Person, bool) {
	if secret == "" {
		return caller.Person{}, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	found, ok := v.by[formToken(secret, server)]
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
	if p, ok := h.visits.find(h.cookie(r, visitCookie, m.server.Name()), m.server.Name()); ok {
		return p, nil
	}
	return who, refused
}

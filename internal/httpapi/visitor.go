package httpapi

import (
	"errors"
	"net/http"

	"mcpo/internal/caller"
	"mcpo/internal/oauth"
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

// visited remembers whose login was finished here, under a secret that is made
// for it, so that a person who comes from there finds the own connections.
func (h *Handler) visited(w http.ResponseWriter, r *http.Request, m *mount, who caller.ID) {
	if !who.IsOne() {
		return
	}
	secret := newSecret()
	if err := m.logins.Visited(r.Context(), secret, who); err != nil {
		h.opts.Log.Warn("a browser will not find its person's connections", "server", m.server.Name(), "error", err)
		return
	}
	h.setCookie(w, h.cookieName(visitCookie, m.server.Name()), secret, oauth.VisitTime)
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
	if secret := h.cookie(r, visitCookie, m.server.Name()); secret != "" {
		one, ok, err := m.logins.Visitor(r.Context(), secret)
		if err != nil {
			return caller.Person{}, h.storeFailed(m, err)
		}
		if ok {
			return caller.Person{ID: one}, nil
		}
	}
	return who, refused
}

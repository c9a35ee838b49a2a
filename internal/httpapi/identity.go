package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"mcpo/internal/caller"
)

// admit refuses a request that carries neither mcpo's key nor, where tokens are
// verified, a user's token in its place. m is nil at the root.
func (h *Handler) admit(r *http.Request, g *Generation, m *mount) *answer {
	refusal := h.key.Check(r)
	if refusal == nil {
		return nil
	}
	identify := g.identify
	if m != nil {
		identify = m.identify
	}
	_, found, err := identify.ByToken(r)
	switch {
	case err != nil:
		return refuseProof(err)
	case found:
		return nil
	}
	return refuse(refusal)
}

// refuseProof is the answer to a proof of identity that does not hold.
func refuseProof(err error) *answer {
	var refused *caller.RefusedError
	if !errors.As(err, &refused) {
		return say(http.StatusUnauthorized, "The caller could not be identified.")
	}
	a := say(http.StatusUnauthorized, "%s", refused.Message)
	a.header = http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}}
	return a
}

// who turns the request into its caller at a server, or an answer that refuses
// it. Where callers share what they hold, everybody who may use mcpo at all is
// the shared caller.
func (h *Handler) who(r *http.Request, m *mount) (caller.Person, *answer) {
	if refused := h.admit(r, h.current.Load(), m); refused != nil {
		return caller.Person{}, refused
	}
	if !m.personal() {
		return caller.Person{ID: caller.Shared()}, nil
	}
	p, found, err := m.identify.Identify(r, h.key.Fits(r), h.fromThisMachine(r))
	switch {
	case err != nil:
		return caller.Person{}, refuseProof(err)
	case found:
		return p, nil
	case h.isLocal(r, m):
		return caller.Person{ID: caller.Local()}, nil
	}
	return caller.Person{}, refuseProof(&caller.RefusedError{Message: m.server.Name() + " gives each person a login of their own, " +
		"and this request does not say whose it is. " + h.wayIn(m)})
}

// wayIn says what to set so that requests say whose they are.
func (h *Handler) wayIn(m *mount) string {
	if m.identify.Configured() {
		return "In Open WebUI set the connection's authentication to Session, or let it forward user information."
	}
	return `Write Open WebUI's WEBUI_SECRET_KEY as "webui_secret_key" into the server's oauth block, or "multi_user": false for one login that all share.`
}

// fromThisMachine reports whether a program of this machine makes the request
// itself: from a loopback address, under a loopback name, through no proxy, and
// for no page from elsewhere.
func (h *Handler) fromThisMachine(r *http.Request) bool {
	return isLoopbackPeer(r) && isLoopbackName(hostname(r.Host)) && !proxied(r) && h.publicHere() && h.ownOrigin(r)
}

// isLocal reports whether a request is that of the person at this machine, as
// where nobody else is known: it names nobody, and callers are not told apart
// otherwise.
func (h *Handler) isLocal(r *http.Request, m *mount) bool {
	return !m.identify.Configured() && h.fromThisMachine(r) && h.claimsNobody(r)
}

// claimsNobody reports whether a request's headers say nothing of whose it is:
// mcpo's key does not.
func (h *Handler) claimsNobody(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Openwebui-User-") {
			return false
		}
	}
	return len(r.Header.Values("Authorization")) == 0 || h.key.Fits(r)
}

package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"mcpo/internal/caller"
)

// who turns the request into its caller at a server, or an answer that refuses
// it. Where callers share what they hold, everybody who may use mcpo at all is
// the shared caller. Elsewhere the person at this machine is one, and nobody
// else is known.
func (h *Handler) who(r *http.Request, m *mount) (caller.ID, *answer) {
	if !h.opts.StrictAuth { // otherwise it was checked before routing
		if refusal := h.key.Check(r); refusal != nil {
			return caller.ID{}, refuse(refusal)
		}
	}
	if !m.personal() {
		return caller.Shared(), nil
	}
	if h.isLocal(r) {
		return caller.Local(), nil
	}
	return caller.ID{}, say(http.StatusUnauthorized, "%s gives each person a login of their own, and this request does not say whose it is. "+
		`Call it from the machine that mcpo runs on, or, for one login that all share, write "multi_user": false into its oauth block.`, m.server.Name())
}

// forwarded are the fields that a proxy leaves in a request.
var forwarded = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// isLocal reports whether a request was made by a program of this machine's own
// accord: from a loopback address, under a loopback name, through no proxy, for
// no page from elsewhere, and without anybody else's credentials.
func (h *Handler) isLocal(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || !isLoopbackName(hostname(r.Host)) {
		return false
	}
	for _, name := range forwarded {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	public, err := url.Parse(h.opts.PublicURL)
	if err != nil || !isLoopbackName(public.Hostname()) {
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" && !h.cors.names(origin) && !fromHere(origin, public) {
		return false
	}
	// A token that is not our key is somebody's, whom we cannot tell apart.
	return h.opts.Key != "" || r.Header.Get("Authorization") == ""
}

// sameSite reports whether a request that changes something was made by a page
// of ours, or by no page.
func (h *Handler) sameSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && (u.Host == r.Host || net.JoinHostPort(u.Hostname(), u.Port()) == r.Host)
}

package httpapi

import (
	"net/http"
	"net/netip"
	"net/url"
)

// forwarded are the fields that a proxy leaves in a request.
var forwarded = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// proxied reports whether a request came through a proxy that says so.
func proxied(h http.Header) bool {
	for _, name := range forwarded {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

func isLoopbackPeer(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// publicHere reports whether the public URL is one of this machine only.
func (h *Handler) publicHere() bool {
	public, err := url.Parse(h.opts.PublicURL)
	return err == nil && isLoopbackName(public.Hostname())
}

// ownOrigin reports whether a request comes from no page, from one of ours, or
// from one that the operator names.
func (h *Handler) ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || h.cors.names(origin) {
		return true
	}
	public, _ := url.Parse(h.opts.PublicURL)
	return fromHere(origin, public)
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
	public, _ := url.Parse(h.opts.PublicURL)
	return err == nil && u.Host != "" && (u.Host == r.Host || public != nil && u.Scheme == public.Scheme && u.Host == public.Host)
}

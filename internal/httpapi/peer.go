package httpapi

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// forwarded are the beginnings of the names of the fields that proxies, load
// balancers and tunnels leave in a request.
var forwarded = [...]string{
	"Forwarded", "X-Forwarded", "X-Original-", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Proxyuser-Ip", "True-Client-Ip",
	"Front-End-Https", "Cdn-Loop", "Cf-Connecting-Ip", "Cf-Ray", "Fastly-Client-Ip", "X-Amzn-Trace-Id", "X-Azure-", "X-Envoy-",
}

// proxied reports whether a request shows that it came through a proxy. HTTP/1.0
// shows it too: a common proxy that is told nothing else speaks that, and leaves
// no field, while programs and browsers have long ceased to.
func proxied(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) {
		return true
	}
	for name := range r.Header {
		for _, beginning := range forwarded {
			if strings.HasPrefix(name, beginning) {
				return true
			}
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

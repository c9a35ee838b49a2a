package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// GuardHost refuses requests that reach a loopback listener under a name that
// is no loopback name: a page in a browser on this machine, whose name was
// pointed here after it was loaded (DNS rebinding). The public URL's host is
// allowed, for a reverse proxy on the same machine. On other listeners every
// name is fine.
func GuardHost(loopback bool, publicURL string, next http.Handler) http.Handler {
	if !loopback {
		return next
	}
	public := ""
	if u, err := url.Parse(publicURL); err == nil {
		public = strings.ToLower(u.Hostname())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostname(r.Host); !isLoopbackName(host) && (public == "" || host != public) {
			say(http.StatusForbidden, "This mcpo listens on this machine only and does not answer for %q. "+
				"Open it as localhost, or start it with --public-url set to the address that people use.", cut(r.Host, 100)).write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a Host header without its port, in lower case.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

func isLoopbackName(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// GuardOrigin refuses requests of pages from elsewhere to a loopback listener
// that asks for no key: any page that its user visits could call the tools of
// this machine. The pages of this machine and of the public URL may call, and
// those that --cors-allow-origins names; "*" names none. With a key, and on
// other listeners, it is for the key to decide.
func GuardOrigin(open bool, publicURL string, cors *CORS, next http.Handler) http.Handler {
	if !open {
		return next
	}
	public, _ := url.Parse(publicURL)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && !cors.names(origin) && !fromHere(origin, public) {
			say(http.StatusForbidden, "This mcpo asks for no key, so pages from elsewhere may not call it. "+
				"Start it with a key (MCPO_API_KEY), or with --cors-allow-origins %s.", cut(origin, 100)).write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromHere reports whether an origin is on this machine or has the public
// URL's host.
func fromHere(origin string, public *url.URL) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false // "null", of a file or a sandboxed frame, for example
	}
	host := hostname(u.Host)
	return isLoopbackName(host) || public != nil && public.Host != "" && host == hostname(public.Host)
}

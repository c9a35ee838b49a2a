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
// name is fine. A page's Origin is not looked at here: which pages may call is
// what --cors-allow-origins says, "*" by default as it always was.
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

package httpapi

import (
	"net/http"
	"slices"
	"strings"
)

const corsMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

// CORS says which origins' pages may read answers (Fetch standard, CORS
// protocol). Credentials are allowed, as mcpo always did: keys travel in a
// header that a page must know, and no cookie opens anything here.
type CORS struct {
	all     bool
	origins []string
}

// NewCORS allows the origins, each "*" for all or one or more origins with
// commas between.
func NewCORS(origins []string) *CORS {
	c := &CORS{}
	for _, list := range origins {
		for o := range strings.SplitSeq(list, ",") {
			switch o = strings.TrimSuffix(strings.TrimSpace(o), "/"); o {
			case "":
			case "*":
				c.all = true
			default:
				c.origins = append(c.origins, o)
			}
		}
	}
	return c
}

func (c *CORS) allows(origin string) bool { return c.all || c.names(origin) }

// names reports whether an origin is allowed by its own name, not by "*".
func (c *CORS) names(origin string) bool { return slices.Contains(c.origins, origin) }

// Wrap answers preflight requests and puts the CORS headers on all other
// answers, refusals included.
func (c *CORS) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		h := w.Header()
		if !c.all {
			h.Add("Vary", "Origin")
		}
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			c.preflight(w, r, origin)
			return
		}
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", "Content-Disposition, Location")
		switch {
		case c.all && r.Header.Get("Cookie") == "":
			h.Set("Access-Control-Allow-Origin", "*")
		case c.allows(origin):
			h.Set("Access-Control-Allow-Origin", origin)
			if c.all {
				h.Add("Vary", "Origin")
			}
		}
		next.ServeHTTP(w, r)
	})
}

// preflight answers what a browser asks before a request that is not simple.
func (c *CORS) preflight(w http.ResponseWriter, r *http.Request, origin string) {
	h := w.Header()
	h.Set("Vary", "Origin")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Max-Age", "600")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	var wrong []string
	if c.allows(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
	} else {
		wrong = append(wrong, "origin")
	}
	if !slices.Contains(strings.Split(corsMethods, ", "), r.Header.Get("Access-Control-Request-Method")) {
		wrong = append(wrong, "method")
	}
	if len(wrong) > 0 {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("Disallowed CORS " + strings.Join(wrong, ", ")))
		return
	}
	_, _ = w.Write([]byte("OK"))
}

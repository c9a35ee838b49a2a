package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"mcpo/internal/config"
)

// KeyAuth checks mcpo's API key.
type KeyAuth struct {
	hash   [sha256.Size]byte
	open   bool // no key is configured
	strict bool
	cors   *CORS
}

// Refusal is why a request may not pass.
type Refusal struct {
	// Status is 401 or 403.
	Status int
	// Detail is the sentence for the caller.
	Detail string
	// Challenges are the values of WWW-Authenticate (RFC 9110 §11.6.1), one
	// line each: browsers take a line with two for one that they do not know.
	Challenges []string
}

// NewKeyAuth makes the check. An empty key means that none is asked for. The
// origins that cors names may use Basic.
func NewKeyAuth(key config.Secret, strict bool, cors *CORS) *KeyAuth {
	return &KeyAuth{hash: sha256.Sum256([]byte(key.Reveal())), open: key == "", strict: strict, cors: cors}
}

// Check gives nil for a request that carries the key, as a Bearer token (RFC
// 6750 §2.1) or as the password of Basic (RFC 7617), and otherwise why not.
// Keys are compared in constant time.
func (a *KeyAuth) Check(r *http.Request) *Refusal {
	if a.open {
		return nil
	}
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return a.missing("Missing or invalid Authorization header")
	}
	scheme, credentials, _ := strings.Cut(values[0], " ")
	credentials = strings.TrimSpace(credentials)
	switch {
	case credentials == "":
	case strings.EqualFold(scheme, "Bearer"):
		if !a.matches(credentials) {
			return &Refusal{Status: http.StatusForbidden, Detail: "Invalid API key"}
		}
		return nil
	case strings.EqualFold(scheme, "Basic"):
		return a.checkBasic(r.Header, r.Host, credentials)
	}
	return a.missing("Missing or invalid Authorization header")
}

// Fits reports whether a key is configured and the request carries it.
func (a *KeyAuth) Fits(r *http.Request) bool { return !a.open && a.Check(r) == nil }

func (a *KeyAuth) checkBasic(h http.Header, host, credentials string) *Refusal {
	raw, err := base64.StdEncoding.DecodeString(credentials)
	_, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok {
		return a.missing("Invalid Basic Authentication format")
	}
	if !a.matches(password) {
		return &Refusal{Status: http.StatusForbidden, Detail: "Invalid credentials"}
	}
	if !a.mayUseBasic(h, host) {
		return &Refusal{Status: http.StatusForbidden, Detail: "Basic is for mcpo's own pages; pages from elsewhere send the key as a Bearer token"}
	}
	return nil
}

// mayUseBasic guards against forged requests: a browser that was once told the
// key sends it along with whatever any page makes it send here. It says so
// itself with an Origin that is not ours. Requests without one are no page's,
// or change nothing and cannot be read.
func (a *KeyAuth) mayUseBasic(h http.Header, host string) bool {
	origin := h.Get("Origin")
	if origin == "" || a.cors.names(origin) {
		return true
	}
	if site := h.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}

func (a *KeyAuth) missing(detail string) *Refusal {
	challenges := []string{"Bearer"}
	if a.strict { // a browser asks for the key on the documentation's pages
		challenges = append(challenges, `Basic realm="mcpo"`)
	}
	return &Refusal{Status: http.StatusUnauthorized, Detail: detail, Challenges: challenges}
}

// matches compares hashes, so that not even the key's length shows in the time.
func (a *KeyAuth) matches(key string) bool {
	hash := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(hash[:], a.hash[:]) == 1
}

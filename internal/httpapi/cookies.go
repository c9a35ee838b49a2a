package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/http"
	"strings"
	"time"

	"mcpo/internal/oauth"
)

// The kinds of our cookies. Each holds a secret that tells one browser from
// another, and opens nothing by itself but what a visit does.
const (
	formCookie  = "mcpo_browser" // a form was shown here
	loginCookie = "mcpo_login_"  // a login was begun here, one cookie each; then the state's hash
	visitCookie = "mcpo_visit_"  // a login was finished here lately; then the server's hash
)

// maxLoginCookies is how many logins may go on in a browser side by side.
const maxLoginCookies = 10

// hostOnly begins the names of cookies that browsers take from this very host and
// over TLS alone, so that no neighbour can plant one (RFC 6265bis §4.1.3.2).
const hostOnly = "__Host-"

func (h *Handler) tls() bool { return strings.HasPrefix(h.opts.PublicURL, "https://") }

// cookieName is the name of a cookie of a kind, about a state or a server where
// there are several.
func (h *Handler) cookieName(kind, about string) string {
	if h.tls() {
		kind = hostOnly + kind
	}
	if about == "" {
		return kind
	}
	sum := sha256.Sum256([]byte(about))
	return kind + hex.EncodeToString(sum[:8])
}

// cookie is the secret that a browser brings; "" when it brings none, or more
// than one, of which some are planted.
func (h *Handler) cookie(r *http.Request, kind, about string) string {
	cookies := r.CookiesNamed(h.cookieName(kind, about))
	if len(cookies) != 1 || len(cookies[0].Value) < 40 || len(cookies[0].Value) > 100 {
		return ""
	}
	return cookies[0].Value
}

// setCookie gives a browser a secret, for a time or, with 0, until it is closed.
func (h *Handler) setCookie(w http.ResponseWriter, name, secret string, keep time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: secret, Path: "/", MaxAge: int(keep.Seconds()), HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: h.tls()})
}

func (h *Handler) dropCookie(w http.ResponseWriter, name string) {
	h.setCookie(w, name, "", -time.Second)
}

func newSecret() string { return rand.Text() + rand.Text() }

// browser gives the secret for forms, which is set if there is none.
func (h *Handler) browser(w http.ResponseWriter, r *http.Request) string {
	if secret := h.browserOf(r); secret != "" {
		return secret
	}
	secret := newSecret()
	h.setCookie(w, h.cookieName(formCookie, ""), secret, 0)
	return secret
}

func (h *Handler) browserOf(r *http.Request) string { return h.cookie(r, formCookie, "") }

// begunHere ties a login to the browser. Its secret is new for each, so that
// nobody knows it who planted a cookie before.
func (h *Handler) begunHere(w http.ResponseWriter, r *http.Request, state, secret string) {
	var others []string
	for _, c := range r.Cookies() { // the oldest first (RFC 6265 §5.4)
		if strings.HasPrefix(c.Name, h.cookieName(loginCookie, "")) {
			others = append(others, c.Name)
		}
	}
	for _, name := range others[:max(0, len(others)-maxLoginCookies+1)] {
		h.dropCookie(w, name)
	}
	h.setCookie(w, h.cookieName(loginCookie, state), secret, oauth.LoginTime)
}

// formToken is what a form has to bring back: only a page of ours, shown in
// this browser, knows it.
func formToken(browser, purpose string) string {
	sum := sha256.Sum256([]byte(browser + "\x00" + purpose))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (h *Handler) formTokenFits(r *http.Request, purpose string) bool {
	browser := h.browserOf(r)
	return browser != "" && subtle.ConstantTimeCompare([]byte(formToken(browser, purpose)), []byte(r.PostFormValue("csrf"))) == 1
}

// maxForm is the largest form that is read, in bytes.
const maxForm = 64 << 10

// isForm reports whether the body is of the kind that our forms send. Only such
// a one is read by http.Request.ParseForm.
func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

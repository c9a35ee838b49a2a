package caller

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Headers in which Open WebUI says who asks.
const (
	headerUserJWT = "X-Openwebui-User-Jwt"
	headerUserID  = "X-Openwebui-User-Id"
)

// Options say which proofs of identity are taken. With the zero Options there
// are none but what a token claims unverified.
type Options struct {
	// SessionKey verifies the session JWT of Open WebUI (its
	// WEBUI_SECRET_KEY); "" takes none.
	SessionKey string
	// UserKeys verify the JWT that Open WebUI makes for each call (its
	// FORWARD_USER_INFO_HEADER_JWT_SECRET). Several are for a change of keys.
	UserKeys []string
	// Issuer verifies the tokens of an OpenID provider; nil takes none.
	Issuer *Issuer
	// TrustUserHeaders believes the plain user headers of requests that carry
	// mcpo's key.
	TrustUserHeaders bool
	// AllowUnverified believes unverified tokens wherever they come from, and
	// not from this machine alone.
	AllowUnverified bool
}

// Identifier tells callers apart. It is safe for concurrent use.
type Identifier struct {
	o        Options
	verified verified
}

// NewIdentifier makes an Identifier.
func NewIdentifier(o Options) *Identifier { return &Identifier{o: o} }

// Person is a caller, and what else the proof says of them.
type Person struct {
	ID ID
	// Label is a name or an address that people know the account by; "" when
	// the proof has none. Nothing may be decided by it.
	Label string
}

// RefusedError says why a proof of identity does not hold, and what to set
// where. It repeats nothing of the proof.
type RefusedError struct{ Message string }

// Error implements error.
func (e *RefusedError) Error() string { return e.Message }

func refusef(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// Verifies reports whether the Identifier verifies tokens in Authorization, so
// that one may stand in the place of mcpo's key.
func (i *Identifier) Verifies() bool { return i.o.SessionKey != "" || i.o.Issuer != nil }

// Identify finds out who asks. keyed says that the request carries mcpo's own
// key, local that it comes from this machine. found is false when the request
// says nothing of it. The error is a *RefusedError.
func (i *Identifier) Identify(r *http.Request, keyed, local bool) (p Person, found bool, err error) {
	if p, found, err = i.byUserJWT(r.Header); found || err != nil {
		return p, found, err
	}
	token, err := bearer(r.Header)
	switch {
	case err != nil:
		return Person{}, false, err
	case keyed, token == "":
	case i.Verifies():
		p, err = i.byToken(r, token)
		return p, err == nil, err
	case len(i.o.UserKeys) == 0 && !i.o.TrustUserHeaders:
		p, err = i.unverified(token, local)
		return p, err == nil, err
	}
	return i.byUserHeader(r.Header, keyed)
}

// ByToken finds out who asks by the token in Authorization alone, as one that
// may stand in the place of mcpo's key. found is false without a token that
// could be one.
func (i *Identifier) ByToken(r *http.Request) (p Person, found bool, err error) {
	if !i.Verifies() {
		return Person{}, false, nil
	}
	token, err := bearer(r.Header)
	if err != nil || strings.Count(token, ".") != 2 && !strings.HasPrefix(token, "sk-") {
		return Person{}, false, err
	}
	p, err = i.byToken(r, token)
	return p, err == nil, err
}

// BySession finds out whose session JWT of Open WebUI this is, as its cookie
// holds one.
func (i *Identifier) BySession(token string) (Person, error) {
	if i.o.SessionKey == "" {
		return Person{}, refusef("There is no key to verify the user's token with.")
	}
	return i.verified.session(token, i.o.SessionKey)
}

// Session is the session JWT of Open WebUI in Authorization, and whose it is.
// found is false when there is none that can be verified.
func (i *Identifier) Session(r *http.Request) (token string, p Person, found bool) {
	token, err := bearer(r.Header)
	if err != nil || strings.Count(token, ".") != 2 {
		return "", Person{}, false
	}
	p, err = i.BySession(token)
	return token, p, err == nil
}

// Configured reports whether any proof of identity is taken but what a token
// claims unverified.
func (i *Identifier) Configured() bool {
	return i.Verifies() || len(i.o.UserKeys) > 0 || i.o.TrustUserHeaders
}

// byUserJWT takes the JWT that Open WebUI made for this call. Where it is
// configured the plain headers, to which Open WebUI falls back when it fails to
// make one, are refused.
func (i *Identifier) byUserJWT(h http.Header) (Person, bool, error) {
	if len(i.o.UserKeys) == 0 {
		return Person{}, false, nil
	}
	switch tokens := h.Values(headerUserJWT); len(tokens) {
	case 0:
	case 1:
		p, err := verifyUser(tokens[0], i.o.UserKeys)
		return p, err == nil, err
	default:
		return Person{}, false, refusef("The request has more than one X-OpenWebUI-User-Jwt.")
	}
	if len(h.Values(headerUserID)) > 0 {
		return Person{}, false, refusef("The request names its user in a plain header only. This mcpo wants the signed one: " +
			"check that FORWARD_USER_INFO_HEADER_JWT_SECRET is set in Open WebUI.")
	}
	return Person{}, false, nil
}

// byToken verifies the token in Authorization.
func (i *Identifier) byToken(r *http.Request, token string) (Person, error) {
	if strings.HasPrefix(token, "sk-") {
		return Person{}, refuseKey()
	}
	if i.o.Issuer != nil && (i.o.SessionKey == "" || algorithmOf(token) != "HS256") {
		return i.o.Issuer.verify(r.Context(), token)
	}
	return i.verified.session(token, i.o.SessionKey)
}

// refuseKey explains what an API key of Open WebUI does here.
func refuseKey() error {
	return refusef("The request carries an API key of Open WebUI (sk-…) in place of the user's token: Open WebUI passes on whatever the chat " +
		"came with. Chat in a browser, where that is the session; for chats by API key set FORWARD_USER_INFO_HEADER_JWT_SECRET there and forward_jwt_secret here.")
}

// unverified believes what a token claims, for want of a key.
func (i *Identifier) unverified(token string, local bool) (Person, error) {
	if !local && !i.o.AllowUnverified {
		return Person{}, refusef("This mcpo cannot verify the user's token, because it was not told the key. " +
			`Write Open WebUI's WEBUI_SECRET_KEY as "webui_secret_key" into the configuration.`)
	}
	if strings.HasPrefix(token, "sk-") {
		return Person{}, refuseKey()
	}
	return readUnverified(token)
}

// byUserHeader believes a plain header, of a request that carries mcpo's key.
func (i *Identifier) byUserHeader(h http.Header, keyed bool) (Person, bool, error) {
	ids := h.Values(headerUserID)
	if !i.o.TrustUserHeaders || len(ids) == 0 {
		return Person{}, false, nil
	}
	if !keyed {
		return Person{}, false, refusef("The request names its user in a plain header, which is believed only together with mcpo's API key. " +
			"Start mcpo with --api-key, and set the key as the connection's Bearer token in Open WebUI.")
	}
	if len(ids) > 1 {
		return Person{}, false, refusef("The request has more than one X-OpenWebUI-User-Id.")
	}
	id, err := accountID(ids[0], "X-OpenWebUI-User-Id")
	if err != nil {
		return Person{}, false, err
	}
	return Person{ID: User(id), Label: h.Get("X-Openwebui-User-Email")}, true, nil
}

// bearer is the Bearer token of a request; "" when there is none.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return "", refusef("The request has more than one Authorization header.")
	}
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	return strings.TrimSpace(token), nil
}

// maxAccount is the longest id of an account in bytes.
const maxAccount = 256

// accountID checks an id that a proof names; where says which part of it.
func accountID(id, where string) (string, error) {
	switch {
	case id == "":
		return "", refusef("The user's token is refused: %s is empty.", where)
	case len(id) > maxAccount:
		return "", refusef("The user's token is refused: %s is longer than %d bytes.", where, maxAccount)
	case strings.ContainsFunc(id, odd):
		return "", refusef("The user's token is refused: %s has characters that no id has.", where)
	}
	return id, nil
}

// odd reports whether a character is none of an id. In place of what is not
// UTF-8, of any two such ids, readers of JSON give the same U+FFFD.
func odd(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }

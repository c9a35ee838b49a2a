package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"mcpo/internal/store"
)

// LoginRequiredError says that a caller has no grant, or none that is of use.
type LoginRequiredError struct {
	// Server is the server's name in the configuration.
	Server string
	// Gone says that there was a grant, which was revoked or has run out.
	Gone bool
}

// Error implements error.
func (e *LoginRequiredError) Error() string {
	if e.Gone {
		return fmt.Sprintf("the login at server %q is no longer valid", e.Server)
	}
	return fmt.Sprintf("server %q needs a login", e.Server)
}

// NotExecuted promises that the server did not run the request.
func (e *LoginRequiredError) NotExecuted() bool { return true }

// RenewError says that an access token could not be renewed for now: the
// authorization server did not answer, or not sensibly, or the store failed. The
// grant is kept.
type RenewError struct{ Err error }

// Error implements error.
func (e *RenewError) Error() string { return fmt.Sprintf("renewing the access token: %v", e.Err) }

// Unwrap gives the reason.
func (e *RenewError) Unwrap() error { return e.Err }

// NotExecuted promises that the server did not run the request.
func (e *RenewError) NotExecuted() bool { return true }

// StoreUnavailable reports whether err says that grants cannot be reached for
// now, as while a database is down. Nothing is wrong with any of them.
func StoreUnavailable(err error) bool { return errors.Is(err, store.ErrUnavailable) }

// Reasons why a login was not finished. Nothing was stored.
var (
	// ErrNoCode is a callback without a code (RFC 6749 §4.1.2).
	ErrNoCode = errors.New("No authorization code found") //lint:ignore ST1005 the documented words
	// ErrUnknownLogin is a state that is missing, was used before, has run out,
	// or belongs to another server.
	ErrUnknownLogin = errors.New("this login is unknown, was finished already, or has run out")
	// ErrOtherBrowser is a callback in a browser that did not begin the login.
	ErrOtherBrowser = errors.New("this login was begun in another browser")
	// ErrIssuer is an answer that does not come from the authorization server
	// that was asked (RFC 9207 §2.4).
	ErrIssuer = errors.New("the answer does not come from the authorization server that was asked")
)

// ErrTooManyLogins refuses to begin a login for a caller who began many just
// now. Seconds later it may work.
var ErrTooManyLogins = errors.New("too many logins were begun; wait a moment and try again")

// DeniedError is an error that the authorization server sent to the callback
// (RFC 6749 §4.1.2.1), with its texts cleaned and cut.
type DeniedError struct{ Code, Description string }

// Error implements error.
func (e *DeniedError) Error() string {
	if e.Description == "" {
		return "the authorization server answered " + e.Code
	}
	return "the authorization server answered " + e.Code + ": " + e.Description
}

// TokenError is an error of the token, registration or revocation endpoint (RFC
// 6749 §5.2, RFC 7591 §3.2.2), with its texts cleaned and cut.
type TokenError struct {
	// Status is the HTTP status.
	Status int
	// Code is "" when the answer was no OAuth error.
	Code, Description string
}

// Error implements error.
func (e *TokenError) Error() string {
	switch {
	case e.Code == "":
		return fmt.Sprintf("the authorization server answered with status %d", e.Status)
	case e.Description == "":
		return "the authorization server answered " + e.Code
	}
	return "the authorization server answered " + e.Code + ": " + e.Description
}

// unknownRegistration reports whether the authorization server does not know
// our client id, or not with this secret.
func unknownRegistration(err error) bool {
	var e *TokenError
	return errors.As(err, &e) && (e.Code == "invalid_client" || e.Code == "unauthorized_client" && e.Status == 401)
}

// refused reports whether an answer is final: the authorization server knows the
// refresh token no more, or who sends it (RFC 6749 §5.2). All else may pass, and
// may not even be the authorization server's own. What the configuration has of
// a registration, byHand, can be put right there.
func refused(err error, byHand bool) bool {
	var e *TokenError
	if !errors.As(err, &e) || e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout {
		return false
	}
	switch e.Code {
	case "invalid_grant":
		return true
	case "invalid_client", "unauthorized_client":
		return !byHand || !unknownRegistration(err)
	}
	return false
}

// DiscoveryError says what of a server's metadata keeps mcpo from logging in,
// and what to do about it.
type DiscoveryError struct{ Message, Hint string }

// Error implements error.
func (e *DiscoveryError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// clean makes a stranger's text fit for logs and pages: one line without
// control and direction characters, at most n bytes.
func clean(s string, n int) string {
	if len(s) > 4*n {
		s = s[:4*n]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029', r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

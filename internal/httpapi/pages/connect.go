package pages

import (
	"crypto/rand"
	"net/http"
	"slices"
	"time"
)

// Connect is the page that asks a person whether a server may be connected.
// Its form is a POST with the field csrf and, when pasting, callback_url.
type Connect struct {
	// Server is the server's name, Account the caller that the grant will be
	// of; empty when all callers share it.
	Server, Account string
	// Host is where the person signs in; empty leaves it out.
	Host string
	// Action is the URL path the form goes to; empty is the page's own.
	Action string
	// CSRF is the value of the hidden field.
	CSRF string
	// Connections is the URL of the person's page of connections; empty leaves
	// the link out.
	Connections string
	// AnyHTTP lets the form's answer redirect to addresses without TLS too, as
	// where all of it is on one machine.
	AnyHTTP bool
	// Paste asks for the address that the browser came back to. The person gets
	// there by AuthorizationURL; empty when that was shown before.
	Paste            bool
	AuthorizationURL string
	// Error is a sentence on what was wrong with the form before; empty at first.
	Error string
	// Nonce is filled in by WriteConnect.
	Nonce string
}

// Outcome is the page at the end of a login. Its texts may come from anywhere.
type Outcome struct {
	Title, Message, Hint string
	// Connections is the URL of the person's page of connections; empty leaves
	// the link out.
	Connections string
	// OK tells success from failure.
	OK bool
	// Nonce is filled in by WriteOutcome.
	Nonce string
}

// Connections is the page on which a person connects and disconnects servers.
type Connections struct {
	// Account is the caller; empty leaves it out.
	Account string
	Servers []Connection
	// CSRF is the value of the forms' hidden field csrf.
	CSRF string
	// Nonce is filled in by WriteConnections.
	Nonce string
}

// Connection is one server on the page of connections.
type Connection struct {
	Name string
	// State is "connected", "expired" or another word.
	State string
	// User is the account at the server, if known.
	User string
	// Since is when the person connected it; zero when unknown.
	Since time.Time
	// ExpiresAt is when the person has to log in again; zero when unknown.
	ExpiresAt time.Time
	Scopes    []string
	// ConnectPath and DisconnectPath are URL paths, for GET and for POST. An
	// empty one leaves its button out.
	ConnectPath, DisconnectPath string
}

// WriteConnect answers with the page that asks. It works without scripts.
func WriteConnect(w http.ResponseWriter, status int, p Connect) {
	p.Server, p.Account, p.Error = clean(p.Server, maxName), clean(p.Account, maxName), clean(p.Error, maxText)
	p.Host = clean(p.Host, maxText) // whose end counts: it must not be cut
	p.Nonce = rand.Text()
	render(w, status, "connect.html", p, plain(p.Nonce, formTargets(p.AnyHTTP)), sameOrigin)
}

// WriteOutcome answers with the page that says how a login ended.
func WriteOutcome(w http.ResponseWriter, status int, p Outcome) {
	p.Title, p.Message, p.Hint = clean(p.Title, maxName), clean(p.Message, maxText), clean(p.Hint, maxText)
	p.Nonce = rand.Text()
	render(w, status, "outcome.html", p, plain(p.Nonce, "'none'"), noReferrer)
}

// WriteConnections answers with a person's connections. It works without
// scripts.
func WriteConnections(w http.ResponseWriter, p Connections) {
	p.Account = clean(p.Account, maxName)
	p.Servers = slices.Clone(p.Servers)
	for i := range p.Servers {
		s := &p.Servers[i]
		s.Name, s.State, s.User = clean(s.Name, maxName), clean(s.State, maxName), clean(s.User, maxName)
		s.Scopes = slices.Clone(s.Scopes)
		for j, scope := range s.Scopes {
			s.Scopes[j] = clean(scope, maxName)
		}
	}
	p.Nonce = rand.Text()
	render(w, http.StatusOK, "connections.html", p, plain(p.Nonce, "'self'"), sameOrigin)
}

// sameOrigin is the Referrer-Policy of pages with forms. Others hear as little of
// them as with no-referrer, with which the browser would send "Origin: null" to
// us too, as if the form were a stranger's (Fetch standard, append a request
// Origin header).
const sameOrigin = "same-origin"

// formTargets are the sources for form-action. Browsers hold all redirects that
// follow a form against it, and an OAuth server may send people on to another
// place to sign in that cannot be known before: hence any https.
func formTargets(anyHTTP bool) string {
	if anyHTTP {
		return "'self' https: http:"
	}
	return "'self' https:"
}

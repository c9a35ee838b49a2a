// Package caller finds out who asks.
//
// Everything that acts for somebody takes an [ID] as an argument, from the HTTP
// handler down to the connection that is used. Only this package makes one, so
// a value of another package's cannot pose as a caller.
//
// The walk of a request: [Identifier.Identify] looks at what it carries in a
// fixed order. The first proof of identity that is there decides, and has to
// hold: nothing falls through to a weaker one (jwt.go, oidc.go).
package caller

import "strings"

// ID is one caller. IDs are comparable and may be map keys. The zero ID is
// nobody.
type ID struct{ name string }

// The kinds of callers, as their names begin.
const (
	userPrefix       = "user:"       // an account of Open WebUI, by its id
	issuerPrefix     = "oidc:"       // an account at an issuer of tokens
	unverifiedPrefix = "unverified:" // what a token says that nobody verified
)

// Shared returns the one caller that all requests without an identity are:
// everybody who may use mcpo at all, together.
func Shared() ID { return ID{name: "shared"} }

// Local returns the person at this machine: the caller of requests that come
// from its loopback addresses without an identity, where callers part ways.
func Local() ID { return ID{name: "local"} }

// User returns the account of Open WebUI with this id. An operator names one so;
// for a request only [Identifier.Identify] may decide.
func User(id string) ID { return ID{name: userPrefix + id} }

// FromStore gives back the caller whose name String gave, for what was kept
// under it. It must not be used for what a request says.
func FromStore(name string) ID { return ID{name} }

// String names the caller in logs and stores. Different callers have different
// names.
func (id ID) String() string { return id.name }

// Name is what people call the caller: the account without its kind.
func (id ID) Name() string {
	for _, prefix := range []string{userPrefix, issuerPrefix, unverifiedPrefix} {
		if rest, ok := strings.CutPrefix(id.name, prefix); ok {
			return rest
		}
	}
	return id.name
}

// IsOne reports whether the caller is an account, and neither everybody nor the
// person at this machine.
func (id ID) IsOne() bool { return id != ID{} && id != Shared() && id != Local() }

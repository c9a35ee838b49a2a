// Package caller names who asks.
//
// Everything that acts for somebody takes an [ID] as an argument, from the HTTP
// handler down to the connection that is used. Only this package makes one, so
// a value of another package's cannot pose as a caller.
package caller

// ID is one caller. IDs are comparable and may be map keys. The zero ID is
// nobody.
type ID struct{ name string }

// Shared returns the one caller that all requests without an identity are:
// everybody who may use mcpo at all, together.
func Shared() ID { return ID{name: "shared"} }

// Local returns the person at this machine: the caller of requests that come
// from its loopback addresses without an identity, where callers part ways.
func Local() ID { return ID{name: "local"} }

// FromStore gives back the caller whose name String gave, for what was kept
// under it. It must not be used for what a request says.
func FromStore(name string) ID { return ID{name} }

// String names the caller in logs and stores.
func (id ID) String() string { return id.name }

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

// String names the caller in logs.
func (id ID) String() string { return id.name }

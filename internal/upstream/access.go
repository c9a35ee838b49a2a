package upstream

import (
	"net/http"
	"sync/atomic"
	"time"

	"mcpo/internal/caller"
)

// Access lets callers in at a server where each has a login of its own.
type Access struct {
	// RoundTripper sends a caller's requests with next, together with what lets
	// that caller in.
	RoundTripper func(who caller.ID, next http.RoundTripper) http.RoundTripper
	// Required reports whether an error means that the caller has to log in
	// before anything can be asked. Such a request did not run.
	Required func(error) bool
	// Learned is told, if not nil, when the catalogue has grown or changed.
	Learned func(*ToolList)
	// Idle closes a caller's connection, other than that of First, that was not
	// used for so long; 0 never does.
	Idle time.Duration
	// Retired is told, if not nil, of a caller whose connection was closed because
	// it was idle.
	Retired func(caller.ID)
	// First is whose connection is opened at the start; nobody's when zero.
	First caller.ID
}

// entrance is how one connection gets in. Its zero value is an open door.
type entrance struct {
	trip http.RoundTripper
	need func(error) bool
	// quiet connections have nothing lasting open, and look at their tools only
	// while they are used: there may be thousands.
	quiet bool
	// older is what all connections to a server know of its protocol; nil where
	// there is one connection.
	older *atomic.Bool
	// again counts connections that were opened again after a loss.
	again *atomic.Int64
}

func (e entrance) required(err error) bool { return e.need != nil && e.need(err) }

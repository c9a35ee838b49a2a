package upstream

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnknownTool says that the server has no such tool, or that the
	// configuration hides it.
	ErrUnknownTool = errors.New("no such tool")
	// ErrTimeout ends a call that took longer than its server's timeout: the tool
	// may have run or not.
	ErrTimeout = errors.New("the server did not answer in time")
	// ErrRemoved refuses calls to a server that is being taken away. They did
	// not run.
	ErrRemoved = errors.New("the server was removed from the configuration or mcpo is shutting down")
)

// errUnsent is why a call came to nothing that waited too long to be sent.
var errUnsent = errors.New("the call could not be sent in time")

// UnavailableError says that a server has no connection now, or that a call could
// not be sent over it. The call did not run.
type UnavailableError struct {
	Server string
	// State is StateStarting or StateFailed.
	State State
	// RetryAfter is when asking again may help.
	RetryAfter time.Duration
	// Err is why the last attempt failed; nil while the first one goes on.
	Err error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("server %q is still starting", e.Server)
	}
	return fmt.Sprintf("server %q is not available: %v", e.Server, e.Err)
}

// Unwrap gives the reason.
func (e *UnavailableError) Unwrap() error { return e.Err }

// LostError says that the connection broke while the call was in flight: the
// tool may have run or not.
type LostError struct {
	Server string
	Err    error
}

// Error implements error.
func (e *LostError) Error() string {
	return fmt.Sprintf("the connection to server %q was lost during the call: %v", e.Server, e.Err)
}

// Unwrap gives the reason.
func (e *LostError) Unwrap() error { return e.Err }

// Package wire speaks MCP to one server and keeps every byte of what the
// server said.
//
// The walk of a request: a [Request] carries the parameters as the bytes they
// came in; a [Conn] frames them as JSON-RPC (a line on stdio, a POST on
// streamable HTTP, a POST beside an event stream on SSE), finds the reply that
// has the request's id, and hands back the bytes of its result. Nothing between
// is decoded into Go values, so numbers, key order and unknown members survive.
//
// The package owns child processes, sockets and the JSON-RPC ids of a
// conversation. It knows nothing of callers, tools lists kept over time, or
// reconnecting: a Conn that is lost stays lost, and says why.
package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Conn is one live MCP conversation with a server. All methods may be called
// from many goroutines at once, and no call waits for another.
type Conn interface {
	// Call sends one request and waits for its reply. A JSON-RPC error of the
	// server is a Reply with Error set, not an error. When ctx ends first, the
	// server is told by notifications/cancelled and the error is ctx's cause.
	// Errors for which [NotExecuted] is true promise that the server did not
	// run the request.
	Call(ctx context.Context, req Request) (Reply, error)

	// Notify sends a message that has no reply.
	Notify(ctx context.Context, method string, params json.RawMessage) error

	// SetProtocol tells the transport which protocol version was agreed on,
	// before the first request that follows the handshake.
	SetProtocol(version string)

	// Done is closed when the conversation is lost for good; Err then says why.
	Done() <-chan struct{}
	Err() error

	// Close ends the conversation and frees all that it holds, child
	// processes with all their descendants included. It returns when that is
	// done or, at the latest, shortly after ctx ends.
	Close(ctx context.Context) error
}

// Request is one JSON-RPC request.
type Request struct {
	Method string
	// Params is a JSON object, sent byte for byte, or nil for none.
	Params json.RawMessage
	// Name is what the request acts on (the tool's name for tools/call). It
	// becomes the Mcp-Name header where the protocol version asks for it.
	Name string
	// ParamHeaders are the Mcp-Param-* headers that the tool's schema asks for.
	ParamHeaders http.Header
	// Header holds what is forwarded of the caller's own request headers.
	// Transports that have no headers per request ignore it.
	Header http.Header
}

// Reply is a server's answer: either Result or Error is set.
type Reply struct {
	// Result is the result member with the server's own bytes.
	Result json.RawMessage
	Error  *RPCError
}

// ToolFailed reports whether the result is that of a tool which failed
// (isError of CallToolResult).
func (r Reply) ToolFailed() bool {
	failed := false
	s := scanner{data: r.Result}
	s.space()
	s.object(1, func(key, value []byte) {
		if keyIs(key, "isError") {
			failed = string(value) == "true"
		}
	})
	return failed
}

// RPCError is a JSON-RPC 2.0 error object (JSON-RPC 2.0 §5.1).
type RPCError struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error implements error. Of the message it has but the beginning, as a line for
// logs: a server may write anything, and repeat what it was sent.
func (e *RPCError) Error() string {
	return fmt.Sprintf("%s (JSON-RPC %d)", Line(e.Message, lineMax), e.Code)
}

// Handler is told what a server sends unasked. Its methods must return at
// once; they are called on the goroutine that reads from the server.
type Handler struct {
	// Notification receives each notification; may be nil.
	Notification func(method string, params json.RawMessage)
	// Stderr receives each line that a child process writes to its standard
	// error, without the newline and cut to a bounded length; may be nil.
	Stderr func(line string)
}

var (
	// ErrClosed is the reason of calls on, or cut off by, a conversation that
	// this side closed.
	ErrClosed = errors.New("the connection was closed")
	// ErrSessionLost says that the server no longer knows the MCP session
	// (streamable HTTP: status 404 to a request that carried Mcp-Session-Id).
	ErrSessionLost = errors.New("the server no longer knows the MCP session")
	// ErrReplyTooLarge says that a message exceeded [MaxMessage].
	ErrReplyTooLarge = errors.New("the server's message is too large")
)

// MaxMessage is the largest single message, in bytes, that is read from a
// server. What is larger fails the call that it answers and no other.
const MaxMessage = 128 << 20

// StatusError is an HTTP answer that is no MCP reply.
type StatusError struct {
	// Code is the HTTP status, for example 403.
	Code int
	// Body is the beginning of the answer's text, at most 1 KiB, for logs.
	Body string
	// Header is the answer's header, for WWW-Authenticate and Retry-After.
	Header http.Header
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.Code, http.StatusText(e.Code))
}

// notExecuted marks an error whose request certainly did not run.
type notExecuted struct{ err error }

func (e notExecuted) Error() string { return e.err.Error() }
func (e notExecuted) Unwrap() error { return e.err }

// NotExecuted reports whether err promises that the server did not run the
// request: it was never written, the connection was refused, the MCP session
// was unknown, or the server refused it unauthorized. Only such a request may
// be sent again.
func NotExecuted(err error) bool {
	var n notExecuted
	if errors.As(err, &n) {
		return true
	}
	var other interface{ NotExecuted() bool } // of HTTPOptions.RoundTripper
	return errors.As(err, &other) && other.NotExecuted()
}

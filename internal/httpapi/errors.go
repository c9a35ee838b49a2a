package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	"mcpo/internal/limit"
	"mcpo/internal/metrics"
	"mcpo/internal/oauth"
	"mcpo/internal/openapi"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// statusClientClosed is written to the log for a call whose caller went away
// (nginx's 499); nobody reads it as an answer.
const statusClientClosed = 499

// answer is what a failed request is told: a status and a JSON body.
type answer struct {
	status     int
	detail     any // the value of the body's "detail" member
	retryAfter time.Duration
	header     http.Header // more headers, or nil
}

// message is the usual detail: a sentence that a model or a person can act on.
type message struct {
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// say makes an answer of a sentence.
func say(status int, format string, args ...any) *answer {
	return &answer{status: status, detail: message{Message: fmt.Sprintf(format, args...)}}
}

// answerOf maps an error of a call to server to its answer. This is the one
// ladder from errors to statuses.
func answerOf(err error, server, tool string) *answer {
	var (
		known       *answer
		invalid     *openapi.InvalidBody
		failed      *openapi.ToolError
		rpc         *wire.RPCError
		unavailable *upstream.UnavailableError
		lost        *upstream.LostError
		status      *wire.StatusError
		tooLarge    *http.MaxBytesError
		exceeded    *limit.ExceededError
		open        *limit.OpenError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &invalid):
		return &answer{status: http.StatusUnprocessableEntity, detail: invalid.Detail}
	case errors.As(err, &failed):
		return say(http.StatusInternalServerError, "%s", failed.Message)
	case errors.As(err, &rpc):
		return &answer{status: statusOfRPC(rpc.Code), detail: message{rpc.Message, rpc.Data}}
	case errors.As(err, &tooLarge):
		return say(http.StatusRequestEntityTooLarge,
			"The request body is larger than %d bytes. Send less, or ask the operator to raise --max-body.", tooLarge.Limit)
	case errors.As(err, &exceeded):
		return overLimit(exceeded, server)
	case errors.As(err, &open):
		return onlyFails(open, server)
	case errors.Is(err, upstream.ErrUnknownTool):
		return say(http.StatusNotFound, "Server %q has no tool %q. Its tools are listed in its openapi.json.", server, tool)
	case errors.Is(err, upstream.ErrTimeout):
		return say(http.StatusGatewayTimeout,
			"Server %q did not answer in time, and the call was cancelled. It may have taken effect; check before asking again.", server)
	case errors.Is(err, upstream.ErrRemoved):
		a := say(http.StatusServiceUnavailable, "Server %q is being shut down or was removed. Try again in a moment.", server)
		a.retryAfter = time.Second
		return a
	case oauth.StoreUnavailable(err):
		return storeUnavailable()
	case errors.As(err, &unavailable):
		return unavailableAnswer(unavailable)
	case errors.As(err, &status):
		return refusedAnswer(status, server)
	case errors.As(err, &lost):
		return say(http.StatusBadGateway,
			"The connection to server %q was lost during the call. It may have taken effect; check before asking again.", server)
	case errors.Is(err, wire.ErrReplyTooLarge):
		return say(http.StatusBadGateway, "Server %q answered with more than %d MiB, which mcpo does not pass on. Ask it for less.",
			server, wire.MaxMessage>>20)
	case errors.Is(err, context.Canceled):
		return say(statusClientClosed, "The caller went away; the call was cancelled.")
	}
	return say(http.StatusBadGateway, "The call to server %q failed: %v", server, err)
}

// measured is the word of metrics for what came of a call: by what it was
// answered, and where that leaves it open by the error.
func measured(err error, refusal *answer) metrics.Outcome {
	if refusal == nil {
		return metrics.OK
	}
	if _, failed := errors.AsType[*openapi.ToolError](err); failed {
		return metrics.ToolError
	}
	switch refusal.status {
	case http.StatusUnauthorized:
		if _, login := refusal.detail.(loginDetail); login {
			return metrics.LoginRequired
		}
		return metrics.Unauthorized
	case http.StatusForbidden:
		return metrics.Unauthorized
	case http.StatusNotFound:
		return metrics.NotFound
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		return metrics.Invalid
	case http.StatusTooManyRequests:
		return metrics.Limited
	case http.StatusServiceUnavailable:
		return metrics.Unavailable
	case http.StatusGatewayTimeout:
		return metrics.Timeout
	case statusClientClosed:
		return metrics.Canceled
	}
	return metrics.UpstreamError
}

// statusOfRPC maps JSON-RPC error codes (JSON-RPC 2.0 §5.1) as mcpo always did.
func statusOfRPC(code int64) int {
	switch code {
	case -32700, -32600:
		return http.StatusBadRequest
	case -32601:
		return http.StatusNotFound
	case -32602:
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}

// storeUnavailable is for what needs the stored logins while they cannot be
// reached.
func storeUnavailable() *answer {
	a := say(http.StatusServiceUnavailable,
		"mcpo cannot reach the database that keeps the logins now. Nothing is lost; try again in a moment, or tell the operator, whose log says why.")
	a.retryAfter = 2 * time.Second
	return a
}

func unavailableAnswer(e *upstream.UnavailableError) *answer {
	a := say(http.StatusServiceUnavailable, "Server %q is still starting. Try again in a moment.", e.Server)
	if e.State == upstream.StateFailed || e.Err != nil {
		a = say(http.StatusServiceUnavailable,
			"Server %q is not available now; mcpo keeps trying to reach it. Try again in a moment, or tell the operator, whose log says why.", e.Server)
	}
	a.retryAfter = e.RetryAfter
	return a
}

// refusedAnswer is for an upstream that answered over HTTP with something that
// is no MCP reply. Its own words stay in the log: they may hold anything.
func refusedAnswer(e *wire.StatusError, server string) *answer {
	switch e.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return say(http.StatusBadGateway,
			"Server %q refused mcpo's own credentials (status %d). The operator must give it valid ones, for example under \"headers\" in the configuration.", server, e.Code)
	case http.StatusTooManyRequests:
		a := say(http.StatusServiceUnavailable, "Server %q has too many requests now. Try again later.", server)
		a.retryAfter = retryAfterOf(e.Header)
		return a
	case http.StatusRequestEntityTooLarge:
		return say(http.StatusRequestEntityTooLarge, "Server %q refused the request because it is too large. Send less.", server)
	}
	return say(http.StatusBadGateway, "Server %q answered with status %d instead of a result. The operator's log says more.", server, e.Code)
}

// retryAfterOf reads Retry-After in seconds (RFC 9110 §10.2.3), a minute at most.
func retryAfterOf(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 1 {
		n = 1
	}
	return time.Duration(min(n, 60)) * time.Second
}

// Error makes an answer an error, so that it can rise like any other.
func (a *answer) Error() string { return fmt.Sprintf("status %d: %v", a.status, a.detail) }

// write sends the answer.
func (a *answer) write(w http.ResponseWriter) {
	body, err := json.Marshal(map[string]any{"detail": a.detail})
	if err != nil { // a detail holds strings and checked JSON only
		body = []byte(`{"detail":{"message":"The error could not be written as JSON."}}`)
	}
	h := w.Header()
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(a.retryAfter.Seconds()))))
	}
	maps.Copy(h, a.header)
	writeJSON(w, a.status, body)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) { writeBody(w, status, jsonType, body) }

func writeBody(w http.ResponseWriter, status int, contentType []string, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that went away is seen by its context
}

// These are shared by all answers; nobody changes them.
var (
	jsonType        = []string{"application/json"}
	rawResultType   = []string{rawResult}
	closeConnection = []string{"close"}
)

// reasonOf words for strangers why a server is not connected. Details, such as
// the last words of a process, are for the log only.
func reasonOf(err error) string {
	var (
		exit   *wire.ExitError
		status *wire.StatusError
		start  *exec.Error
		file   *fs.PathError
	)
	var required *oauth.LoginRequiredError
	switch {
	case errors.As(err, &required):
		return "it needs a login"
	case errors.As(err, &status) && status.Code == http.StatusUnauthorized:
		return "it wants a login; add an oauth block to its configuration"
	case errors.As(err, &exit):
		return "its process ended (" + exit.State + ")"
	case errors.As(err, &start), errors.As(err, &file):
		return "its command cannot be started"
	case errors.As(err, &status):
		return fmt.Sprintf("it answered with status %d", status.Code)
	case errors.Is(err, wire.ErrSessionLost):
		return "it ended the MCP session"
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not finish its start in time"
	}
	return "it cannot be reached"
}

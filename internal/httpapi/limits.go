package httpapi

import (
	"errors"
	"net/http"

	"mcpo/internal/caller"
	"mcpo/internal/limit"
	"mcpo/internal/openapi"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// callWithin is the call of a caller within what the server allows each. What is
// refused at once is refused before its body is read; what has to wait reads it
// meanwhile, for until then net/http does not see that a caller goes away.
func (h *Handler) callWithin(w http.ResponseWriter, r *http.Request, m *mount, who caller.ID, tool string) (body []byte, err error) {
	counted := h.countedAs(r, m, who)
	attempt, err := m.breaker.Try(counted)
	if err != nil {
		return nil, err
	}
	defer func() { attempt.End(saidBy(err)) }()
	place, err := m.limiter.Enter(counted)
	if err != nil {
		return nil, err
	}
	defer place.Leave()
	return h.callAs(w, r, m, who, tool, place)
}

// countedAs is the caller whose limits hold. At a server without logins all
// callers are one, but where a request proves whose it is, that is who is held to
// them: else one person's loop would use up what is everybody's.
func (h *Handler) countedAs(r *http.Request, m *mount, who caller.ID) caller.ID {
	if m.limiter == nil && m.breaker == nil || who != caller.Shared() || !m.identify.Configured() {
		return who
	}
	p, found, err := m.identify.Identify(r, h.key.Fits(r), h.fromThisMachine(r))
	if err != nil || !found {
		return who
	}
	return p.ID
}

// saidBy tells what the end of a call says of its server. Whatever it answers
// shows that it works; what never reached it says nothing.
func saidBy(err error) limit.Outcome {
	var (
		tool        *openapi.ToolError
		rpc         *wire.RPCError
		unavailable *upstream.UnavailableError
		status      *wire.StatusError
		lost        *upstream.LostError
	)
	switch {
	case err == nil, errors.As(err, &tool), errors.As(err, &rpc):
		return limit.Worked
	case errors.Is(err, upstream.ErrTimeout):
		return limit.Failed
	case errors.As(err, &unavailable):
		if unavailable.State == upstream.StateFailed { // then nobody waits, and mcpo finds out by itself
			return limit.Neither
		}
		return limit.Failed
	case errors.As(err, &status):
		if status.Code < http.StatusInternalServerError { // about this call, or this caller
			return limit.Neither
		}
		return limit.Failed
	case errors.As(err, &lost):
		return limit.Failed
	}
	return limit.Neither
}

// overLimit is for a call that is one too many.
func overLimit(e *limit.ExceededError, server string) *answer {
	a := say(http.StatusTooManyRequests, "You have called server %q as often as one caller may for now. Wait as long as Retry-After says, then go on more slowly; "+
		`the operator sets the pace under "limits" in the configuration.`, server)
	if e.Why == limit.TooMany {
		a = say(http.StatusTooManyRequests, "You have as many calls to server %q at once as one caller may. Wait until some have ended, or make one after the other; "+
			`the operator sets the number under "limits" in the configuration.`, server)
	}
	a.retryAfter = e.RetryAfter
	return a
}

// onlyFails is for a call to a server that only failed lately.
func onlyFails(e *limit.OpenError, server string) *answer {
	a := say(http.StatusServiceUnavailable,
		"Your last calls to server %q have all failed, so it is not asked now. Try again when Retry-After says, or tell the operator, whose log says why.", server)
	a.retryAfter = e.RetryAfter
	return a
}

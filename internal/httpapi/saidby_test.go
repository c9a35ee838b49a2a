package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"mcpo/internal/limit"
	"mcpo/internal/oauth"
	"mcpo/internal/openapi"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// TestSaidBy: what closes a server for a caller, what opens it again, and what is
// no reason for either.
func TestSaidBy(t *testing.T) {
	status := func(code int) error { return &wire.StatusError{Code: code} }
	for _, c := range []struct {
		err  error
		want limit.Outcome
	}{
		{nil, limit.Worked},
		{&openapi.ToolError{Message: "wrong"}, limit.Worked},
		{&wire.RPCError{Code: -32603}, limit.Worked},
		{upstream.ErrTimeout, limit.Failed},
		{&upstream.LostError{Err: errors.New("reset")}, limit.Failed},
		{&upstream.LostError{Err: status(http.StatusBadGateway)}, limit.Failed},
		{status(http.StatusInternalServerError), limit.Failed},
		{status(http.StatusBadGateway), limit.Failed},
		{&upstream.UnavailableError{State: upstream.StateStarting}, limit.Failed}, // after ten seconds
		{&upstream.UnavailableError{State: upstream.StateFailed, Err: errors.New("refused")}, limit.Neither},
		{status(http.StatusTooManyRequests), limit.Neither},
		{status(http.StatusUnauthorized), limit.Neither},
		{status(http.StatusRequestEntityTooLarge), limit.Neither},
		{&openapi.InvalidBody{}, limit.Neither},
		{&http.MaxBytesError{}, limit.Neither},
		{say(http.StatusRequestTimeout, "late"), limit.Neither},
		{&limit.ExceededError{}, limit.Neither},
		{&oauth.LoginRequiredError{}, limit.Neither},
		{upstream.ErrUnknownTool, limit.Neither},
		{upstream.ErrRemoved, limit.Neither},
		{wire.ErrReplyTooLarge, limit.Neither},
		{context.Canceled, limit.Neither},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("calling: %w", err)
		}
		if got := saidBy(err); got != c.want {
			t.Errorf("%v says %d, want %d", c.err, got, c.want)
		}
	}
}

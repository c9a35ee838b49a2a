package oauth

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"mcpo/internal/oauthtest"
)

// TestRefreshThatNobodyAwaits: the request of a caller who has no more time for a
// new token was not sent, and the refresh goes on.
func TestRefreshThatNobodyAwaits(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	s.Expire()
	release := s.Hold("refresh")
	defer release()
	ctx, cancel := context.WithCancelCause(testContext(t))
	defer cancel(nil)
	errNoTime := errors.New("no more time")
	go func() {
		if s.Await(ctx, "refresh", 1) == nil {
			cancel(errNoTime)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.RoundTripper(who, a.direct).RoundTrip(req)
	var failed *RenewError
	if !errors.As(err, &failed) || !failed.NotExecuted() || !errors.Is(err, errNoTime) {
		t.Errorf("%v, %v", resp, err)
	}
	release()
	works(t, a)
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

package caller

import (
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// calm keeps anybody from making mcpo ask a provider again and again: a token
// that is signed with an unknown key makes it look for new ones.
type calm struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

const (
	// burst requests go to a provider at once, and one every respite after.
	burst   = 10
	respite = 5 * time.Second
	// maxAnswer is how much of a provider's answer is read, in bytes.
	maxAnswer = 1 << 20
)

var errAskedOften = errors.New("the provider was asked often enough")

// calmed is a copy of a client whose requests are bounded.
func calmed(client *http.Client) *http.Client {
	bounded := *client
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	bounded.Transport = &calm{next, rate.NewLimiter(rate.Every(respite), burst)}
	return &bounded
}

// RoundTrip implements http.RoundTripper.
func (c *calm) RoundTrip(r *http.Request) (*http.Response, error) {
	if !c.limit.Allow() {
		return nil, errAskedOften
	}
	answer, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

package oauthtest

import (
	"context"
	"net/http"
	"net/url"
	"sync"
)

// traffic remembers what was asked for, by the name of the endpoint.
type traffic struct {
	mu     sync.Mutex
	count  map[string]int
	form   map[string]url.Values
	header map[string]http.Header
	body   map[string]string
	held   map[string]chan struct{}
	moved  chan struct{} // closed and replaced when a request arrives
}

func newTraffic() *traffic {
	return &traffic{count: map[string]int{}, form: map[string]url.Values{}, header: map[string]http.Header{},
		body: map[string]string{}, held: map[string]chan struct{}{}, moved: make(chan struct{})}
}

func (t *traffic) record(endpoint string, r *http.Request, form url.Values, body string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count[endpoint]++
	t.form[endpoint], t.header[endpoint], t.body[endpoint] = form, r.Header.Clone(), body
	close(t.moved)
	t.moved = make(chan struct{})
}

// gate answers with what to wait for before answering, nil for nothing.
func (t *traffic) gate(endpoint string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[endpoint]
}

// Requests is how many requests an endpoint has had: "metadata", "resource",
// "register", "authorize", "token" (a code was exchanged), "refresh", "revoke",
// "mcp", "login", "consent", "moved" (they followed a redirect), or "" for what is
// not there.
func (s *Server) Requests(endpoint string) int {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return s.traffic.count[endpoint]
}

// Await returns when an endpoint has had n requests, or with the error of ctx.
func (s *Server) Await(ctx context.Context, endpoint string, n int) error {
	for {
		s.traffic.mu.Lock()
		count, moved := s.traffic.count[endpoint], s.traffic.moved
		s.traffic.mu.Unlock()
		if count >= n {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// LastForm is the form, or else the query, of an endpoint's latest request.
func (s *Server) LastForm(endpoint string) url.Values {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return s.traffic.form[endpoint]
}

// LastHeader is the header of an endpoint's latest request.
func (s *Server) LastHeader(endpoint string) http.Header {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return s.traffic.header[endpoint]
}

// LastBody is the body of an endpoint's latest request, such as the JSON of a
// registration. Bodies of MCP requests are not kept.
func (s *Server) LastBody(endpoint string) string {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return s.traffic.body[endpoint]
}

// Hold lets an endpoint do its work and keeps the answers back until release.
// Requests to "mcp" are kept back before their work is done.
func (s *Server) Hold(endpoint string) (release func()) {
	gate := make(chan struct{})
	s.traffic.mu.Lock()
	s.traffic.held[endpoint] = gate
	s.traffic.mu.Unlock()
	return sync.OnceFunc(func() {
		s.traffic.mu.Lock()
		if s.traffic.held[endpoint] == gate {
			delete(s.traffic.held, endpoint)
		}
		s.traffic.mu.Unlock()
		close(gate)
	})
}

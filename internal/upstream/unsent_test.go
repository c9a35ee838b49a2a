package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/wire"
)

// noToken is why a request was not sent.
type noToken struct{ error }

func (noToken) NotExecuted() bool { return true }
func (e noToken) Unwrap() error   { return e.error }

// gatekeeper is asked before each request with a method.
type gatekeeper struct {
	next http.RoundTripper
	ask  func(ctx context.Context, method string) error
}

// RoundTrip implements http.RoundTripper.
func (k gatekeeper) RoundTrip(r *http.Request) (*http.Response, error) {
	var m struct{ Method string }
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = json.Unmarshal(body, &m)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := k.ask(r.Context(), m.Method); err != nil {
		return nil, err
	}
	return k.next.RoundTrip(r)
}

// TestUnsent: a call that never reached the server is not said to have run,
// however long it waited.
func TestUnsent(t *testing.T) {
	waits := func(ctx context.Context) error {
		<-ctx.Done()
		return noToken{context.Cause(ctx)}
	}
	for name, ask := range map[string]func(ctx context.Context, method string) error{
		"waiting for a token": func(ctx context.Context, method string) error {
			if method == "tools/call" {
				return waits(ctx)
			}
			return nil
		},
		"tokens that come too late": func(_ context.Context, method string) error {
			if method == "tools/call" {
				return noToken{fmt.Errorf("asking for a token: %w", context.DeadlineExceeded)}
			}
			return nil
		},
		"waiting for a connection": func(ctx context.Context, _ string) error { return waits(ctx) },
		"a connection that timed out": func(context.Context, string) error {
			return noToken{fmt.Errorf("dialling: %w", context.DeadlineExceeded)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuests(t)
			s := New(config.Server{Name: "guests", Transport: config.StreamableHTTP, URL: g.URL, Timeout: 50 * time.Millisecond},
				Options{Log: slog.New(slog.DiscardHandler), Identity: wire.Identity{Name: "upstream-test", Version: "1"}},
				&Access{Required: func(error) bool { return false },
					RoundTripper: func(_ caller.ID, next http.RoundTripper) http.RoundTripper { return gatekeeper{next, ask} }})
			s.Start()
			t.Cleanup(func() { s.Close(testContext(t)) })
			_, err := s.Call(testContext(t), guest(1), "t", json.RawMessage(`{}`), nil)
			var unavailable *UnavailableError
			if !errors.As(err, &unavailable) || errors.Is(err, ErrTimeout) {
				t.Errorf("error = %v, want one that says that the call did not run", err)
			}
		})
	}
}

// TestTokenForLater: the MCP session outlives a time in which there is no token
// for it, at calls and at looks at the tools.
func TestTokenForLater(t *testing.T) {
	g := newGuests(t)
	var dry atomic.Bool
	asked := make(chan string, 100)
	ask := func(_ context.Context, method string) error {
		if !dry.Load() {
			return nil
		}
		asked <- method
		return noToken{errors.New("nobody gives tokens now")}
	}
	s := New(config.Server{Name: "guests", Transport: config.StreamableHTTP, URL: g.URL},
		Options{Relist: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Identity: wire.Identity{Name: "upstream-test", Version: "1"}},
		&Access{First: guest(1), Required: func(error) bool { return false },
			RoundTripper: func(who caller.ID, next http.RoundTripper) http.RoundTripper {
				return gatekeeper{token{g, who, next}, ask}
			}})
	s.Start()
	t.Cleanup(func() { s.Close(testContext(t)) })
	asks(t, s, guest(1))
	dry.Store(true)
	_, err := s.Call(testContext(t), guest(1), "t", json.RawMessage(`{}`), nil)
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) {
		t.Errorf("without a token: %v", err)
	}
	for method, ctx := "", testContext(t); method != "tools/list"; {
		select {
		case method = <-asked:
		case <-ctx.Done():
			t.Fatal("the tools are not looked at")
		}
	}
	dry.Store(false)
	asks(t, s, guest(1))
	if n := g.count(g.opened, guest(1)); n != 1 {
		t.Errorf("the connection was opened %d times", n)
	}
}

// TestLoginAfterTrouble: a call that was held back for want of a token, and then
// because another login was made, is made with that.
func TestLoginAfterTrouble(t *testing.T) {
	g := newGuests(t)
	var s *Server
	var asked atomic.Int64
	ask := func(_ context.Context, method string) error {
		if method != "tools/call" {
			return nil
		}
		switch asked.Add(1) {
		case 1:
			return noToken{errors.New("nobody gives tokens now")}
		case 2:
			s.Wake(guest(1))
			return noToken{errors.New("another login was made")}
		}
		return nil
	}
	s = New(config.Server{Name: "guests", Transport: config.StreamableHTTP, URL: g.URL},
		Options{Log: slog.New(slog.DiscardHandler), Identity: wire.Identity{Name: "upstream-test", Version: "1"}},
		&Access{Required: func(error) bool { return false },
			RoundTripper: func(who caller.ID, next http.RoundTripper) http.RoundTripper {
				return gatekeeper{token{g, who, next}, ask}
			}})
	s.Start()
	t.Cleanup(func() { s.Close(testContext(t)) })
	asks(t, s, guest(1))
	if opened, called := g.count(g.opened, guest(1)), g.count(g.called, guest(1)); opened != 2 || called != 1 {
		t.Errorf("%d connections were opened, and the tool was called %d times", opened, called)
	}
}

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcpo/internal/config"
	"mcpo/internal/limit"
	"mcpo/internal/metrics"
	"mcpo/internal/openapi"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// TestMeasured: each way in which a call can end has its word.
func TestMeasured(t *testing.T) {
	for _, c := range []struct {
		err  error
		want metrics.Outcome
	}{
		{nil, metrics.OK},
		{&openapi.ToolError{Message: "the disk is full"}, metrics.ToolError},
		{&openapi.InvalidBody{}, metrics.Invalid},
		{&http.MaxBytesError{Limit: 1}, metrics.Invalid},
		{say(http.StatusRequestTimeout, "The request body did not arrive in time."), metrics.Invalid},
		{&answer{status: http.StatusUnauthorized, detail: loginDetail{}}, metrics.LoginRequired},
		{say(http.StatusUnauthorized, "No key."), metrics.Unauthorized},
		{say(http.StatusForbidden, "Not you."), metrics.Unauthorized},
		{upstream.ErrUnknownTool, metrics.NotFound},
		{upstream.ErrTimeout, metrics.Timeout},
		{upstream.ErrRemoved, metrics.Unavailable},
		{&upstream.UnavailableError{}, metrics.Unavailable},
		{&upstream.LostError{}, metrics.UpstreamError},
		{&wire.StatusError{Code: 500}, metrics.UpstreamError},
		{&wire.StatusError{Code: 401}, metrics.UpstreamError},
		{&wire.RPCError{Code: -32603}, metrics.UpstreamError},
		{&wire.RPCError{Code: -32602}, metrics.Invalid},
		{wire.ErrReplyTooLarge, metrics.UpstreamError},
		{&limit.ExceededError{}, metrics.Limited},
		{&limit.OpenError{}, metrics.Unavailable},
		{context.Canceled, metrics.Canceled},
		{errors.New("something new"), metrics.UpstreamError},
	} {
		err, refusal := c.err, (*answer)(nil)
		if err != nil {
			err = fmt.Errorf("further down: %w", c.err)
			refusal = answerOf(err, "s", "t")
		}
		if got := measured(err, refusal); got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
	}
}

// scrapeOf is what metrics say.
func scrapeOf(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(false, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// measuring are metrics with the server s.
func measuring(t *testing.T) *metrics.Metrics {
	t.Helper()
	m, err := metrics.New("test")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Serve([]metrics.Server{{Name: "s", State: func() metrics.State { return metrics.State{} }}}); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestTimesOfCalls: what a server takes is the server's, and what a caller takes
// to send its body nobody's.
func TestTimesOfCalls(t *testing.T) {
	m := measuring(t)
	taken := make(chan struct{})
	slow := scripted(t, "s", oneTool, func(w http.ResponseWriter, c rawCall) {
		<-taken
		c.answer(w, "result", `{"content":[]}`)
	})
	a := serve(t, setup{Options: Options{Metrics: m}, servers: []config.Server{slow}})
	body, send := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Post(a.url+"/s/t", "application/json", body)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	tick := make(chan struct{})
	go func() { // the call is seen while its body is under way
		defer close(tick)
		for !strings.Contains(scrapeOf(t, m), `mcpo_calls_in_flight{server="s"} 1`) {
			if t.Context().Err() != nil {
				return
			}
		}
	}()
	if _, err := io.WriteString(send, "{"); err != nil {
		t.Error(err)
	}
	<-tick
	_, _ = io.WriteString(send, "}")
	send.Close()
	close(taken)
	if status := <-answered; status != 200 {
		t.Errorf("the call is answered with %d", status)
	}
	got := scrapeOf(t, m)
	for _, want := range []string{
		`mcpo_calls_total{outcome="ok",server="s",tool="t"} 1`, `mcpo_calls_in_flight{server="s"} 0`,
		`mcpo_call_server_seconds_count{server="s"} 1`, `mcpo_call_own_seconds_bucket{server="s",le="1"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
}

// TestNothingIsMeasured where metrics are off: not an allocation more.
func TestNothingIsMeasured(t *testing.T) {
	r := httptest.NewRequest("POST", "/s/t", nil)
	var off *metrics.Metrics
	if n := testing.AllocsPerRun(100, func() {
		seen := off.Begin("s")
		if measuredBy(seen, r) != r || metrics.CallOf(r.Context()) != nil {
			t.Error("the call is measured")
		}
		seen.End(measured(nil, nil))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

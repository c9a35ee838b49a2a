package metrics

import (
	"context"
	"time"
)

// Outcome is what came of a call.
type Outcome string

// The outcomes of calls.
const (
	OK            Outcome = "ok"
	ToolError     Outcome = "tool_error"     // the tool itself says that it failed
	Invalid       Outcome = "invalid"        // the arguments, or how they were sent
	LoginRequired Outcome = "login_required" // the caller has to log in first
	Unauthorized  Outcome = "unauthorized"   // no key, or no proof of who calls
	NotFound      Outcome = "not_found"      // the server has no such tool
	Unavailable   Outcome = "unavailable"    // the server has no connection now
	Timeout       Outcome = "timeout"        // the server took too long
	Limited       Outcome = "limited"        // too many at once, or too fast
	UpstreamError Outcome = "upstream_error" // the server answered with no result, or the connection broke
	Canceled      Outcome = "canceled"       // the caller went away
)

// Call is one call that is being answered. A nil Call counts nothing.
type Call struct {
	of     *server
	tool   string // its label; "" for none that the server lists
	start  time.Time
	left   time.Time     // when mcpo began to wait
	server time.Duration // for which it waited for the server
	caller time.Duration // and for the caller
}

// Begin begins to measure a call to a server.
func (m *Metrics) Begin(server string) *Call {
	s := m.of(server)
	if s == nil {
		return nil
	}
	s.inFlight.Inc()
	return &Call{of: s, start: time.Now()}
}

// callKey is where a context holds its call.
type callKey struct{}

// With is ctx for a call that is measured; ctx itself where it is not.
func (c *Call) With(ctx context.Context) context.Context {
	if c == nil {
		return ctx
	}
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf is the call that ctx belongs to; nil where none is measured.
func CallOf(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// Tool says that the server lists the tool that is called.
func (c *Call) Tool(name string) {
	if c != nil {
		c.tool = c.of.label(name)
	}
}

// Waiting says that mcpo begins to wait for the server, or for the caller.
func (c *Call) Waiting() {
	if c != nil {
		c.left = time.Now()
	}
}

// Server ends a time in which mcpo was waiting for the server.
func (c *Call) Server() {
	if c != nil {
		c.server += time.Since(c.left)
	}
}

// Caller ends a time in which mcpo was waiting for the caller.
func (c *Call) Caller() {
	if c != nil {
		c.caller += time.Since(c.left)
	}
}

// End counts the call, when its answer is about to be written.
func (c *Call) End(o Outcome) {
	if c == nil {
		return
	}
	c.of.inFlight.Dec()
	if c.tool == "" {
		c.of.calls.WithLabelValues(other, string(o)).Inc()
		return
	}
	took := time.Since(c.start)
	c.of.calls.WithLabelValues(c.tool, string(o)).Inc()
	c.of.whole.WithLabelValues(c.tool).Observe(took.Seconds())
	c.of.upstream.Observe(c.server.Seconds())
	c.of.own.Observe((took - c.server - c.caller).Seconds())
}

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"mcpo/internal/config"
	"mcpo/internal/tracing"
	"mcpo/internal/wire"
)

// ask sends a tool call once. Where its context has a span it is one below that,
// and the server is told of it, in the call and in the header of its request
// (OpenTelemetry, "Semantic conventions for Model Context Protocol").
func (c *connection) ask(ctx context.Context, session *wire.Session, tool wire.Tool, args json.RawMessage, header http.Header, progress string) (wire.Reply, error) {
	ctx, span := tracing.Start(ctx, tracing.Client, "tools/call", tool.Name)
	defer span.End()
	call := wire.CallMeta{Progress: progress}
	if call.Traceparent, call.Tracestate = tracing.Parent(ctx); call.Traceparent != "" {
		header = withParent(header, call)
	}
	if span.On() {
		c.describe(span, session, tool.Name)
	}
	reply, err := session.CallTool(ctx, tool, args, header, call)
	if span.On() {
		c.outcome(span, reply, err)
	}
	return reply, err
}

// withParent is header with the span in place of one that came in it.
func withParent(header http.Header, call wire.CallMeta) http.Header {
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	header.Del("Tracestate")
	header.Set("Traceparent", call.Traceparent)
	if call.Tracestate != "" {
		header.Set("Tracestate", call.Tracestate)
	}
	return header
}

// describe says what is called. Of the MCP session nothing is told: who knows its
// id may speak in it.
func (c *connection) describe(span tracing.Span, session *wire.Session, tool string) {
	span.Text("mcp.method.name", "tools/call")
	span.Text("gen_ai.operation.name", "execute_tool")
	span.Text("gen_ai.tool.name", tool)
	span.Text("mcp.protocol.version", session.Info.Protocol)
	if c.cfg.Transport == config.Stdio {
		span.Text("network.transport", "pipe")
		return
	}
	span.Text("network.transport", "tcp")
	span.Text("network.protocol.name", "http")
	if u, err := url.Parse(c.cfg.URL); err == nil {
		span.Text("server.address", u.Hostname())
		if port, err := strconv.Atoi(u.Port()); err == nil {
			span.Number("server.port", port)
		}
	}
}

// outcome says in a word what went wrong, if anything did. The server's own words
// may hold anything.
func (c *connection) outcome(span tracing.Span, reply wire.Reply, err error) {
	switch {
	case err != nil:
		span.Fail(c.errorType(err, "connection_lost"))
	case reply.Error != nil:
		code := strconv.FormatInt(reply.Error.Code, 10)
		span.Text("rpc.response.status_code", code)
		span.Fail(code)
	case reply.ToolFailed():
		span.Fail("tool_error")
	}
}

// errorType is an error in a word for traces; other is the word for most.
func (c *connection) errorType(err error, other string) string {
	var status *wire.StatusError
	switch {
	case errors.As(err, &status):
		return strconv.Itoa(status.Code)
	case c.dial.in.required(err):
		return "login_required"
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, wire.ErrReplyTooLarge):
		return "reply_too_large"
	case errors.Is(err, ErrRemoved):
		return "removed"
	}
	return other
}

// openTraced is open. Where a call is waiting for it, it is a trace that has a
// link to the call, as the call may have gone away meanwhile.
func (c *connection) openTraced() (*wire.Session, error) {
	ctx := c.ctx
	var span tracing.Span
	if cause := c.cause.Swap(nil); cause != nil {
		ctx, span = cause.Start(ctx, "connect")
	}
	defer span.End()
	span.Text("mcpo.server", c.cfg.Name)
	session, err := c.open(ctx)
	if err != nil {
		span.Fail(c.errorType(err, "connect_failed"))
		return nil, err
	}
	c.cause.Store(nil) // of who came meanwhile; this is what they wait for
	return session, nil
}

// causedBy remembers the call for which the connection is to be opened.
func (c *connection) causedBy(ctx context.Context) {
	if cause := tracing.CauseOf(ctx); cause != nil {
		c.cause.Store(cause)
	}
}

// await is get, with a span for the wait if there is one.
func (c *connection) await(ctx context.Context) (*wire.Session, error) {
	if s := c.session.Load(); s != nil {
		return s, nil
	}
	c.causedBy(ctx)
	ctx, span := tracing.Start(ctx, tracing.Internal, "wait for connection", "")
	defer span.End()
	s, err := c.get(ctx)
	if err != nil {
		span.Fail(c.errorType(err, "unavailable"))
	}
	return s, err
}

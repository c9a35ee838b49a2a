package httpapi

import (
	"context"
	"net/http"

	"mcpo/internal/caller"
	"mcpo/internal/limit"
	"mcpo/internal/tracing"
)

// trace begins the span of a call. The path is told with names in place of the
// tool's and the server's: who calls may write anything there.
func (h *Handler) trace(r *http.Request, m *mount) (*http.Request, tracing.Span) {
	if h.opts.Tracer == nil {
		return r, tracing.Span{}
	}
	route := h.root + h.prefix + "/{server}/{tool}"
	if m.single {
		route = h.root + h.prefix + "/{tool}"
	}
	r, span := h.opts.Tracer.Request(r, route)
	span.Text("mcpo.server", m.server.Name())
	return r, span
}

// whoTraced is who, as a span.
func (h *Handler) whoTraced(r *http.Request, m *mount) (caller.Person, *answer) {
	_, span := tracing.Start(r.Context(), tracing.Internal, "identify caller", "")
	defer span.End()
	who, refused := h.who(r, m)
	if refused != nil {
		span.Fail("refused")
	}
	return who, refused
}

// waitTraced waits for a call's turn, as a span where calls have turns at all.
func waitTraced(ctx context.Context, place *limit.Place[caller.ID]) error {
	if place == nil {
		return nil
	}
	_, span := tracing.Start(ctx, tracing.Internal, "wait for turn", "")
	defer span.End()
	err := place.Wait(ctx)
	if err != nil {
		span.Fail("refused")
	}
	return err
}

// traceAnswer says in the span of a call what it is answered with. refusal is nil
// for a result.
func traceAnswer(span tracing.Span, status int, refusal *answer) {
	word := ""
	if refusal != nil {
		if login, ok := refusal.detail.(loginDetail); ok {
			word = login.Error
		}
	}
	span.Answer(tracing.Server, status, word)
}

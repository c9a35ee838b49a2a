// Package tracing tells an OpenTelemetry collector what a call spent its time
// on, as far as the standard OTEL_ variables ask for it.
//
// The walk of a span: [Tracer.Request] begins one for a request, within the trace
// that the request's traceparent names; [Start] begins one below whatever span its
// context has; [Parent] writes the context's span down for the server that is
// asked. Spans that have ended wait in a bounded queue, from which a goroutine
// sends them; when the queue is full they are dropped, so that nobody ever waits
// for a collector.
//
// Nothing is global. Without the variables there is no Tracer, no context has a
// span, and nothing here costs more than a look at the context.
//
// No span holds what came in a request or an answer, or who asked.
package tracing

import (
	"context"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Kind is the part that a span's work plays between programs.
type Kind = trace.SpanKind

// The kinds of spans that mcpo has.
const (
	Internal = trace.SpanKindInternal // work of its own
	Server   = trace.SpanKindServer   // a request that is answered
	Client   = trace.SpanKindClient   // a request that is made
)

// scope names mcpo as the maker of its spans (OpenTelemetry, "Instrumentation
// scope").
const scope = "mcpo"

// Tracer begins traces. A nil Tracer begins none.
type Tracer struct {
	provider *sdk.TracerProvider
	exporter *exporter
}

// Request begins the span of a request, in the caller's trace if the request has
// a valid traceparent (W3C Trace Context §3.2), and gives the request with the
// span in its context. route is the path with names in place of what varies.
func (t *Tracer) Request(r *http.Request, route string) (*http.Request, Span) {
	if t == nil {
		return r, Span{}
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.provider.Tracer(scope).Start(ctx, r.Method+" "+route, trace.WithSpanKind(Server),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route)))
	return r.WithContext(ctx), Span{span}
}

// Start begins a span below that of ctx. Where ctx has none there is nothing to
// begin. The name is what is done, and to what, if there is a target; neither may
// be a caller's own text.
func Start(ctx context.Context, kind Kind, name, target string) (context.Context, Span) {
	above := trace.SpanFromContext(ctx)
	if !above.SpanContext().IsValid() {
		return ctx, Span{}
	}
	if target != "" {
		name += " " + target
	}
	ctx, span := above.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Cause is a span that has others do something which it does not end with.
type Cause struct {
	span     trace.SpanContext
	provider trace.TracerProvider
}

// CauseOf is the span of ctx, nil where there is none that anybody sees.
func CauseOf(ctx context.Context) *Cause {
	span := trace.SpanFromContext(ctx)
	if !span.SpanContext().IsSampled() {
		return nil
	}
	return &Cause{span.SpanContext(), span.TracerProvider()}
}

// Start begins a trace that has a link to its cause.
func (c *Cause) Start(ctx context.Context, name string) (context.Context, Span) {
	ctx, span := c.provider.Tracer(scope).Start(ctx, name, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: c.span}))
	return ctx, Span{span}
}

// Parent writes the span of ctx down, for who does what comes next (W3C Trace
// Context §3.2, §3.3). Both are "" without a span, and state often is.
func Parent(ctx context.Context) (traceparent, state string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	written := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, written)
	return written["traceparent"], written["tracestate"]
}

// IDs name the trace and the span of ctx, in hexadecimal digits; both are ""
// without a span.
func IDs(ctx context.Context) (traceID, spanID string) {
	at := trace.SpanContextFromContext(ctx)
	if !at.IsValid() {
		return "", ""
	}
	return at.TraceID().String(), at.SpanID().String()
}

// Span is work in progress. All that is said to the zero Span is lost.
type Span struct{ span trace.Span }

// On reports whether anybody will read what is said to the span.
func (s Span) On() bool { return s.span != nil && s.span.IsRecording() }

// Text says something in words that are mcpo's or the operator's own.
func (s Span) Text(key, value string) {
	if s.On() {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Number says a number.
func (s Span) Number(key string, value int) {
	if s.On() {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// Fail says that the work came to nothing, in one of few words
// (error.type of the semantic conventions).
func (s Span) Fail(kind string) {
	if s.On() {
		s.span.SetAttributes(attribute.String("error.type", kind))
		s.span.SetStatus(codes.Error, "")
	}
}

// Answer says what the request of a Server or Client span was answered with
// (OpenTelemetry, "Semantic conventions for HTTP spans"). kind is its error.type,
// or "" for the status itself. Whose fault a status of 4xx is depends on the side.
func (s Span) Answer(kind Kind, status int, errorType string) {
	s.Number("http.response.status_code", status)
	if !s.On() || status < 400 {
		return
	}
	if errorType == "" {
		errorType = strconv.Itoa(status)
	}
	if status >= 500 || kind == Client {
		s.Fail(errorType)
		return
	}
	s.Text("error.type", errorType)
}

// End ends the work.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

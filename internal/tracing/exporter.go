package tracing

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// pause is the least time between two lines about a collector that cannot be
// reached.
const pause = time.Minute

// exporter sends spans. It keeps its troubles to itself, but for a line in the
// log now and then, and can be cut off.
type exporter struct {
	to   sdk.SpanExporter
	log  *slog.Logger
	over context.Context // when nothing is waited for any more
	cut  context.CancelFunc
	gone chan struct{} // closed when the last export is over

	mu   sync.Mutex
	told time.Time
	lost int // spans, since a line told of them
}

func newExporter(to sdk.SpanExporter, log *slog.Logger) *exporter {
	e := &exporter{to: to, log: log, gone: make(chan struct{})}
	e.over, e.cut = context.WithCancel(context.Background())
	return e
}

// ExportSpans implements sdk.SpanExporter. Its error is nil always: the SDK would
// print it where nobody asked for it.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.over, cancel)()
	if err := e.to.ExportSpans(ctx, spans); err != nil {
		e.tell(err, len(spans))
	}
	return nil
}

// tell writes a line, if there was none lately.
func (e *exporter) tell(err error, spans int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += spans
	if e.over.Err() != nil || !e.told.IsZero() && time.Since(e.told) < pause {
		return
	}
	e.log.Warn("traces cannot be sent, and are lost until they can", "spans", e.lost, "error", short(withoutPath(err.Error())))
	e.told, e.lost = time.Now(), 0
}

// withoutPath takes the path of the collector's address out of a text: with some
// services it is the key.
func withoutPath(text string) string {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		u, err := url.Parse(value(name))
		if err != nil {
			continue
		}
		for _, path := range []string{strings.Trim(u.EscapedPath(), "/"), strings.Trim(u.Path, "/")} {
			if path != "" {
				text = strings.ReplaceAll(text, path, "…")
			}
		}
	}
	return text
}

// shortMax bounds what is logged of an error: a collector may write anything.
const shortMax = 300

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > shortMax {
		text = strings.ToValidUTF8(text[:shortMax], "") + "…"
	}
	return text
}

// Shutdown implements sdk.SpanExporter. The SDK calls it when all exports are over.
func (e *exporter) Shutdown(ctx context.Context) error {
	defer close(e.gone)
	return e.to.Shutdown(ctx)
}

// end cuts off what is still being sent, and waits until it is gone, for so long
// at most.
func (e *exporter) end(long time.Duration) {
	e.cut()
	late := time.NewTimer(long)
	defer late.Stop()
	select {
	case <-e.gone:
	case <-late.C:
	}
}

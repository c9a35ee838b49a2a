package tracing

import "context"

// Flush sends all spans that have ended.
func Flush(ctx context.Context, t *Tracer) error { return t.provider.ForceFlush(ctx) }

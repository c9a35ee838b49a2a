package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Open makes the Tracer that the environment's OTEL_ variables ask for, which is
// nil where they ask for none. It connects to nothing yet. build is mcpo's own
// version. Errors say which variable is wrong, and what to write.
func Open(build string, log *slog.Logger) (*Tracer, error) {
	if on, err := wanted(); err != nil || !on {
		return nil, err
	}
	if err := check(); err != nil {
		return nil, err
	}
	about, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", "mcpo"), attribute.String("service.version", build)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	sender, err := otlptrace.New(context.Background(), newSender())
	if err != nil {
		return nil, fmt.Errorf("preparing to send traces: %w (the OTEL_EXPORTER_OTLP_ variables say where to and how)", err)
	}
	e := newExporter(sender, log)
	return &Tracer{provider: sdk.NewTracerProvider(sdk.WithBatcher(e), sdk.WithResource(about)), exporter: e}, nil
}

// newSender speaks the protocol that is asked for, to where the SDK reads in the
// variables. Without an address that is this machine, without TLS (OpenTelemetry
// Protocol Exporter, "Configuration Options"), where the SDK would want TLS.
func newSender() otlptrace.Client {
	here := value("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == ""
	switch {
	case protocol() == protocolGRPC && here:
		return otlptracegrpc.NewClient(otlptracegrpc.WithInsecure())
	case protocol() == protocolGRPC:
		return otlptracegrpc.NewClient()
	case here:
		return otlptracehttp.NewClient(otlptracehttp.WithInsecure())
	}
	return otlptracehttp.NewClient()
}

const (
	flushTime = 3 * time.Second // for what a stop still has to send
	endTime   = time.Second     // for an export that was cut off, to end
)

// Close sends what is left, for three seconds at most, and frees all that the
// Tracer holds. Spans that end later are lost.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		t.exporter.log.Warn("the last spans could not be sent in time and are lost")
	}
	t.exporter.end(endTime)
}

// wanted reports whether the environment asks for traces at all.
func wanted() (bool, error) {
	if strings.EqualFold(value("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch name := value("OTEL_TRACES_EXPORTER"); name {
	case "none":
		return false, nil
	case "otlp":
		return true, nil
	case "":
		return value("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "", nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q, and mcpo sends traces by OTLP only; write otlp, or none to send no traces", name)
	}
}

// value is the last of the variables that is set; "" is none, as an empty
// variable is not set (OpenTelemetry, "Environment Variable Specification").
func value(names ...string) (last string) {
	for _, name := range names {
		if v := strings.TrimSpace(os.Getenv(name)); v != "" {
			last = v
		}
	}
	return last
}

package tracing_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mcpo/internal/tracetest"
	"mcpo/internal/tracing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open opens a Tracer with the variables, "NAME=VALUE" each.
func open(t *testing.T, variables ...string) (*tracing.Tracer, *lines, error) {
	t.Helper()
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	said := &lines{}
	tracer, err := tracing.Open("1.2.3", slog.New(slog.NewTextHandler(said, nil)))
	return tracer, said, err
}

func mustOpen(t *testing.T, variables ...string) (*tracing.Tracer, *lines) {
	t.Helper()
	tracer, said, err := open(t, variables...)
	if err != nil || tracer == nil {
		t.Fatalf("Open = %v, %v", tracer, err)
	}
	t.Cleanup(tracer.Close)
	return tracer, said
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	callers = "00-" + traceID + "-00f067aa0ba902b7-01"
)

// work is a request with a step in it, and gives what the step would tell a server.
func work(tracer *tracing.Tracer, headers ...string) (traceparent, state string) {
	r := httptest.NewRequest("POST", "/s/t?key=secret", strings.NewReader("{}"))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	r, span := tracer.Request(r, "/{server}/{tool}")
	defer span.End()
	ctx, step := tracing.Start(r.Context(), tracing.Client, "tools/call", "echo")
	defer step.End()
	step.Fail("timeout")
	span.Answer(tracing.Server, 504, "")
	return tracing.Parent(ctx)
}

func TestSpans(t *testing.T) {
	for protocol, start := range map[string]func(testing.TB) *tracetest.Collector{"http/protobuf": tracetest.Start, "grpc": tracetest.StartGRPC} {
		t.Run(protocol, func(t *testing.T) {
			c := start(t)
			tracer, said := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol,
				"OTEL_EXPORTER_OTLP_HEADERS=x-key=a%20b", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
			parent, state := work(tracer, "Traceparent", callers, "Tracestate", "a=1", "Baggage", "user=alice")
			tracer.Close()
			request, call := c.Await(t.Context(), t, tracetest.Named("POST /{server}/{tool}")), c.Await(t.Context(), t, tracetest.Named("tools/call echo"))
			want := []tracetest.Span{
				{Trace: traceID, ID: call.ID, Parent: request.ID, State: "a=1", Name: "tools/call echo", Kind: "CLIENT", Error: true,
					Attributes: map[string]string{"error.type": "timeout"}},
				{Trace: traceID, ID: request.ID, Parent: "00f067aa0ba902b7", State: "a=1", Name: "POST /{server}/{tool}", Kind: "SERVER", Error: true,
					Attributes: map[string]string{"http.request.method": "POST", "http.route": "/{server}/{tool}", "http.response.status_code": "504", "error.type": "504"}},
			}
			if diff := cmp.Diff(want, c.Spans()); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
			if parent != "00-"+traceID+"-"+call.ID+"-01" || state != "a=1" {
				t.Errorf("the server would be told %q and %q", parent, state)
			}
			about := c.Resource()
			if about["service.name"] != "mcpo" || about["service.version"] != "1.2.3" || about["deployment.environment.name"] != "test" {
				t.Errorf("the resource is %v", about)
			}
			if got := c.Header().Get("X-Key"); got != "a b" {
				t.Errorf("the collector was sent the header %q", got)
			}
			for _, secret := range []string{"secret", "alice"} {
				if strings.Contains(c.Raw(), secret) {
					t.Errorf("the collector was told %q", secret)
				}
			}
			if said.String() != "" {
				t.Errorf("the log says %s", said)
			}
		})
	}
}

// TestWhoSamples: the caller's word counts, as the SDK's own sampler has it, and
// the server hears the same.
func TestWhoSamples(t *testing.T) {
	for _, c := range []struct {
		sampler, traceparent string
		flags                string
		spans                int
	}{
		{"", callers, "-01", 2},
		{"", strings.TrimSuffix(callers, "1") + "0", "-00", 0},
		{"", "", "-01", 2},
		{"always_off", callers, "-00", 0},
		{"always_on", strings.TrimSuffix(callers, "1") + "0", "-01", 2},
		{"parentbased_always_off", "", "-00", 0},
	} {
		t.Run(c.sampler+" "+c.traceparent, func(t *testing.T) {
			at := tracetest.Start(t)
			tracer, _ := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+at.URL, "OTEL_TRACES_SAMPLER="+c.sampler)
			parent, _ := work(tracer, "Traceparent", c.traceparent)
			tracer.Close()
			if got := len(at.Spans()); got != c.spans || !strings.HasSuffix(parent, c.flags) {
				t.Errorf("%d spans were sent, and the server would be told %q; want %d and %s", got, parent, c.spans, c.flags)
			}
			if c.traceparent != "" && !strings.Contains(parent, traceID) {
				t.Errorf("the trace of the caller ended: %q", parent)
			}
		})
	}
}

func TestMalformedParentsAreIgnored(t *testing.T) {
	at := tracetest.Start(t)
	tracer, _ := mustOpen(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+at.URL+"/v1/traces")
	for _, bad := range []string{
		"", "x", traceID, "00-" + traceID, "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "00-" + traceID + "-0000000000000000-01",
		strings.ToUpper(callers), callers + "-x", "ff" + callers[2:], callers[:54] + "zz", strings.Repeat(callers, 1000), "00-" + traceID + "-00f067aa0ba902b7-01\x00",
	} {
		parent, state := work(tracer, "Traceparent", bad, "Tracestate", "a=1")
		if strings.Contains(strings.ToLower(parent), traceID) || parent == "" || state != "" {
			t.Errorf("after %.80q the server would be told %q and %q", bad, parent, state)
		}
	}
	tracer.Close()
	for _, s := range at.Spans() {
		if s.Kind == "SERVER" && s.Parent != "" {
			t.Errorf("a trace began within %s", s.Parent)
		}
	}
}

func TestCause(t *testing.T) {
	at := tracetest.Start(t)
	tracer, _ := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+at.URL)
	r, span := tracer.Request(httptest.NewRequest("POST", "/", nil), "/{server}/{tool}")
	cause := tracing.CauseOf(r.Context())
	span.End()
	ctx, later := cause.Start(context.Background(), "connect")
	_, within := tracing.Start(ctx, tracing.Internal, "get token", "")
	within.End()
	later.End()
	tracer.Close()
	request, connect, token := at.Await(t.Context(), t, tracetest.Named("POST /{server}/{tool}")), at.Await(t.Context(), t, tracetest.Named("connect")), at.Await(t.Context(), t, tracetest.Named("get token"))
	if connect.Trace == request.Trace || connect.Parent != "" || !cmp.Equal(connect.Links, []string{request.ID}) || token.Parent != connect.ID {
		t.Errorf("the request is %+v, what it caused is %+v with %+v", request, connect, token)
	}
}

// TestAnswers: what is a caller's own fault is none of the server's.
func TestAnswers(t *testing.T) {
	at := tracetest.Start(t)
	tracer, _ := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+at.URL)
	for _, c := range []struct {
		kind      tracing.Kind
		status    int
		word      string
		wantError bool
		wantType  string
	}{
		{tracing.Server, 200, "", false, ""}, {tracing.Server, 401, "token_expired", false, "token_expired"}, {tracing.Server, 404, "", false, "404"},
		{tracing.Server, 502, "", true, "502"}, {tracing.Client, 400, "", true, "400"}, {tracing.Client, 302, "", false, ""},
	} {
		before := len(at.Spans())
		_, span := tracer.Request(httptest.NewRequest("POST", "/", nil), "/{tool}")
		span.Answer(c.kind, c.status, c.word)
		span.End()
		if err := tracing.Flush(t.Context(), tracer); err != nil {
			t.Fatal(err)
		}
		got := at.Spans()[before]
		if got.Error != c.wantError || got.Attributes["error.type"] != c.wantType {
			t.Errorf("a span of kind %v with the status %d is %+v", c.kind, c.status, got)
		}
	}
}

// TestNothingWithoutATracer: what is not asked for costs nothing, not even memory.
func TestNothingWithoutATracer(t *testing.T) {
	r := httptest.NewRequest("POST", "/s/t", nil)
	r.Header.Set("Traceparent", callers)
	var none *tracing.Tracer
	allocated := testing.AllocsPerRun(100, func() {
		same, span := none.Request(r, "/{server}/{tool}")
		ctx, step := tracing.Start(same.Context(), tracing.Client, "tools/call", "echo")
		step.Text("gen_ai.tool.name", "echo")
		step.Number("server.port", 80)
		step.Fail("timeout")
		step.End()
		span.Answer(tracing.Server, 500, "x")
		span.End()
		if parent, state := tracing.Parent(ctx); parent != "" || state != "" || tracing.CauseOf(ctx) != nil || same != r {
			t.Error("there is a trace")
		}
		if trace, _ := tracing.IDs(ctx); trace != "" {
			t.Error("there is a trace to be logged")
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations, want none", allocated)
	}
	none.Close()
}

// FuzzRequest: whatever a caller sends, the server is told of a well-formed span.
func FuzzRequest(f *testing.F) {
	f.Add(callers, "a=1,b=2")
	f.Add(strings.ToUpper(callers), "a=\"\\")
	f.Add("00-"+traceID, strings.Repeat("a=1,", 100))
	f.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	f.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	tracer, err := tracing.Open("1", slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(tracer.Close)
	form := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$`)
	f.Fuzz(func(t *testing.T, traceparent, state string) {
		parent, told := work(tracer, "Traceparent", traceparent, "Tracestate", state)
		if !form.MatchString(parent) || strings.ContainsFunc(told, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("after %q and %q the server would be told %q and %q", traceparent, state, parent, told)
		}
	})
}

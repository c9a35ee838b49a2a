package tracing_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/tracetest"
)

func TestOffUntilAskedFor(t *testing.T) {
	const at = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
	for _, c := range []struct {
		variables []string
		on        bool
	}{
		{nil, false},
		{[]string{"OTEL_SERVICE_NAME=x", "OTEL_TRACES_SAMPLER=always_on"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT= "}, false},
		{[]string{at}, true},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector.example.com/v1/traces"}, true},
		{[]string{"OTEL_TRACES_EXPORTER=otlp"}, true},
		{[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, true},
		{[]string{at, "OTEL_TRACES_EXPORTER=none"}, false},
		{[]string{at, "OTEL_SDK_DISABLED=TRUE"}, false},
		{[]string{at, "OTEL_SDK_DISABLED=false"}, true},
		{[]string{at, "OTEL_SDK_DISABLED=true", "OTEL_BSP_MAX_QUEUE_SIZE=x"}, false}, // nobody reads the rest
	} {
		t.Run(strings.Join(c.variables, " "), func(t *testing.T) {
			tracer, _, err := open(t, c.variables...)
			if err != nil || (tracer != nil) != c.on {
				t.Errorf("Open = %v, %v, want a tracer: %v", tracer, err, c.on)
			}
			tracer.Close()
		})
	}
}

// TestRefusals: each names the variable, and none repeats what may be secret.
func TestRefusals(t *testing.T) {
	const secret = "swordfish"
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ variable, want string }{
		{"OTEL_TRACES_EXPORTER=zipkin", "write otlp, or none"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=thrift", "write http/protobuf or http/json or grpc"},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317", "write for example http://localhost:4318"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http:// " + secret, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_HEADERS=authorization: " + secret, "NAME=VALUE"},
		{"OTEL_EXPORTER_OTLP_HEADERS=a b=" + secret, "NAME=VALUE"},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS=a=%zz" + secret, "%25"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=10s", "whole number"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION=zstd", "gzip or none"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/there/is/nothing", "/there/is/nothing"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + garbage, "no certificate"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY=" + garbage, "belong together"},
		{"OTEL_RESOURCE_ATTRIBUTES=" + secret, "NAME=VALUE"},
		{"OTEL_TRACES_SAMPLER=most", "parentbased_traceidratio"},
		{"OTEL_TRACES_SAMPLER_ARG=2", "from 0 to 1"},
		{"OTEL_TRACES_SAMPLER_ARG=NaN", "from 0 to 1"},
		{"OTEL_BSP_MAX_QUEUE_SIZE=-1", "from 1 on"},
		{"OTEL_BSP_SCHEDULE_DELAY=soon", "whole number"},
	} {
		t.Run(c.variable, func(t *testing.T) {
			tracer, said, err := open(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", c.variable)
			if err == nil {
				tracer.Close()
				t.Fatal("it is taken")
			}
			name, _, _ := strings.Cut(c.variable, "=")
			if text := err.Error(); !strings.Contains(text, name) || !strings.Contains(text, c.want) || strings.Contains(text+said.String(), secret) {
				t.Errorf("Open says %s", text)
			}
		})
	}
}

// TestCollectorThatIsNotThere: a line says so, once, and nobody waits.
func TestCollectorThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + listener.Addr().String()
	listener.Close()
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			tracer, said := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+nobody, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol,
				"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1", "OTEL_EXPORTER_OTLP_TIMEOUT=100")
			for range 20 {
				work(tracer)
			}
			tracer.Close()
			if n := strings.Count(said.String(), "traces cannot be sent"); n > 1 {
				t.Errorf("%d lines in the log: %s", n, said)
			}
			if protocol != "grpc" && !strings.Contains(said.String(), "traces cannot be sent") {
				t.Errorf("the log says nothing of it: %s", said)
			}
		})
	}
}

// TestCollectorThatHangs: spans beyond the queue are dropped, and the end comes
// within the few seconds that it may take, without anything left behind.
func TestCollectorThatHangs(t *testing.T) {
	arrived, release := make(chan struct{}, 1000), make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(release)
	tracer, said := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+hanging.URL, "OTEL_BSP_MAX_QUEUE_SIZE=8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2")
	for range 1000 { // they would take hours if one of them waited
		work(tracer)
	}
	<-arrived
	start := time.Now()
	tracer.Close()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("closing took %v", took)
	}
	if !strings.Contains(said.String(), "could not be sent in time") {
		t.Errorf("the log says %s", said)
	}
}

func TestCollectorThatRefuses(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "go away\nlevel=ERROR msg=forged "+strings.Repeat("x", 10_000), http.StatusForbidden)
	}))
	defer refusing.Close()
	tracer, said := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+refusing.URL+"/a/swordfish")
	work(tracer)
	tracer.Close()
	if text := said.String(); strings.Count(text, "\n") != 1 || strings.Contains(text, "swordfish") || !strings.Contains(text, "go away") || len(text) > 1000 {
		t.Errorf("the log says %s", text)
	}
}

// TestTLS: a collector with a certificate of the operator's own, which counts for
// nothing else.
func TestTLS(t *testing.T) {
	at, certificate := tracetest.StartTLS(t)
	tracer, said := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+at.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE="+certificate)
	work(tracer)
	tracer.Close()
	if got := len(at.Spans()); got != 2 {
		t.Errorf("%d spans came: %s", got, said)
	}
	stranger, said := mustOpen(t, "OTEL_EXPORTER_OTLP_CERTIFICATE=")
	work(stranger)
	stranger.Close()
	if got := len(at.Spans()); got != 2 || !strings.Contains(said.String(), "certificate") {
		t.Errorf("%d spans came without the certificate: %s", got, said)
	}
	if tracer, _, err := open(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_CERTIFICATE="+certificate); err == nil {
		tracer.Close()
		t.Error("a certificate for a collector without TLS is taken")
	}
}

func TestJSON(t *testing.T) {
	types := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { types <- r.Header.Get("Content-Type") }))
	defer s.Close()
	tracer, _ := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json")
	work(tracer)
	tracer.Close()
	if got := <-types; got != "application/json" {
		t.Errorf("spans came as %q", got)
	}
}

func TestServiceName(t *testing.T) {
	at := tracetest.Start(t)
	tracer, _ := mustOpen(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+at.URL, "OTEL_SERVICE_NAME=tools", "OTEL_RESOURCE_ATTRIBUTES=service.version=9,a=b%2Cc")
	work(tracer)
	tracer.Close()
	if about := at.Resource(); about["service.name"] != "tools" || about["service.version"] != "9" || about["a"] != "b,c" {
		t.Errorf("the resource is %v", about)
	}
}

// Package tracetest is a collector of traces for tests.
//
// The walk of a span: an exporter sends it (OTLP/HTTP or OTLP/gRPC, protobuf) → it
// is decoded, and kept as it came and in few words → the test that awaits it is
// woken.
//
// It is imported by tests only.
package tracetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Collector receives spans at URL, which is a base for /v1/traces.
type Collector struct {
	URL string

	mu       sync.Mutex
	spans    []Span
	raw      bytes.Buffer
	header   http.Header
	resource map[string]string
	news     chan struct{} // closed and replaced when spans arrive
}

// Span is what a test wants to know of a span. Ids are hexadecimal digits.
type Span struct {
	Trace, ID, Parent, State string
	Name, Kind               string // Kind is INTERNAL, SERVER or CLIENT
	Error                    bool
	Attributes               map[string]string
	Links                    []string // ids of spans
}

// Start starts a collector for a test.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{news: make(chan struct{})}
	s := httptest.NewServer(c)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	c.URL = s.URL
	return c
}

// StartTLS is Start with a certificate, which it writes to a file in PEM.
func StartTLS(t testing.TB) (c *Collector, certificate string) {
	t.Helper()
	c = &Collector{news: make(chan struct{})}
	s := httptest.NewUnstartedServer(c)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who do not know the certificate
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	c.URL, certificate = s.URL, filepath.Join(t.TempDir(), "collector.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(certificate, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return c, certificate
}

// StartGRPC is Start for OTLP/gRPC.
func StartGRPC(t testing.TB) *Collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{URL: "http://" + listener.Addr().String(), news: make(chan struct{})}
	s := grpc.NewServer()
	collector.RegisterTraceServiceServer(s, grpcService{to: c})
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(listener) })
	t.Cleanup(func() {
		s.Stop()
		serving.Wait()
	})
	return c
}

type grpcService struct {
	collector.UnimplementedTraceServiceServer
	to *Collector
}

// Export implements collector.TraceServiceServer.
func (s grpcService) Export(ctx context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	body, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	sent, _ := metadata.FromIncomingContext(ctx)
	for name, values := range sent {
		header[http.CanonicalHeaderKey(name)] = values
	}
	s.to.take(header, body, request)
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP takes spans (OpenTelemetry Protocol, "OTLP/HTTP").
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := read(r)
	var request collector.ExportTraceServiceRequest
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" ||
		r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &request) != nil {
		http.Error(w, "no spans in protobuf", http.StatusBadRequest)
		return
	}
	c.take(r.Header, body, &request)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func read(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	unzipped, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unzipped)
}

func (c *Collector) take(header http.Header, body []byte, request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = header.Clone()
	c.raw.Write(body)
	for _, resource := range request.GetResourceSpans() {
		c.resource = attributes(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span(s))
			}
		}
	}
	close(c.news)
	c.news = make(chan struct{})
}

func span(s *tracev1.Span) Span {
	seen := Span{
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		State: s.GetTraceState(), Name: s.GetName(), Kind: strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"),
		Error: s.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR, Attributes: attributes(s.GetAttributes()),
	}
	for _, link := range s.GetLinks() {
		seen.Links = append(seen.Links, hex.EncodeToString(link.GetSpanId()))
	}
	return seen
}

func attributes(all []*commonv1.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		switch v := a.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			m[a.GetKey()] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			m[a.GetKey()] = fmt.Sprint(v.IntValue)
		default:
			m[a.GetKey()] = a.GetValue().String()
		}
	}
	return m
}

// Spans are all that have arrived.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Raw is every byte of every message, decompressed.
func (c *Collector) Raw() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

// Header is that of the latest message.
func (c *Collector) Header() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header
}

// Resource is what the latest message says of its sender.
func (c *Collector) Resource() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource
}

// Await waits until a span has arrived for which is holds, and gives the latest.
func (c *Collector) Await(ctx context.Context, t testing.TB, is func(Span) bool) Span {
	t.Helper()
	for {
		c.mu.Lock()
		spans, news := c.spans, c.news
		c.mu.Unlock()
		for _, s := range slices.Backward(spans) {
			if is(s) {
				return s
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatalf("the span never arrived; there are: %+v", spans)
		}
	}
}

// Named holds for spans of that name.
func Named(name string) func(Span) bool { return func(s Span) bool { return s.Name == name } }

// Tree writes down what is below a span, a name on a line, in the order of their
// ends, with two spaces before what is below another, and error.type behind what
// failed.
func (c *Collector) Tree(root Span) string {
	return tree(c.Spans(), root, "")
}

func tree(spans []Span, at Span, indent string) string {
	line := indent + at.Name
	if word := at.Attributes["error.type"]; word != "" {
		line += ": " + word
	}
	line += "\n"
	for _, s := range spans {
		if s.Trace == at.Trace && s.Parent == at.ID {
			line += tree(spans, s, indent+"  ")
		}
	}
	return line
}

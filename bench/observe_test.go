//go:build linux

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestSink counts calls by the spans that stand for them, not all spans.
func TestSink(t *testing.T) {
	span := func(kind tracev1.Span_SpanKind) *tracev1.Span { return &tracev1.Span{Kind: kind} }
	body, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{{ScopeSpans: []*tracev1.ScopeSpans{
		{Spans: []*tracev1.Span{span(tracev1.Span_SPAN_KIND_SERVER), span(tracev1.Span_SPAN_KIND_CLIENT)}},
		{Spans: []*tracev1.Span{span(tracev1.Span_SPAN_KIND_SERVER), span(tracev1.Span_SPAN_KIND_INTERNAL)}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	for _, sent := range []struct {
		body   []byte
		status int
	}{{body, http.StatusOK}, {[]byte("no spans"), http.StatusBadRequest}} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(sent.body)))
		if w.Code != sent.status {
			t.Errorf("%q is answered %d, want %d", sent.body, w.Code, sent.status)
		}
	}
	if n := s.calls.Load(); n != 2 {
		t.Errorf("counted %d calls, want 2", n)
	}
}

// TestSampleOf sums up what several did, one of them nothing.
func TestSampleOf(t *testing.T) {
	got := sampleOf([][]time.Duration{{3, 1}, nil, {2}}, 2*time.Second)
	if got.calls != 3 || got.p50 != 2 || got.p99 != 3 || got.perSecond() != 1.5 {
		t.Errorf("got %+v", got)
	}
	if got := sampleOf(nil, time.Second); got.calls != 0 || got.p50 != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

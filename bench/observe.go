//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The ways to look at mcpo from outside, which cost something with each call.
const (
	unseen  = "unseen"
	metered = "metrics"
	traced  = "traces"
	sampled = "traces of one call in ten"
)

// traceRest is a rest after each load, in which traces are sent that still wait.
// Sending them is a part of what they cost.
const traceRest = 300 * time.Millisecond

// sink takes traces as a collector does (OTLP/HTTP) and counts whole calls.
type sink struct {
	url   string
	http  *http.Server
	calls atomic.Int64
}

func newSink() (*sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for traces: %w", err)
	}
	s := &sink{url: "http://" + ln.Addr().String()}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(ln) }() // it ends with Close
	return s, nil
}

// ServeHTTP counts the spans that stand for a request to mcpo.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				if span.GetKind() == tracev1.Span_SPAN_KIND_SERVER {
					s.calls.Add(1)
				}
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// watched starts mcpo before a server, looked at in one of the ways.
func (b *bench) watched(way, url string, to *sink) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	command := b.peers.mcpo(ours, addr)
	var env []string
	switch way {
	case metered:
		metrics, err := freeAddr()
		if err != nil {
			return nil, err
		}
		command = append(command, "--metrics-addr", metrics)
	case traced, sampled:
		env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + to.url, fmt.Sprint("OTEL_BSP_SCHEDULE_DELAY=", (traceRest / 3).Milliseconds())}
		if way == sampled {
			env = append(env, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1")
		}
	}
	p, err := start(b.peers.dir, addr, env, append(command, "--server-type", "streamable-http", "--", url)...)
	if err != nil {
		return nil, err
	}
	if err := p.ready("/echo", `{"message":"ready?"}`); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// observeFigures measure the same load before mcpos that are looked at in
// different ways, A B C D D C B A.
func (b *bench) observeFigures() error {
	to := map[string]*sink{}
	for _, way := range []string{traced, sampled} {
		s, err := newSink()
		if err != nil {
			return err
		}
		defer s.http.Close()
		to[way] = s
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	server, err := start(b.peers.dir, addr, nil, b.peers.built("upstream"), "-listen", addr)
	if err != nil {
		return err
	}
	defer server.stop()
	if err := server.listening(); err != nil {
		return err
	}
	ways := []string{unseen, metered, traced, sampled}
	running := map[string]*process{}
	for _, way := range ways {
		if running[way], err = b.watched(way, "http://"+addr+"/mcp", to[way]); err != nil {
			return err
		}
		defer running[way].stop()
	}
	for _, connections := range []int{1, 16} {
		if err := b.lookAt(ways, running, to[traced], connections); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) lookAt(ways []string, running map[string]*process, to *sink, connections int) error {
	small := sizes()[0]
	l := load{path: small.path, body: small.body, connections: connections, duration: b.duration / 4}
	got := map[string][]sample{}
	sent, before := 0, to.calls.Load()
	for round := range 4*b.rounds + 1 {
		slices.Reverse(ways)
		for _, way := range ways {
			s, err := running[way].measureWithRest(l)
			if err != nil {
				return fmt.Errorf("measuring with %s: %w, see %s", way, err, running[way].log)
			}
			if way == traced {
				sent += s.calls
			}
			if round > 0 { // the first one only warmed up
				got[way] = append(got[way], s)
			}
		}
	}
	arrived := float64(to.calls.Load()-before) / float64(sent)
	if arrived == 0 {
		return fmt.Errorf("no trace has arrived, see %s", running[traced].log)
	}
	for _, way := range []string{metered, traced, sampled} {
		b.observeRow(way, connections, got[way], got[unseen], arrived)
	}
	return nil
}

// measureWithRest is measure for a process that goes on working after a load.
func (p *process) measureWithRest(l load) (sample, error) {
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	s, err := l.run(p.addr)
	if err != nil {
		return s, err
	}
	time.Sleep(traceRest)
	after, err := p.cpu()
	s.cpu = after - before
	return s, err
}

// observeRow compares a load with a load that nobody looks at.
func (b *bench) observeRow(way string, connections int, with, without []sample, arrived float64) {
	cpu := pairs(with, without, cpuRatio)
	speed := pairs(with, without, func(a, b sample) float64 { return a.perSecond() / b.perSecond() })
	b.progress("%s, %d connections", way, connections)
	noun := "connections"
	if connections == 1 {
		noun = "connection"
	}
	figure := fmt.Sprintf("CPU time per call (Go, HTTP, %d %s), with %s ÷ without (and throughput)", connections, noun, way)
	if way == traced {
		figure = strings.TrimSuffix(figure, ")") + fmt.Sprintf("; %.0f %% of the traces arrived)", 100*arrived)
	}
	b.add(row{Figure: figure,
		Ours:   micros(median(with, sample.cpuPerCall)) + " ÷ " + micros(median(without, sample.cpuPerCall)),
		Result: fmt.Sprintf("%.2f (%.2f)", cpu, speed)})
}

package metrics

import (
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// Server is a configured server, as metrics see it.
type Server struct {
	// Name is that of the configuration.
	Name string
	// Transport is what is spoken with it, for example "stdio".
	Transport string
	// Private says that the names of its tools are for those who may call them,
	// and not for metrics.
	Private bool
	// State tells how it is; it is asked at each scrape.
	State func() State
}

// State is how a server is at one moment.
type State struct {
	// Connections counts them by their state, which is one of few words.
	Connections map[string]int
	// Callers is how many callers have a connection of their own.
	Callers int
	// Tools is how many tools mcpo offers of it.
	Tools int
	// Processes is how many children of mcpo's run for it.
	Processes int
	// Reconnects is how often a connection was opened again after a loss.
	Reconnects int64
}

const (
	// maxTools is how many tools of a server have series of their own.
	maxTools = 200
	// maxToolName is the longest name of a tool that becomes a label, in bytes.
	maxToolName = 128
	// other stands for the tools that have none.
	other = "other"
)

// server has the counters of one server. It is one collector, so that all of
// them disappear at once.
type server struct {
	now atomic.Pointer[Server]

	calls     *prometheus.CounterVec // tool, outcome
	inFlight  prometheus.Gauge
	whole     *prometheus.HistogramVec // tool
	upstream  prometheus.Histogram
	own       prometheus.Histogram
	documents *prometheus.CounterVec // answer
	logins    *prometheus.CounterVec // outcome
	refreshes *prometheus.CounterVec // outcome
	state     states

	mu    sync.RWMutex
	tools map[string]bool // those with series of their own
}

func newServer(name string) *server {
	of := prometheus.Labels{"server": name}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: of}, labels)
	}
	times := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		o := histogram(name, help, buckets)
		o.ConstLabels = of
		return o
	}
	long := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	short := []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}
	s := &server{
		calls: counters("mcpo_calls_total", "Calls by what came of them. The tool is \"other\" where the server lists no such tool, or very many.", "tool", "outcome"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mcpo_calls_in_flight", Help: "Calls that are being answered now.", ConstLabels: of,
		}),
		whole:     prometheus.NewHistogramVec(times("mcpo_call_duration_seconds", "Time from a call's arrival to its answer, of tools that the server lists.", long), []string{"tool"}),
		upstream:  prometheus.NewHistogram(times("mcpo_call_server_seconds", "The part of a call's time in which mcpo waited for the server, for its start too.", long)),
		own:       prometheus.NewHistogram(times("mcpo_call_own_seconds", "The part of a call's time that mcpo took itself, without waiting for server or caller.", short)),
		documents: counters("mcpo_documents_served_total", "OpenAPI documents served: whole, or unchanged since the caller's copy.", "answer"),
		logins:    counters("mcpo_logins_total", "Logins that came to an end, by how.", "outcome"),
		refreshes: counters("mcpo_refreshes_total", "Renewals of access tokens: ok, failed for now, or refused, which ends the login.", "outcome"),
		state:     newStates(of),
		tools:     map[string]bool{},
	}
	for _, outcome := range loginOutcomes() {
		s.logins.WithLabelValues(outcome)
	}
	for _, outcome := range refreshOutcomes() {
		s.refreshes.WithLabelValues(outcome)
	}
	for _, answer := range []string{whole, unchanged} {
		s.documents.WithLabelValues(answer)
	}
	return s
}

func (s *server) parts() []prometheus.Collector {
	return []prometheus.Collector{s.calls, s.inFlight, s.whole, s.upstream, s.own, s.documents, s.logins, s.refreshes}
}

// Describe implements prometheus.Collector.
func (s *server) Describe(to chan<- *prometheus.Desc) {
	for _, part := range s.parts() {
		part.Describe(to)
	}
	s.state.describe(to)
}

// Collect implements prometheus.Collector.
func (s *server) Collect(to chan<- prometheus.Metric) {
	for _, part := range s.parts() {
		part.Collect(to)
	}
	s.state.collect(to, *s.now.Load())
}

// label is the label of a tool that the server lists.
func (s *server) label(tool string) string {
	s.mu.RLock()
	known, full := s.tools[tool], len(s.tools) >= maxTools
	s.mu.RUnlock()
	switch {
	case known:
		return tool
	case full, len(tool) > maxToolName, !utf8.ValidString(tool), s.now.Load().Private:
		return other
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tools) >= maxTools && !s.tools[tool] {
		return other
	}
	s.tools[tool] = true
	return tool
}

// The answers of [Metrics.Document].
const (
	whole     = "whole"
	unchanged = "unchanged"
)

// Document counts a document of a server that was served, or that the caller
// has already.
func (m *Metrics) Document(server string, same bool) {
	s := m.of(server)
	if s == nil {
		return
	}
	answer := whole
	if same {
		answer = unchanged
	}
	s.documents.WithLabelValues(answer).Inc()
}

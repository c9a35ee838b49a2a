package metrics

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are all counters of one mcpo. Its methods may be called at the same
// time, and those of nil do nothing.
type Metrics struct {
	registry *prometheus.Registry
	store    storage
	reloads  *prometheus.CounterVec
	reloaded prometheus.Gauge

	serving sync.Mutex // one generation at a time
	servers atomic.Pointer[map[string]*server]
}

// New makes metrics without servers. version is mcpo's own. The error is a
// defect of this package.
func New(version string) (*Metrics, error) {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		store:    newStorage(),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcpo_reloads_total", Help: "Reloads of the configuration by outcome: ok, or refused, after which the old one stays in use.",
		}, []string{"outcome"}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mcpo_last_reload_successful", Help: "1 when the configuration that was read last is the one in use, 0 when it was refused.",
		}),
	}
	m.servers.Store(&map[string]*server{})
	m.reloaded.Set(1)
	for _, outcome := range []string{"ok", "refused"} {
		m.reloads.WithLabelValues(outcome)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mcpo_build_info", Help: "Always 1; its labels tell what is running.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	all := append(m.store.collectors(), m.reloads, m.reloaded, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("making metrics: %w", err)
		}
	}
	return m, nil
}

// Serve takes the servers of the generation that serves from now on. What was
// counted of those that stay goes on, and of those that are gone it disappears.
// The error names servers that cannot be counted; the others are.
func (m *Metrics) Serve(servers []Server) error {
	if m == nil {
		return nil
	}
	m.serving.Lock()
	defer m.serving.Unlock()
	old := *m.servers.Load()
	next := make(map[string]*server, len(servers))
	var failed error
	for _, s := range servers {
		known := old[s.Name]
		if known == nil {
			known = newServer(s.Name)
			if err := m.registry.Register(known); err != nil {
				failed = fmt.Errorf("counting for server %q: %w", s.Name, err)
				continue
			}
		}
		known.now.Store(&s)
		next[s.Name] = known
	}
	m.servers.Store(&next)
	for name, s := range old {
		if next[name] == nil {
			m.registry.Unregister(s)
		}
	}
	return failed
}

// of gives the counters of a server; nil where none serves under this name.
func (m *Metrics) of(name string) *server {
	if m == nil {
		return nil
	}
	return (*m.servers.Load())[name]
}

// Reloaded counts a reload of the configuration: whether the new one is in use.
func (m *Metrics) Reloaded(ok bool) {
	if m == nil {
		return
	}
	outcome, value := "refused", 0.0
	if ok {
		outcome, value = "ok", 1
	}
	m.reloads.WithLabelValues(outcome).Inc()
	m.reloaded.Set(value)
}

// histogram are options for times, with classic buckets at these seconds and
// with native ones for who scrapes those.
func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}
}

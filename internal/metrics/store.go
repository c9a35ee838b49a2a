package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// storage counts what is asked of the stores of logins.
type storage struct {
	operations *prometheus.CounterVec   // store, operation, outcome
	durations  *prometheus.HistogramVec // store, operation
	grants     *prometheus.GaugeVec     // store
	swept      *prometheus.CounterVec   // store
	health     *health
}

func newStorage() storage {
	return storage{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcpo_store_operations_total", Help: "Operations of the store of logins, by outcome.",
		}, []string{"store", "operation", "outcome"}),
		durations: prometheus.NewHistogramVec(histogram("mcpo_store_operation_duration_seconds",
			"Time that operations of the store of logins took; that of lock is the wait for who has it.",
			[]float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}), []string{"store", "operation"}),
		grants: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mcpo_grants", Help: "Logins that are kept, counted from time to time.",
		}, []string{"store"}),
		swept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mcpo_swept_records_total", Help: "Records that were removed from the store because they had run out.",
		}, []string{"store"}),
		health: &health{
			available: prometheus.NewDesc("mcpo_store_available", "1 while the store of logins can be asked, 0 while not.", []string{"store"}, nil),
			of:        map[string]func() error{},
		},
	}
}

func (s storage) collectors() []prometheus.Collector {
	return []prometheus.Collector{s.operations, s.durations, s.grants, s.swept, s.health}
}

// Stored counts an operation of a store: what it was, what came of it, and how
// long it took. All three words are of a fixed set.
func (m *Metrics) Stored(store, operation, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.store.operations.WithLabelValues(store, operation, outcome).Inc()
	m.store.durations.WithLabelValues(store, operation).Observe(took.Seconds())
}

// Grants tells how many grants a store keeps.
func (m *Metrics) Grants(store string, n int) {
	if m != nil {
		m.store.grants.WithLabelValues(store).Set(float64(n))
	}
}

// Swept counts records that were removed because they had run out.
func (m *Metrics) Swept(store string, n int) {
	if m != nil {
		m.store.swept.WithLabelValues(store).Add(float64(n))
	}
}

// Available has a scrape tell whether a store can be asked: while health gives
// no error.
func (m *Metrics) Available(store string, health func() error) {
	if m == nil {
		return
	}
	m.store.health.mu.Lock()
	defer m.store.health.mu.Unlock()
	m.store.health.of[store] = health
}

// health asks stores at each scrape how they are.
type health struct {
	available *prometheus.Desc
	mu        sync.Mutex
	of        map[string]func() error // by store
}

// Describe implements prometheus.Collector.
func (h *health) Describe(to chan<- *prometheus.Desc) { to <- h.available }

// Collect implements prometheus.Collector.
func (h *health) Collect(to chan<- prometheus.Metric) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for store, health := range h.of {
		value := 1.0
		if health() != nil {
			value = 0
		}
		to <- prometheus.MustNewConstMetric(h.available, prometheus.GaugeValue, value, store)
	}
}

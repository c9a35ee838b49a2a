package metrics

import (
	"sync/atomic"
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
		health: &health{available: prometheus.NewDesc("mcpo_store_available", "1 while the store of logins can be asked, 0 while not.", []string{"store"}, nil)},
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

// Grants tells how many grants each store keeps.
func (m *Metrics) Grants(kept map[string]int) {
	if m == nil {
		return
	}
	m.store.grants.Reset()
	for store, n := range kept {
		m.store.grants.WithLabelValues(store).Set(float64(n))
	}
}

// Swept counts records that were removed because they had run out.
func (m *Metrics) Swept(store string, n int) {
	if m != nil {
		m.store.swept.WithLabelValues(store).Add(float64(n))
	}
}

// Available has each scrape ask for the store in use, "" for none, and why it
// cannot be asked; nil where it can.
func (m *Metrics) Available(ask func() (store string, err error)) {
	if m != nil {
		m.store.health.ask.Store(&ask)
	}
}

// health asks at each scrape how the store is.
type health struct {
	available *prometheus.Desc
	ask       atomic.Pointer[func() (string, error)]
}

// Describe implements prometheus.Collector.
func (h *health) Describe(to chan<- *prometheus.Desc) { to <- h.available }

// Collect implements prometheus.Collector.
func (h *health) Collect(to chan<- prometheus.Metric) {
	ask := h.ask.Load()
	if ask == nil {
		return
	}
	store, err := (*ask)()
	if store == "" {
		return
	}
	value := 1.0
	if err != nil {
		value = 0
	}
	to <- prometheus.MustNewConstMetric(h.available, prometheus.GaugeValue, value, store)
}

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// storage counts what is asked of the stores of logins.
type storage struct {
	operations *prometheus.CounterVec   // store, operation, outcome
	durations  *prometheus.HistogramVec // store, operation
	grants     *prometheus.GaugeVec     // store
	swept      *prometheus.CounterVec   // store
	available  *prometheus.GaugeVec     // store
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
		available: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mcpo_store_available", Help: "1 when the store of logins can be asked, 0 when not.",
		}, []string{"store"}),
	}
}

func (s storage) collectors() []prometheus.Collector {
	return []prometheus.Collector{s.operations, s.durations, s.grants, s.swept, s.available}
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

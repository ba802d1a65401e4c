package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"lethe/jobs"
	"lethe/store"
)

// Metrics is what an Eraser counts. No label has a value that came from a
// request. A nil *Metrics counts nothing.
type Metrics struct {
	batches  *prometheus.CounterVec
	outcomes *prometheus.CounterVec
	failures *prometheus.CounterVec
	residues *prometheus.CounterVec
	erasing  *prometheus.HistogramVec
	requests *prometheus.HistogramVec
	schemas  *prometheus.GaugeVec
}

// NewMetrics registers the worker's metrics, with a series for each store from
// the start, so that an alert can tell zero from absent.
func NewMetrics(r prometheus.Registerer, stores []string) *Metrics {
	f := promauto.With(r)
	m := &Metrics{
		batches:  f.NewCounterVec(prometheus.CounterOpts{Name: "lethe_batches_total", Help: "Batches carried out, by outcome: done, failed (will be tried again), split, refused (one ID, set aside), held (IDs that a legal hold forbids were set aside)."}, []string{"store", "outcome"}),
		outcomes: f.NewCounterVec(prometheus.CounterOpts{Name: "lethe_ids_total", Help: "IDs in finished batches, by outcome."}, []string{"store", "outcome"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{Name: "lethe_verify_failures_total", Help: "Batches that the store called erased and that could still be read."}, []string{"store"}),
		residues: f.NewCounterVec(prometheus.CounterOpts{Name: "lethe_residue_found_total", Help: "IDs found when a whole job was read again: written since planning, or come back."}, []string{"store"}),
		schemas:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "lethe_store_unmapped", Help: "Tables with a problem, such as one that is neither mapped nor waived, when the store's schema was last compared with its data map: at the start and before each plan."}, []string{"store"}),
		erasing: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lethe_erase_duration_seconds", Help: "Time that a store took to erase one batch.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"store"}),
		requests: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lethe_request_duration_seconds", Help: "Time from intake to certificate.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 86400, 7 * 86400, 30 * 86400},
		}, []string{"origin"}),
	}
	for _, s := range stores {
		for _, o := range []string{"done", "failed", "split", "refused", "held"} {
			m.batches.WithLabelValues(s, o)
		}
		for _, o := range []string{"erased", "absent", "held", "refused"} {
			m.outcomes.WithLabelValues(s, o)
		}
		m.failures.WithLabelValues(s)
		m.residues.WithLabelValues(s)
		m.erasing.WithLabelValues(s)
		m.schemas.WithLabelValues(s)
	}
	for _, o := range jobs.Origins() {
		m.requests.WithLabelValues(o)
	}
	return m
}

func (m *Metrics) batch(storeName, outcome string) {
	if m != nil {
		m.batches.WithLabelValues(storeName, outcome).Inc()
	}
}

func (m *Metrics) ids(storeName string, r store.Receipt) {
	if m == nil {
		return
	}
	for name, o := range map[string]store.Outcome{"erased": store.Erased, "absent": store.Absent, "held": store.Held, "refused": store.Refused} {
		m.outcomes.WithLabelValues(storeName, name).Add(float64(r.Count(o)))
	}
}

func (m *Metrics) verifyFailed(storeName string) {
	if m != nil {
		m.failures.WithLabelValues(storeName).Inc()
	}
}

func (m *Metrics) residue(storeName string, n int) {
	if m != nil {
		m.residues.WithLabelValues(storeName).Add(float64(n))
	}
}

func (m *Metrics) erased(t jobs.Task, d time.Duration) {
	if m != nil {
		observe(m.erasing.WithLabelValues(t.Store), d, t.Request)
	}
}

func (m *Metrics) completed(origin, request string, d time.Duration) {
	if m != nil {
		observe(m.requests.WithLabelValues(origin), d, request)
	}
}

// observe leaves the ID of the request as an exemplar, which is no label: a bucket
// has one, the last.
func observe(o prometheus.Observer, d time.Duration, request string) {
	if request == "" {
		o.Observe(d.Seconds())
		return
	}
	o.(prometheus.ExemplarObserver).ObserveWithExemplar(d.Seconds(), prometheus.Labels{"request_id": request})
}

func (m *Metrics) unmapped(storeName string, tables int) {
	if m != nil {
		m.schemas.WithLabelValues(storeName).Set(float64(tables))
	}
}

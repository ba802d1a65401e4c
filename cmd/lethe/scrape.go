package main

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lethe/jobs"
	"lethe/jobs/ledger"
	"lethe/jobs/queue"
)

// scrapeLimit is when a scrape goes on without a part that has not answered. The
// parts give up by themselves before, if whom they ask heeds their context.
const scrapeLimit = 4 * time.Second

// metricsHandler answers scrapes. What one part cannot say keeps nothing else from
// being said: it is counted in promhttp_metric_handler_errors_total, and has a series
// that says so.
func (s *service) metricsHandler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, Registry: s.registry, EnableOpenMetrics: true, Timeout: 2 * scrapeLimit,
	})
}

// measure registers what the ledger, the queue and the process say.
func (s *service) measure() {
	book := ledger.NewCollector(s.ledger, s.config.policies()...)
	book.Down, book.Logger = s.down, s.logger
	s.registry.MustRegister(bounded(book), bounded(queue.NewCollector(s.queue)), s.pulses,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.measureStores()
	s.measureSelf()
	s.registry.MustRegister(newBackupAge(s.config.Data))
	f := promauto.With(s.registry)
	s.requeued = f.NewCounterVec(prometheus.CounterOpts{Name: "lethe_reconciler_requeued_total", Help: "Tasks that were rung again because they should have been answered, by reason: lease_expired, queue_lost (Redis had forgotten everything), queue_forgot (one task)."}, []string{"reason"})
	for _, reason := range []string{jobs.ReasonLease, jobs.ReasonFlush, jobs.ReasonForgot} {
		s.requeued.WithLabelValues(reason)
	}
}

// measureSelf registers what this process is.
func (s *service) measureSelf() {
	f := promauto.With(s.registry)
	f.NewGaugeVec(prometheus.GaugeOpts{Name: "lethe_build_info", Help: "Always 1; its labels say what runs."}, []string{"version", "goversion"}).
		WithLabelValues(version(), runtime.Version()).Set(1)
	roles := f.NewGaugeVec(prometheus.GaugeOpts{Name: "lethe_role", Help: "1 for each role that this process has."}, []string{"role"})
	for _, role := range []string{roleAPI, roleWorker, roleScheduler} {
		if s.config.Roles.has(role) {
			roles.WithLabelValues(role).Set(1)
		}
	}
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "lethe_ready", Help: "1 if /readyz would answer 200 now."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return one(len(s.ready(ctx)) == 0)
	})
	s.registry.MustRegister(bounded(ready, prometheus.MustNewConstMetric(ready.Desc(), prometheus.GaugeValue, 0)))
}

// A patient collector asks another one, once at a time, and goes on without its
// answer after scrapeLimit: a scrape must come to its end whatever hangs.
type patient struct {
	prometheus.Collector
	otherwise []prometheus.Metric // what is said in place of no answer
	asking    chan struct{}       // holds a token while somebody asks
	limit     time.Duration
}

func bounded(c prometheus.Collector, otherwise ...prometheus.Metric) *patient {
	return &patient{c, otherwise, make(chan struct{}, 1), scrapeLimit}
}

// Collect implements prometheus.Collector.
func (p *patient) Collect(ch chan<- prometheus.Metric) {
	limit := time.NewTimer(p.limit)
	defer limit.Stop()
	select {
	case p.asking <- struct{}{}:
	case <-limit.C:
		p.giveUp(ch)
		return
	}
	said := make(chan []prometheus.Metric, 1)
	go func() {
		defer func() { <-p.asking }()
		said <- collect(p.Collector)
	}()
	select {
	case list := <-said:
		for _, m := range list {
			ch <- m
		}
	case <-limit.C:
		p.giveUp(ch)
	}
}

func (p *patient) giveUp(ch chan<- prometheus.Metric) {
	for _, m := range p.otherwise {
		ch <- m
	}
}

// collect returns all that a collector says.
func collect(c prometheus.Collector) (list []prometheus.Metric) {
	ch := make(chan prometheus.Metric)
	go func() { c.Collect(ch); close(ch) }()
	for m := range ch {
		list = append(list, m)
	}
	return list
}

// rungAgain counts tasks that were rung again. An embedded queue begins empty with
// each start: that is no loss, and nobody is to be alarmed.
func (s *service) rungAgain(reason string, n int) {
	if reason == jobs.ReasonFlush && s.config.Queue == queueEmbedded {
		return
	}
	s.requeued.WithLabelValues(reason).Add(float64(n))
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
	"lethe/jobs/trace"
	"lethe/worker"
)

// flushLimit is how long a stop waits for spans to be taken. It runs beside what
// else ends last.
const flushLimit = 2 * time.Second

// openTraces makes what traces requests, if it is configured.
func (s *service) openTraces(ctx context.Context) error {
	if !s.config.traced() {
		return nil
	}
	total := promauto.With(s.registry).NewCounterVec(prometheus.CounterOpts{Name: "lethe_spans_total", Help: "Spans that were brought to the collector of traces, by outcome: sent, failed (and dropped)."}, []string{"outcome"})
	for _, outcome := range []string{"sent", "failed"} {
		total.WithLabelValues(outcome)
	}
	o := trace.Options{Ratio: s.config.traceRatio(), Version: version(), Logger: s.logger, Sent: func(spans int, err error) {
		outcome := "sent"
		if err != nil {
			outcome = "failed"
		}
		total.WithLabelValues(outcome).Add(float64(spans))
	}}
	if t := s.config.Traces; t != nil {
		var err error
		if o.Headers, err = t.headers(); err != nil {
			return fmt.Errorf("traces: read headers_file: %w", err)
		}
		if o.TLS, err = t.TLS.load(); err != nil {
			return fmt.Errorf("traces: tls: %w", err)
		}
		o.Endpoint = t.endpoint()
	}
	var err error
	s.tracer, err = trace.Open(ctx, o)
	return err
}

// flushTraces sends the last spans. Those that are not taken are lost, which is no
// failure of the stop.
func (s *service) flushTraces() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	_ = s.tracer.Close(ctx)
	return nil
}

// traced lets the tracer know who asks.
func (s *service) traced(h http.Handler) http.Handler {
	if s.tracer == nil {
		return h
	}
	return trace.Incoming(h)
}

// A tracedBook is the ledger, for those who file requests and end them.
type tracedBook struct {
	*ledger.Ledger
	tracer *trace.Tracer
}

var (
	_ jobs.Ledger   = tracedBook{}
	_ worker.Ledger = tracedBook{}
)

// Accept implements jobs.Ledger.
func (b tracedBook) Accept(ctx context.Context, a jobs.Acceptance) (*jobs.Request, []byte, error) {
	began := time.Now()
	existing, body, err := b.Ledger.Accept(ctx, a)
	if err == nil && existing == nil {
		b.tracer.Accepted(ctx, a.Request, began)
	}
	return existing, body, err
}

// Complete implements worker.Ledger.
func (b tracedBook) Complete(ctx context.Context, t jobs.Task, e proof.Entry, end jobs.Ending) error {
	err := b.Ledger.Complete(ctx, t, e, end)
	if err == nil {
		b.tracer.Ended(ctx, t.Request, jobs.Completed)
	}
	return err
}

// EndCancelled implements jobs.Ledger.
func (b tracedBook) EndCancelled(ctx context.Context, request string, entry func(jobs.Record) proof.Entry, keyUntil time.Time) (bool, error) {
	ended, err := b.Ledger.EndCancelled(ctx, request, entry, keyUntil)
	if ended && err == nil {
		b.tracer.Ended(ctx, request, jobs.Cancelled)
	}
	return ended, err
}

// Reject implements jobs.Ledger.
func (b tracedBook) Reject(ctx context.Context, request string, entry func(jobs.Record) proof.Entry, keyUntil time.Time) error {
	err := b.Ledger.Reject(ctx, request, entry, keyUntil)
	if err == nil {
		b.tracer.Ended(ctx, request, jobs.Rejected)
	}
	return err
}

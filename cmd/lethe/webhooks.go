package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"lethe/jobs"
	"lethe/jobs/webhook"
)

// openWebhooks makes what tells others of status changes, if it is configured.
func (s *service) openWebhooks() error {
	f := promauto.With(s.registry)
	s.registry.MustRegister(bounded(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "lethe_webhooks_pending", Help: "Webhooks that are still to be sent; -1 if the ledger does not answer."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n, err := s.ledger.PendingNotices(ctx)
		if err != nil {
			return -1
		}
		return float64(n)
	})))
	total := f.NewCounterVec(prometheus.CounterOpts{Name: "lethe_webhooks_total", Help: "Tries to send a webhook, by outcome: delivered, failed (and tried again), given_up."}, []string{"outcome"})
	for _, outcome := range webhook.Outcomes() {
		total.WithLabelValues(outcome)
	}
	sender := &webhook.Sender{
		Book: s.ledger, GiveUp: s.config.Retention.giveUp(), Count: func(outcome string) { total.WithLabelValues(outcome).Inc() },
		Rest: s.refused, Pulse: s.pulses.of(loopWebhooks), Now: s.ledger.Now, Logger: s.logger,
	}
	s.webhooks = sender
	c := s.config.Webhooks
	if c == nil { // what an earlier configuration left is given up
		return nil
	}
	var err error
	if sender.Secrets, err = c.secrets(); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	if sender.Endpoints, err = c.targets(); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	sender.Rules = c.rules()
	s.intake.Notify = &jobs.Notify{Endpoints: endpointNames(sender.Endpoints), Check: sender.Rules.Check, Keys: s.keys}
	return nil
}

package main

import (
	"context"
	"log/slog"
	"time"
)

// What /readyz says beside what the log says of itself.
const (
	reasonStopping = "stopping: this process was told to end"
	reasonQueue    = "the queue does not answer"
	reasonLedger   = "the ledger does not answer"
)

// depart returns a context that ends drain_delay after ctx, in which time /readyz
// is 503 and all the rest goes on: a load balancer learns that others are to be
// asked before nobody answers here.
func (s *service) depart(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cut = cancel
	delay := time.Duration(s.config.DrainDelay)
	stop := context.AfterFunc(ctx, func() {
		s.stopping.Store(true)
		if delay == 0 {
			cancel()
			return
		}
		s.logger.InfoContext(late, "stopping", slog.Duration("serves_for", delay))
		time.AfterFunc(delay, cancel)
	})
	return late, func() { stop(); cancel() }
}

// ready returns why the service should get no requests now.
func (s *service) ready(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var reasons []string
	if s.stopping.Load() {
		reasons = append(reasons, reasonStopping)
	}
	if err := s.queue.Ping(ctx); err != nil {
		reasons = append(reasons, reasonQueue)
	}
	if _, err := s.ledger.List(ctx, "", nil, 1, ""); err != nil {
		reasons = append(reasons, reasonLedger)
	}
	if err := s.ledger.Refusal(ctx); err != nil {
		reasons = append(reasons, err.Error())
	}
	return reasons
}

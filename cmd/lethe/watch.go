package main

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"lethe/jobs"
)

// lists reports whether a store can say what is in it, as store.Listing has it. The
// APIs of Mem0 cannot: they answer for one person at a time.
func (c *StoreConfig) lists() bool { return c.Kind != KindMem0Platform && c.Kind != KindMem0Server }

// openWatch makes the watch over what comes back to stores.
func (s *service) openWatch(names []string) *jobs.Watch {
	found := promauto.With(s.registry).NewCounterVec(prometheus.CounterOpts{
		Name: "lethe_suppression_found_total",
		Help: "Rows of what was erased that a watch or a replay has found in a store: back, which are erased again: somebody has to look why; later, made afterwards, and undated, which are left.",
	}, []string{"store", "kind"})
	for _, name := range names {
		promauto.With(s.registry).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lethe_watch_late_seconds", Help: "For how long a look whether anything has come back to a store has been due; 0 if none is.",
			ConstLabels: prometheus.Labels{"store": name},
		}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			late, err := s.ledger.WatchLate(ctx, name)
			if err != nil {
				return math.NaN() // silence would look like health
			}
			return late.Seconds()
		})
	}
	unable := promauto.With(s.registry).NewGaugeVec(prometheus.GaugeOpts{
		Name: "lethe_watch_unable", Help: "1 if a store cannot list what is in it, so that nobody looks whether anything has come back to it; else 0.",
	}, []string{"store"})
	erase := map[string]bool{}
	for _, name := range names {
		unable.WithLabelValues(name).Set(0)
		if c := s.config.store(name); c != nil && !c.lists() {
			unable.WithLabelValues(name).Set(1)
			s.logger.Warn("a store cannot list what is in it: neither the watch nor lethe replay can tell what has come back to it; after a restore ask for each person again", slog.String("store", name), slog.String("kind", c.Kind))
		}
		erase[name] = s.config.store(name) != nil && s.config.store(name).Undated == undatedErase
		for _, kind := range []string{jobs.FoundBack, jobs.FoundLater, jobs.FoundUndated} {
			found.WithLabelValues(name, kind)
		}
	}
	return &jobs.Watch{
		Ledger: s.ledger, Keys: s.keys, Intake: s.intake, Stores: s.surveyor, Names: names, Erase: erase, Keep: s.config.keepEpochs(),
		Now: s.ledger.Now, Rest: s.refused, Pulse: s.pulses.of(loopWatch), Logger: s.logger,
		Found: func(name, kind string, n int) { found.WithLabelValues(name, kind).Add(float64(n)) },
	}
}

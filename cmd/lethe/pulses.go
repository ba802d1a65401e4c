package main

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lethe/jobs"
)

// The loops that show that they live. They label a metric.
const (
	loopRelay      = "relay"      // rings what is ready
	loopReconciler = "reconciler" // comes back to what is late
	loopSweeper    = "sweeper"    // runs policies
	loopWatch      = "watch"      // looks for what has come back
	loopSigner     = "log_signer" // logs entries, signs heads and publishes them
	loopWebhooks   = "webhooks"   // tells receivers
	loopRotator    = "rotator"    // exchanges the log's key
	loopWorker     = "worker"     // takes tasks from the queue
)

// Pulses are when the loops of this process last came to the end of a turn. A loop
// of several parts, such as one for each store, is as old as the part for which it is
// longest ago. One that this process does not run has no series.
type pulses struct {
	now  func() time.Time
	desc *prometheus.Desc

	mu   sync.Mutex
	last map[string][]time.Time // by loop, of each part
}

var _ prometheus.Collector = (*pulses)(nil)

func newPulses() *pulses {
	return &pulses{
		now: time.Now, last: map[string][]time.Time{},
		desc: prometheus.NewDesc("lethe_loop_last_turn_timestamp_seconds",
			"When a loop of this process last came to the end of a turn, as a Unix time: also of one with nothing to do, but not of one that could not do its work. A loop that lives turns at least every 70 s.", []string{"loop"}, nil),
	}
}

// of returns the pulse of a loop. A part that begins has just come round.
func (p *pulses) of(loop string) jobs.Pulse {
	if p == nil { // a command that runs no loops
		return nil
	}
	return func() (turned func()) {
		p.mu.Lock()
		defer p.mu.Unlock()
		part := len(p.last[loop])
		p.last[loop] = append(p.last[loop], p.now())
		return func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.last[loop][part] = p.now()
		}
	}
}

// Describe implements prometheus.Collector.
func (p *pulses) Describe(ch chan<- *prometheus.Desc) { ch <- p.desc }

// Collect implements prometheus.Collector.
func (p *pulses) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for loop, parts := range p.last {
		oldest := slices.MinFunc(parts, time.Time.Compare)
		ch <- prometheus.MustNewConstMetric(p.desc, prometheus.GaugeValue, float64(oldest.UnixMilli())/1000, loop)
	}
}

package main

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs/ledger"
)

// A loop is as old as its oldest part, and one that does not run is not told of.
func TestALoopIsAsOldAsItsOldestPart(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newPulses()
	p.now = func() time.Time { return now }
	if n := testutil.CollectAndCount(p); n != 0 {
		t.Errorf("%d loops before any runs", n)
	}
	one, other := p.of(loopSweeper).Begin(), p.of(loopSweeper).Begin()
	want := func(at float64) {
		t.Helper()
		if got := testutil.ToFloat64(p); got != at {
			t.Errorf("the loop is of %v, want %v", got, at)
		}
	}
	want(1000)
	now = time.Unix(2000, 0)
	one()
	want(1000)
	other()
	want(2000)
	if p := (*pulses)(nil); p.of(loopRelay) != nil {
		t.Error("nobody's loops have a pulse")
	}
}

// The files of the key cannot be read.
func TestARotatorThatCannotReadItsKeyHasNoPulse(t *testing.T) {
	r := newTurn(t)
	r.process(lives, func(_ *ledger.Ledger, rot *rotator) {
		var turns atomic.Int64
		rot.pulse = func() func() { return func() { turns.Add(1) } }
		run := func(wait func()) {
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); _ = rot.Run(ctx) }()
			wait()
			stop()
			<-done
		}
		run(func() { waitFor(t, "a turn", func() bool { return turns.Load() > 0 }) })
		if err := os.Rename(r.file.Path, r.file.Path+".gone"); err != nil {
			t.Fatal(err)
		}
		before := turns.Load()
		rot.idle = false
		run(func() { time.Sleep(2 * rotateEvery) })
		if n := turns.Load() - before; n != 0 {
			t.Errorf("%d turns without its key", n)
		}
	})
}

// A deaf part never answers.
type deaf struct{ prometheus.Collector }

func (deaf) Collect(chan<- prometheus.Metric) { select {} }

// The bound of a scrape is the same whoever hangs, and a second scrape does not
// begin to ask again.
func TestAPartThatHangsIsLeftOutOfTheScrape(t *testing.T) {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "lethe_deaf", Help: "Is deaf."})
	p := bounded(deaf{gauge}, gauge)
	p.limit = 50 * time.Millisecond
	r := prometheus.NewRegistry()
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "lethe_other", Help: "Is not."})
	r.MustRegister(p, other)
	for range 2 {
		if n, err := testutil.GatherAndCount(r, "lethe_other", "lethe_deaf"); n != 2 || err != nil {
			t.Errorf("%d series, %v", n, err)
		}
	}
}

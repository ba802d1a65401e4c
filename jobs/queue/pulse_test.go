package queue_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

// counted returns a pulse and how often it was felt.
func counted() (jobs.Pulse, *atomic.Int64) {
	var n atomic.Int64
	return func() func() { return func() { n.Add(1) } }, &n
}

// goesOn reports that turns are still counted.
func goesOn(t *testing.T, n *atomic.Int64, when string) {
	t.Helper()
	before := n.Load()
	eventually(t, 30*time.Second, "a turn "+when, func() bool { return n.Load() > before+2 })
}

// standsStill makes sure that none is, once what was under way has ended.
func standsStill(t *testing.T, n *atomic.Int64, when string) {
	t.Helper()
	eventually(t, 30*time.Second, "no turn for seconds "+when, func() bool {
		before := n.Load()
		time.Sleep(3 * time.Second) // more than all tries of one call
		return n.Load() == before
	})
}

// A worker that takes tasks has a pulse, with nothing to do or with its hands full;
// one that Redis does not answer has none.
func TestAWorkerThatTakesNothingHasNoPulse(t *testing.T) {
	t.Parallel()
	server := queuetest.Redis(t)
	p := newProxy(t, server.Addr(), nil)
	pulse, n := counted()
	q := open(t, queue.Options{URL: p.URL(), Concurrency: 1, ShutdownTimeout: time.Second, Pulse: pulse})
	begun, release := make(chan struct{}), make(chan struct{})
	start(t, q, func(ctx context.Context, _ jobs.Ring) error {
		close(begun)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	goesOn(t, n, "with nothing to do")
	ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
	<-begun
	goesOn(t, n, "with full hands")
	close(release)
	goesOn(t, n, "with free hands")
	p.Cut()
	standsStill(t, n, "without Redis")
	p.Mend()
	goesOn(t, n, "with Redis again")
}

func gathered(t *testing.T, q *queue.Queue) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(queue.NewCollector(q))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue()
		}
	}
	return got
}

func TestTheQueueTellsWhatItHoldsAndForHowLong(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		if got := gathered(t, q); len(got) != 13 || got["lethe_queue_up"] != 1 || got["lethe_queue_latency_seconds lethe"] != 0 {
			t.Errorf("empty: %v", got)
		}
		ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
		ring(t, q, jobs.Ring{ID: "b", Epoch: 1})
		if err := q.Ring(t.Context(), jobs.Ring{ID: "c", Epoch: 1}, true); err != nil {
			t.Fatal(err)
		}
		q.Client().HSet(t.Context(), "asynq:{lethe}:t:a:1", "pending_since", time.Now().Add(-time.Hour).UnixNano())
		got := gathered(t, q)
		if got["lethe_queue_tasks lethe pending"] != 2 || got["lethe_queue_tasks lethe-low pending"] != 1 || len(got) != 13 {
			t.Errorf("%v", got)
		}
		if wait := got["lethe_queue_latency_seconds lethe"]; wait < 3600 || wait > 3700 || got["lethe_queue_latency_seconds lethe-low"] > 100 {
			t.Errorf("%v", got)
		}
		q.Client().Del(t.Context(), "asynq:{lethe}:t:a:1") // as an eviction does
		if got := gathered(t, q); got["lethe_queue_tasks lethe pending"] != 2 || got["lethe_queue_up"] != 1 {
			t.Errorf("a task has lost its hash: %v", got)
		}
	})
}

func TestAQueueThatIsAwayHasNoDepth(t *testing.T) {
	t.Parallel()
	server := queuetest.Redis(t)
	q := open(t, queue.Options{URL: server.URL()})
	server.Kill()
	if got := gathered(t, q); len(got) != 1 || got["lethe_queue_up"] != 0 {
		t.Errorf("%v", got)
	}
}

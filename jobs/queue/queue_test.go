package queue_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

func TestMain(m *testing.M) {
	queue.TakeLog(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

// everywhere runs a test on an embedded queue, a real Redis and a Redis Cluster.
func everywhere(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, "embedded")
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, queuetest.Redis(t).URL())
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, queuetest.NewCluster(t, 3).URL())
	})
}

func open(t testing.TB, opts queue.Options) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// start runs q until the test ends or stop is called, which returns what Run
// returned.
func start(t testing.TB, q *queue.Queue, handle func(context.Context, jobs.Ring) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx, handle) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

func ring(t testing.TB, q *queue.Queue, r jobs.Ring) {
	t.Helper()
	if err := q.Ring(t.Context(), r, false); err != nil {
		t.Fatal(err)
	}
}

func waiting(t testing.TB, q *queue.Queue, r jobs.Ring) bool {
	t.Helper()
	held, err := q.Waiting(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func depth(t testing.TB, q *queue.Queue) queue.Depth {
	t.Helper()
	d, err := q.Depth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// eventually waits until done returns true.
func eventually(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// A diary keeps what was logged.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func (d *diary) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(d, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestWhatIsRungIsHandled(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		var mu sync.Mutex
		got := map[jobs.Ring]int{}
		start(t, q, func(_ context.Context, r jobs.Ring) error {
			mu.Lock()
			defer mu.Unlock()
			got[r]++
			return nil
		})
		for i := range 40 {
			r := jobs.Ring{ID: "row-" + strconv.Itoa(i), Epoch: int64(i)}
			if err := q.Ring(t.Context(), r, i%2 == 0); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, 10*time.Second, "40 rings handled", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) == 40
		})
		eventually(t, time.Second, "queue empty", func() bool { return depth(t, q) == queue.Depth{} })
		for r, n := range got {
			if n != 1 {
				t.Errorf("%v handled %d times, want once", r, n)
			}
		}
	})
}

func TestRingIsIdempotent(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := q.Ring(t.Context(), jobs.Ring{ID: "a", Epoch: 1}, false); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ring(t, q, jobs.Ring{ID: "a", Epoch: 2})
		if d := depth(t, q); d.Pending != 2 {
			t.Errorf("%d pending, want 2: one for each epoch", d.Pending)
		}
	})
}

func TestRingRefusesWhatIsNotOpaque(t *testing.T) {
	q := open(t, queue.Options{URL: "embedded"})
	long := string(bytes.Repeat([]byte("a"), 65))
	for _, id := range []string{"", "alice@example.org", "Alice Liddell", "a:b", "{a}", "é", long} {
		err := q.Ring(t.Context(), jobs.Ring{ID: id, Epoch: 1}, false)
		if err == nil {
			t.Errorf("Ring took the id %q", id)
		} else if id != "" && bytes.Contains([]byte(err.Error()), []byte(id)) {
			t.Errorf("the error repeats the id: %v", err)
		}
	}
	if err := q.Ring(t.Context(), jobs.Ring{ID: "a", Epoch: -1}, false); err == nil {
		t.Error("Ring took a negative epoch")
	}
}

func TestFailedRingComesBack(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		var calls atomic.Int64
		start(t, q, func(context.Context, jobs.Ring) error {
			if calls.Add(1) == 1 {
				return context.DeadlineExceeded // a store's, say
			}
			return nil
		})
		r := jobs.Ring{ID: "a", Epoch: 1}
		ring(t, q, r)
		eventually(t, 2*time.Second, "waiting for a retry", func() bool { return depth(t, q).Retry == 1 })
		if !waiting(t, q, r) {
			t.Error("a ring that will be retried is not waiting")
		}
		eventually(t, 6*time.Second, "second call", func() bool { return calls.Load() == 2 })
	})
}

func TestStaleRingIsDone(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		var calls atomic.Int64
		start(t, q, func(context.Context, jobs.Ring) error {
			calls.Add(1)
			return jobs.ErrStale
		})
		ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
		eventually(t, 2*time.Second, "call", func() bool { return calls.Load() == 1 })
		eventually(t, time.Second, "queue empty", func() bool { return depth(t, q) == queue.Depth{} })
	})
}

func TestCrewCountsWhoRuns(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		counts := func(want int) func() bool {
			return func() bool { n, err := q.Crew(t.Context()); return err == nil && n == want }
		}
		eventually(t, 30*time.Second, "nobody", counts(0))
		idle := func(context.Context, jobs.Ring) error { return nil }
		stop := start(t, q, idle)
		start(t, q, idle)
		eventually(t, 30*time.Second, "two", counts(2))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "one", counts(1))
	})
}

package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

func TestGracefulStop(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		taken := make(chan struct{})
		ended := false // written before Run returns, or this test is racy and fails
		stop := start(t, q, func(ctx context.Context, _ jobs.Ring) error {
			close(taken)
			<-ctx.Done()                       // hears of the stop at once,
			time.Sleep(300 * time.Millisecond) // and is left time to end in order
			ended = true
			return nil
		})
		ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
		<-taken
		began := time.Now()
		if err := stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if !ended {
			t.Error("Run returned before its handler")
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if d := depth(t, q); d != (queue.Depth{}) {
			t.Errorf("depth %+v, want empty: the handler succeeded", d)
		}
	})
}

func TestInterruptedRingIsDeliveredAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		taken := make(chan struct{})
		stop := start(t, q, func(ctx context.Context, _ jobs.Ring) error {
			close(taken)
			<-ctx.Done()
			return ctx.Err()
		})
		r := jobs.Ring{ID: "a", Epoch: 1}
		ring(t, q, r)
		<-taken
		if err := stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if !waiting(t, q, r) {
			t.Error("interrupted, but not waiting")
		}
		again := make(chan struct{})
		start(t, q, func(context.Context, jobs.Ring) error {
			close(again)
			return nil
		})
		select {
		case <-again:
		case <-time.After(5 * time.Second):
			t.Error("not delivered again within 5 s")
		}
	})
}

func TestDeafHandlerIsAbandoned(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url, ShutdownTimeout: 500 * time.Millisecond})
		taken, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
		stop := start(t, q, func(context.Context, jobs.Ring) error {
			defer close(left)
			close(taken)
			<-leave
			return nil
		})
		r := jobs.Ring{ID: "a", Epoch: 1}
		ring(t, q, r)
		<-taken
		began := time.Now()
		if err := stop(); !errors.Is(err, queue.ErrAbandoned) {
			t.Errorf("Run returned %v, want ErrAbandoned", err)
		}
		if took := time.Since(began); took > 2500*time.Millisecond {
			t.Errorf("the stop took %v", took)
		}
		if !waiting(t, q, r) {
			t.Error("abandoned, but not waiting for another worker")
		}
		close(leave)
		<-left
	})
}

func TestStopIsBoundedWhateverRedisDoes(t *testing.T) {
	for name, harm := range map[string]func(*queuetest.Server){
		"gone":  (*queuetest.Server).Kill,
		"hangs": func(s *queuetest.Server) { s.Do("CLIENT", "PAUSE", "60000") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := queuetest.Redis(t)
			q := open(t, queue.Options{URL: server.URL(), ShutdownTimeout: time.Second})
			taken := make(chan struct{})
			stop := start(t, q, func(ctx context.Context, _ jobs.Ring) error {
				close(taken)
				<-ctx.Done()
				return nil
			})
			ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
			<-taken
			harm(server)
			time.Sleep(300 * time.Millisecond) // calls get stuck
			began := time.Now()
			if err := stop(); err != nil {
				t.Errorf("Run returned %v, but its handler had ended", err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("the stop took %v", took)
			}
			server.Kill()
			time.Sleep(3 * time.Second) // Asynq's last calls fail; then goleak looks
		})
	}
}

func TestWorkerOutlivesRedis(t *testing.T) {
	server := queuetest.Redis(t)
	q := open(t, queue.Options{URL: server.URL()})
	handled := make(chan jobs.Ring, 10)
	start(t, q, func(_ context.Context, r jobs.Ring) error {
		handled <- r
		return nil
	})
	server.Kill()
	if err := q.Ping(t.Context()); err == nil {
		t.Error("Ping says nothing of a dead Redis")
	}
	if err := q.Ring(t.Context(), jobs.Ring{ID: "a", Epoch: 1}, false); err == nil {
		t.Error("Ring says nothing of a dead Redis")
	}
	server.Restart()
	r := jobs.Ring{ID: "a", Epoch: 2}
	eventually(t, 10*time.Second, "rung", func() bool { return q.Ring(t.Context(), r, false) == nil })
	select {
	case got := <-handled:
		if got != r {
			t.Errorf("handled %v, want %v", got, r)
		}
	case <-time.After(10 * time.Second):
		t.Error("not handled within 10 s")
	}
}

// With Grace a handler is not broken off at once, and nothing new is taken
// meanwhile; one that takes longer is.
func TestGraceLetsHandlersEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url, Grace: 300 * time.Millisecond, Concurrency: 1})
		taken := make(chan context.Context, 2)
		leave := make(chan struct{})
		stop := start(t, q, func(ctx context.Context, r jobs.Ring) error {
			taken <- ctx
			<-leave
			return ctx.Err()
		})
		ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
		ctx := <-taken
		ring(t, q, jobs.Ring{ID: "b", Epoch: 1})
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		<-ctx.Done() // in the end
		close(leave)
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
		for _, id := range []string{"a", "b"} {
			if !waiting(t, q, jobs.Ring{ID: id, Epoch: 1}) {
				t.Errorf("%s was broken off or never begun, but is not waiting", id)
			}
		}
	})
}

func TestWhatEndsWithinTheGraceIsDone(t *testing.T) {
	q := open(t, queue.Options{URL: "embedded", Grace: time.Minute, ShutdownTimeout: 2 * time.Minute})
	taken := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Run(ctx, func(own context.Context, _ jobs.Ring) error {
			close(taken)
			<-ctx.Done()
			time.Sleep(200 * time.Millisecond) // for a stop that would break it off at once
			return own.Err()
		})
	}()
	ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
	<-taken
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
	if d := depth(t, q); d != (queue.Depth{}) {
		t.Errorf("depth %+v: it was broken off", d)
	}
}

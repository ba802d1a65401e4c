package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

func fresh(t *testing.T, q *queue.Queue) bool {
	t.Helper()
	f, err := q.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWaitingFollowsTheRing(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		for _, low := range []bool{false, true} {
			r := jobs.Ring{ID: "a", Epoch: 1}
			if waiting(t, q, r) {
				t.Error("waiting before it was rung")
			}
			if err := q.Ring(t.Context(), r, low); err != nil {
				t.Fatal(err)
			}
			if !waiting(t, q, r) {
				t.Error("pending, but not waiting")
			}
			if waiting(t, q, jobs.Ring{ID: "a", Epoch: 2}) {
				t.Error("another epoch is waiting")
			}
			taken, leave := make(chan struct{}), make(chan struct{})
			stop := start(t, q, func(context.Context, jobs.Ring) error {
				close(taken)
				<-leave
				return nil
			})
			<-taken
			if waiting(t, q, r) {
				t.Error("a worker has it, but it is waiting")
			}
			close(leave)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if waiting(t, q, r) {
				t.Error("answered, but waiting")
			}
		}
	})
}

func TestRingWithoutItsHashIsNotWaiting(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		r := jobs.Ring{ID: "a", Epoch: 1}
		ring(t, q, r)
		q.Client().Del(t.Context(), "asynq:{lethe}:t:a:1")
		if waiting(t, q, r) {
			t.Error("waiting, but it would be dropped")
		}
		if d := depth(t, q); d.Pending != 1 {
			t.Errorf("depth %+v, want one pending: one broken task must not blind us", d)
		}
	})
}

func TestArchivedTaskIsNotWaiting(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		r := jobs.Ring{ID: "a", Epoch: 1}
		ring(t, q, r)
		if err := asynq.NewInspectorFromRedisClient(q.Client()).ArchiveTask("lethe", "a:1"); err != nil {
			t.Fatal(err)
		}
		if waiting(t, q, r) {
			t.Error("archived, but waiting")
		}
		ring(t, q, r) // the archive owns the ID: nothing happens
		if waiting(t, q, r) {
			t.Error("rung again under the same epoch, and waiting")
		}
		r.Epoch++
		ring(t, q, r)
		if !waiting(t, q, r) {
			t.Error("rung under the next epoch, but not waiting")
		}
		if d := depth(t, q); d != (queue.Depth{Pending: 1, Archived: 1}) {
			t.Errorf("depth %+v, want one pending, one archived", d)
		}
	})
}

// The keys we read ourselves are Asynq's own affair; this notices a change.
func TestDepthAgreesWithAsynq(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		inspector := asynq.NewInspectorFromRedisClient(q.Client())
		tasks := asynq.NewClientFromRedisClient(q.Client())
		for _, id := range []string{"a", "b", "c"} {
			ring(t, q, jobs.Ring{ID: id, Epoch: 1})
		}
		_, err := tasks.Enqueue(asynq.NewTask("ring", []byte("d:1")), asynq.TaskID("d:1"), asynq.Queue("lethe"), asynq.ProcessIn(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := inspector.ArchiveTask("lethe", "a:1"); err != nil {
			t.Fatal(err)
		}
		info, err := inspector.GetQueueInfo("lethe")
		if err != nil {
			t.Fatal(err)
		}
		want := queue.Depth{Pending: info.Pending, Active: info.Active, Scheduled: info.Scheduled, Retry: info.Retry, Archived: info.Archived}
		if got := depth(t, q); got != want || got != (queue.Depth{Pending: 2, Scheduled: 1, Archived: 1}) {
			t.Errorf("depth %+v, Asynq says %+v", got, want)
		}
		if !waiting(t, q, jobs.Ring{ID: "d", Epoch: 1}) {
			t.Error("scheduled, but not waiting")
		}
	})
}

func TestFlushAllMakesFresh(t *testing.T) {
	server := queuetest.Redis(t)
	for name, flush := range map[string]func(q *queue.Queue){
		"flush":   func(*queue.Queue) { server.Flush() },
		"restart": func(*queue.Queue) { server.Restart() },
	} {
		t.Run(name, func(t *testing.T) { forgets(t, server.URL(), flush) })
		server.Flush()
	}
	t.Run("embedded", func(t *testing.T) {
		forgets(t, "embedded", func(q *queue.Queue) { q.Client().FlushAll(t.Context()) })
	})
}

func forgets(t *testing.T, url string, flush func(q *queue.Queue)) {
	q := open(t, queue.Options{URL: url})
	if !fresh(t, q) {
		t.Error("a Redis that never knew us is not fresh")
	}
	r := jobs.Ring{ID: "a", Epoch: 1}
	ring(t, q, r)
	for range 2 {
		if fresh(t, q) {
			t.Error("fresh, though nothing was forgotten")
		}
	}
	flush(q)
	if waiting(t, q, r) {
		t.Error("waiting in a Redis that forgot")
	}
	if !fresh(t, q) {
		t.Error("not fresh, though all was forgotten")
	}
	if fresh(t, q) {
		t.Error("fresh twice")
	}
	// Asynq's tools must see the queue again, without a restart of this process.
	ring(t, q, r)
	names, err := asynq.NewInspectorFromRedisClient(q.Client()).Queues()
	if err != nil || len(names) != 2 {
		t.Errorf("Asynq sees the queues %v, %v, want both", names, err)
	}
}

func TestFreshIsToldToEveryProcess(t *testing.T) {
	server := queuetest.Redis(t)
	a, b := open(t, queue.Options{URL: server.URL()}), open(t, queue.Options{URL: server.URL()})
	if !fresh(t, a) || fresh(t, b) {
		t.Error("want fresh for the first, not for one that comes later")
	}
	fresh(t, a)
	fresh(t, b)
	server.Flush()
	if !fresh(t, b) || !fresh(t, a) {
		t.Error("one process did not notice the flush")
	}
	if fresh(t, a) || fresh(t, b) {
		t.Error("fresh twice")
	}
}

func TestOlderSnapshotMakesFresh(t *testing.T) {
	server := queuetest.Redis(t)
	q := open(t, queue.Options{URL: server.URL()})
	fresh(t, q)
	server.Do("SAVE")
	fresh(t, q)
	server.Restart() // SHUTDOWN saves nothing: it comes back with the snapshot
	if n := server.Do("EXISTS", "lethe:queue:checks"); n != ":1" {
		t.Fatalf("EXISTS says %s: the snapshot was not loaded", n)
	}
	if !fresh(t, q) {
		t.Error("not fresh, though Redis went back to a snapshot")
	}
}

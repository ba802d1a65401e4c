package queue_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

// syncTick is how often Asynq tries to report again, and some more.
const syncTick = 7 * time.Second

func TestDoneReplyLostIsRepaired(t *testing.T) {
	t.Parallel()
	calls, depth := loseDone(t, func(*queue.Queue) {})
	if calls != 1 || depth != (queue.Depth{}) {
		t.Errorf("handler called %d times, depth %+v, want once and empty", calls, depth)
	}
}

// Without the hook the same loss lets the task run twice. If this test fails,
// Asynq has mended its syncer, and the hook can go.
func TestDoneReplyLostRunsTwiceWithoutRepair(t *testing.T) {
	t.Parallel()
	if calls, _ := loseDone(t, (*queue.Queue).Unrepaired); calls != 2 {
		t.Errorf("handler called %d times, want 2", calls)
	}
}

// loseDone cuts the line to Redis while a handler succeeds, mends it when Asynq
// has noticed, gives it time to report again, and then starts another worker as
// if a minute had gone by.
func loseDone(t *testing.T, prepare func(*queue.Queue)) (int64, queue.Depth) {
	server := queuetest.Redis(t)
	line := newProxy(t, server.Addr(), nil)
	var log diary
	q := open(t, queue.Options{URL: line.URL(), Logger: log.logger()})
	prepare(q)
	var calls atomic.Int64
	handle := func(context.Context, jobs.Ring) error {
		if calls.Add(1) == 1 {
			line.Cut()
		}
		return nil
	}
	stop := start(t, q, handle)
	ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
	eventually(t, 30*time.Second, "Asynq notices that it cannot report", func() bool {
		return strings.Contains(log.String(), "Will retry syncing")
	})
	line.Mend()
	time.Sleep(syncTick)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	q.Client().ZAddXX(t.Context(), "asynq:{lethe}:lease", redis.Z{Score: 1, Member: "a:1"})
	again := start(t, q, handle)
	time.Sleep(3 * time.Second)
	if err := again(); err != nil {
		t.Fatal(err)
	}
	return calls.Load(), depth(t, q)
}

func TestOutOfMemoryIsCalm(t *testing.T) {
	t.Parallel()
	server := queuetest.Redis(t)
	q := open(t, queue.Options{URL: server.URL()})
	var calls atomic.Int64
	start(t, q, func(context.Context, jobs.Ring) error {
		calls.Add(1)
		return nil
	})
	for i := range 5 {
		ring(t, q, jobs.Ring{ID: strconv.Itoa(i), Epoch: 1})
	}
	eventually(t, 5*time.Second, "5 calls", func() bool { return calls.Load() == 5 })
	ring(t, q, jobs.Ring{ID: "late", Epoch: 1})
	server.Do("CONFIG", "SET", "maxmemory", "1")
	server.Do("CONFIG", "RESETSTAT")
	time.Sleep(2 * time.Second)
	stats := q.Client().Info(t.Context(), "stats").Val()
	_, rest, _ := strings.Cut(stats, "total_error_replies:")
	text, _, _ := strings.Cut(rest, "\r\n")
	if n, err := strconv.Atoi(text); err != nil || n > 100 {
		t.Errorf("%s error replies in 2 s (%v), want at most 100", text, err)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	ring(t, q, jobs.Ring{ID: "later", Epoch: 1})
	eventually(t, 5*time.Second, "work goes on", func() bool { return calls.Load() == 7 })
}

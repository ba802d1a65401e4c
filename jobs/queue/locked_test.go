package queue_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

// asLethe gives a server the user of deploy/redis.acl, with a password, and
// returns the URL with it.
func asLethe(t *testing.T, server *queuetest.Server) (url string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/redis.acl")
	if err != nil {
		t.Fatal(err)
	}
	rule, _, _ := strings.Cut(string(text), "\n")
	rule = strings.Replace(strings.TrimPrefix(rule, "user "), "#PASSWORD_SHA256", ">hunter22", 1)
	server.Do(append([]string{"ACL", "SETUSER"}, strings.Fields(rule)...)...)
	return strings.Replace(server.URL(), "redis://", "redis://lethe:hunter22@", 1)
}

// All that a queue does is allowed to the user of deploy/redis.acl. Asynq's own
// goroutines are at it too: the slowest comes every 8 s.
func TestTheUserOfTheACLIsEnough(t *testing.T) {
	t.Parallel()
	server := queuetest.Redis(t)
	var log diary
	q := open(t, queue.Options{URL: asLethe(t, server), Logger: log.logger()})
	failed := make(chan jobs.Ring, 8)
	done := make(chan jobs.Ring, 8)
	stop := start(t, q, func(_ context.Context, r jobs.Ring) error {
		if r.Epoch == 2 && len(failed) == 0 {
			failed <- r
			return errors.New("again")
		}
		done <- r
		return nil
	})
	ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
	ring(t, q, jobs.Ring{ID: "b", Epoch: 2})
	for range 2 {
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("not handled:\n%s", log.String())
		}
	}
	waiting(t, q, jobs.Ring{ID: "c", Epoch: 1})
	depth(t, q)
	fresh(t, q)
	time.Sleep(9 * time.Second)
	if err := stop(); err != nil {
		t.Error(err)
	}
	measured(t, q)
	if strings.Contains(log.String(), "NOPERM") || strings.Contains(log.String(), "hunter22") {
		t.Errorf("log:\n%s", log.String())
	}
	if denied := server.Do("ACL", "LOG"); denied != "*0" {
		t.Errorf("something was denied: %s", denied)
	}
}

// measured looks that metrics say how long a task that nobody takes has been waiting.
func measured(t *testing.T, q *queue.Queue) {
	t.Helper()
	ring(t, q, jobs.Ring{ID: "waits", Epoch: 1})
	if n := testutil.CollectAndCount(queue.NewCollector(q), "lethe_queue_latency_seconds"); n != 2 {
		t.Errorf("%d queues are measured, want 2", n)
	}
}

func TestTheUserOfTheACLCanDoNoMore(t *testing.T) {
	server := queuetest.Redis(t)
	server.Do("SET", "other", "secret")
	q := open(t, queue.Options{URL: asLethe(t, server)})
	for _, command := range [][]any{
		{"FLUSHALL"},
		{"FLUSHDB"},
		{"CONFIG", "GET", "*"},
		{"CONFIG", "SET", "dir", "/tmp"},
		{"KEYS", "*"},
		{"SCAN", "0"},
		{"SHUTDOWN"},
		{"SAVE"},
		{"BGREWRITEAOF"},
		{"REPLICAOF", "127.0.0.1", "1"},
		{"MODULE", "LIST"},
		{"ACL", "LIST"},
		{"ACL", "SETUSER", "x", "on"},
		{"CLIENT", "LIST"},
		{"MONITOR"},
		{"SCRIPT", "FLUSH"},
		{"MIGRATE", "127.0.0.1", "1", "asynq:x", "0", "1"},
		{"DUMP", "asynq:queues"},
		{"RENAME", "asynq:queues", "asynq:x"},
		{"SWAPDB", "0", "1"},
		{"GET", "other"},
		{"SET", "other", "x"},
		{"DEL", "other"},
		{"PUBLISH", "other", "x"},
		{"EVAL", "return redis.call('FLUSHALL')", "0"},
		{"EVAL", "return redis.call('GET', 'other')", "0"},
		{"FUNCTION", "LIST"},
	} {
		err := q.Client().Do(t.Context(), command...).Err()
		if err == nil || errors.Is(err, redis.Nil) || !strings.HasPrefix(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "The user executing the script can't") {
			t.Errorf("%v: %v, want that it is denied", command, err)
		}
	}
	if got := server.Do("EXISTS", "other"); got != ":1" {
		t.Error("another's key is gone")
	}
}

func TestFactsOfRedis(t *testing.T) {
	server := queuetest.Redis(t)
	q := open(t, queue.Options{URL: server.URL()})
	f, err := q.Facts(t.Context())
	if want := (queue.Facts{Loopback: true, AppendLog: "0", Eviction: "noeviction"}); err != nil || f != want {
		t.Errorf("plain: %+v, %v", f, err)
	}
	f, err = open(t, queue.Options{URL: asLethe(t, server)}).Facts(t.Context())
	if want := (queue.Facts{Loopback: true, Password: true, User: "lethe", AppendLog: "0", Eviction: "noeviction"}); err != nil || f != want {
		t.Errorf("with a password: %+v, %v", f, err)
	}
	server.Do("ACL", "SETUSER", "lethe", "-info")
	if f, err := open(t, queue.Options{URL: asLetheAgain(server)}).Facts(t.Context()); err != nil || !f.Refused {
		t.Errorf("without INFO: %+v, %v", f, err)
	}
	if f, err := open(t, queue.Options{URL: "embedded"}).Facts(t.Context()); err != nil || !f.Embedded {
		t.Errorf("embedded: %+v, %v", f, err)
	}
}

func asLetheAgain(server *queuetest.Server) string {
	return strings.Replace(server.URL(), "redis://", "redis://lethe:hunter22@", 1)
}

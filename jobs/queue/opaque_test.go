package queue_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lethe/jobs"
	"lethe/jobs/queue"
)

const personal = "alice@example.org"

// dump returns every key of Redis with its value.
func dump(t *testing.T, c redis.UniversalClient) map[string]string {
	t.Helper()
	ctx := t.Context()
	all := map[string]string{}
	keys := c.Keys(ctx, "*").Val()
	if cluster, ok := c.(*redis.ClusterClient); ok {
		var mu sync.Mutex
		keys = nil
		if err := cluster.ForEachMaster(ctx, func(ctx context.Context, server *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			keys = append(keys, server.Keys(ctx, "*").Val()...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range keys {
		var value any
		switch c.Type(ctx, key).Val() {
		case "string":
			value = c.Get(ctx, key).Val()
		case "list":
			value = c.LRange(ctx, key, 0, -1).Val()
		case "hash":
			value = c.HGetAll(ctx, key).Val()
		case "zset":
			value = c.ZRange(ctx, key, 0, -1).Val()
		case "set":
			value = c.SMembers(ctx, key).Val()
		default:
			t.Fatalf("%s has a type this test cannot read", key)
		}
		all[key] = fmt.Sprintf("%s", value)
	}
	return all
}

// unknown returns the runs of text in a stored task, which is a protobuf, that
// remain without the known ones.
func unknown(stored string, known ...string) []string {
	for _, k := range known {
		stored = strings.ReplaceAll(stored, k, "\x00")
	}
	return regexp.MustCompile(`[0-9A-Za-z@. ]{4,}`).FindAllString(stored, -1)
}

func TestPayloadIsOpaque(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		stop := start(t, q, func(context.Context, jobs.Ring) error {
			return errors.New("no such person: " + personal)
		})
		fresh(t, q)
		r := jobs.Ring{ID: "0199f0aa-7c11-7d9e-9b9b-3f6f2f1d0a11", Epoch: 7}
		ring(t, q, r)
		eventually(t, 3*time.Second, "a retry stored", func() bool { return depth(t, q).Retry == 1 })
		during := dump(t, q.Client())
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		ring(t, q, jobs.Ring{ID: "b", Epoch: 1})

		keys := regexp.MustCompile(`^(asynq:(queues|servers|workers)` +
			`|asynq:\{lethe(-low)?\}:(pending|active|lease|scheduled|retry|archived|processed.*|failed.*|t:[0-9A-Za-z_-]+:\d+)` +
			`|asynq:(servers|workers):\{.*\}|lethe:queue:checks(:\{lethe(-low)?\})?)$`)
		for _, all := range []map[string]string{during, dump(t, q.Client())} {
			for key, value := range all {
				if !keys.MatchString(key) {
					t.Errorf("unexpected key %s", key)
				}
				if strings.Contains(key+value, personal) {
					t.Errorf("%s holds personal text: %s", key, value)
				}
			}
		}
		stored := during["asynq:{lethe}:t:"+r.ID+":7"]
		if !strings.Contains(stored, r.ID) {
			t.Fatal("the task is not in Redis: this test looks at nothing")
		}
		if rest := unknown(stored, r.ID+":7", "ring", "lethe", "task failed", "state", "retry"); rest != nil {
			t.Errorf("a task also holds %q", rest)
		}
	})
}

func TestErrorTextIsNotStored(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		start(t, q, func(context.Context, jobs.Ring) error { return errors.New(personal) })
		ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
		eventually(t, 3*time.Second, "a retry stored", func() bool { return depth(t, q).Retry == 1 })
		info, err := asynq.NewInspectorFromRedisClient(q.Client()).GetTaskInfo("lethe", "a:1")
		if err != nil || info.LastErr != "task failed" {
			t.Errorf("Redis was told %q, %v", info.LastErr, err)
		}
	})
}

func TestPanicIsContained(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		var log diary
		q := open(t, queue.Options{URL: url, Logger: log.logger()})
		var calls atomic.Int64
		start(t, q, func(context.Context, jobs.Ring) error {
			if calls.Add(1) == 1 {
				panic(personal)
			}
			return nil
		})
		ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
		eventually(t, 3*time.Second, "a retry stored", func() bool { return depth(t, q).Retry == 1 })
		info, err := asynq.NewInspectorFromRedisClient(q.Client()).GetTaskInfo("lethe", "a:1")
		if err != nil || info.LastErr != "task panicked" {
			t.Errorf("Redis was told %q, %v", info.LastErr, err)
		}
		eventually(t, 6*time.Second, "second call", func() bool { return calls.Load() == 2 })
		if text := log.String(); !strings.Contains(text, "handler panicked") || strings.Contains(text, personal) {
			t.Errorf("the log must tell of the panic but not its value:\n%s", text)
		}
	})
}

func TestUsedUpRetriesAreDropped(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		q := open(t, queue.Options{URL: url})
		tasks := asynq.NewClientFromRedisClient(q.Client())
		_, err := tasks.Enqueue(asynq.NewTask("ring", []byte("a:1")), asynq.TaskID("a:1"), asynq.Queue("lethe"), asynq.MaxRetry(0))
		if err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		start(t, q, func(context.Context, jobs.Ring) error {
			calls.Add(1)
			return errors.New("no")
		})
		eventually(t, 3*time.Second, "call", func() bool { return calls.Load() == 1 })
		eventually(t, 3*time.Second, "queue and archive empty", func() bool { return depth(t, q) == queue.Depth{} })
	})
}

func TestStrangersTaskIsDropped(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		var log diary
		q := open(t, queue.Options{URL: url, Logger: log.logger()})
		tasks := asynq.NewClientFromRedisClient(q.Client())
		for _, payload := range []string{personal, "", "a:01", "a:1:2", "a:+1", ":1"} {
			if _, err := tasks.Enqueue(asynq.NewTask("mail", []byte(payload)), asynq.Queue("lethe")); err != nil {
				t.Fatal(err)
			}
		}
		start(t, q, func(_ context.Context, r jobs.Ring) error {
			t.Errorf("handler got %v", r)
			return nil
		})
		eventually(t, 3*time.Second, "queue empty", func() bool { return depth(t, q) == queue.Depth{} })
		if text := log.String(); !strings.Contains(text, "none of ours") || strings.Contains(text, personal) {
			t.Errorf("the log must tell of it but not repeat the payload:\n%s", text)
		}
	})
}

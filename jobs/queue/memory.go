package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lethe/audit/fault"
	"lethe/jobs"
)

// The queues. They are not called "default", so that another program of
// Asynq's in the same Redis does not take our Rings.
const (
	promptQueue = "lethe"
	lowQueue    = "lethe-low"
)

const (
	queuesKey = "asynq:queues"       // the set by which Asynq's tools find queues
	workersOf = "asynq:servers"      // who is in Run, by when that is to be said again
	checksKey = "lethe:queue:checks" // counts calls of Fresh by anybody; see checkKeys
)

func queues() []string { return []string{promptQueue, lowQueue} }

// key returns the Redis key of one part of a queue, in Asynq's layout.
func key(queue, part string) string { return "asynq:{" + queue + "}:" + part }

// Waiting reports whether the queue will still deliver r: it is pending,
// scheduled or waits for a retry. It does not if a worker has it now, if it was
// answered, if it died in the archive, or if Redis never heard of it.
func (q *Queue) Waiting(ctx context.Context, r jobs.Ring) (bool, error) {
	id := format(r)
	pipe := q.client.Pipeline()
	var held []*redis.IntCmd
	var places []redis.Cmder
	for _, name := range queues() {
		// A task moves from scheduled and retry to pending: to ask in this
		// order sees it at least once.
		held = append(held, pipe.Exists(ctx, key(name, "t:"+id)))
		places = append(places,
			pipe.ZScore(ctx, key(name, "scheduled"), id),
			pipe.ZScore(ctx, key(name, "retry"), id),
			pipe.LPos(ctx, key(name, "pending"), id, redis.LPosArgs{}))
	}
	if err := q.exec(ctx, pipe); err != nil {
		return false, fmt.Errorf("look for a ring: %w", err)
	}
	for i := range held {
		// Without its hash a task in a list is dropped when its turn comes.
		if held[i].Val() == 1 && anyFound(places[i*3:i*3+3]) {
			return true, nil
		}
	}
	return false, nil
}

func anyFound(cmds []redis.Cmder) bool {
	for _, c := range cmds {
		if c.Err() == nil {
			return true
		}
	}
	return false
}

// exec runs a pipeline. That a key or a member is missing is no error.
func (q *Queue) exec(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	if err == nil {
		return nil
	}
	for _, c := range cmds {
		if e := c.Err(); e != nil && !errors.Is(e, redis.Nil) {
			return q.source.clean(e)
		}
	}
	return nil
}

// checkKeys are the counters by which Fresh knows: one, or in a Cluster one on
// the server of each queue, for each server forgets for itself.
func (s source) checkKeys() []string {
	if !s.isCluster() {
		return []string{checksKey}
	}
	var keys []string
	for _, name := range queues() {
		keys = append(keys, checksKey+":{"+name+"}")
	}
	return keys
}

// Fresh reports whether this Redis has forgotten: it never knew us, or it was
// flushed, replaced or put back to an older snapshot since this Queue last
// asked. It says so once to each process; whatever waited there must be rung
// again. A loss that is younger than the last call can go unseen.
//
// It also writes the queues' names where Asynq's tools look for them, which
// Asynq itself does only once in the life of a client.
func (q *Queue) Fresh(ctx context.Context) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pipe := q.client.Pipeline()
	pipe.SAdd(ctx, queuesKey, promptQueue, lowQueue)
	var counts []*redis.IntCmd
	for _, key := range q.source.checkKeys() {
		counts = append(counts, pipe.Incr(ctx, key))
	}
	if err := q.exec(ctx, pipe); err != nil {
		return false, fmt.Errorf("ask whether redis forgot: %w", err)
	}
	fresh := false
	for i, count := range counts {
		n := count.Val()
		fresh = fresh || n == 1 || n <= q.checks[i]
		q.checks[i] = n
	}
	return fresh && !fault.Bug("queue/never-fresh"), nil
}

// A Depth counts tasks by what they wait for.
type Depth struct {
	Pending   int // will be taken next
	Active    int // with a worker, alive or not
	Scheduled int // always 0 today
	Retry     int // will be pending again within a minute
	Archived  int // dead; the reconciler rings again
}

// Depth counts what all queues hold now. It costs one round trip.
func (q *Queue) Depth(ctx context.Context) (sum Depth, _ error) {
	all, err := q.depths(ctx)
	for _, d := range all {
		sum.Pending += d.Pending
		sum.Active += d.Active
		sum.Scheduled += d.Scheduled
		sum.Retry += d.Retry
		sum.Archived += d.Archived
	}
	return sum, err
}

// depths counts what each queue holds now, in the order of queues.
func (q *Queue) depths(ctx context.Context) ([]Depth, error) {
	pipe := q.client.Pipeline()
	var parts [][5]*redis.IntCmd
	for _, name := range queues() {
		parts = append(parts, [5]*redis.IntCmd{
			pipe.LLen(ctx, key(name, "pending")), pipe.LLen(ctx, key(name, "active")),
			pipe.ZCard(ctx, key(name, "scheduled")), pipe.ZCard(ctx, key(name, "retry")),
			pipe.ZCard(ctx, key(name, "archived")),
		})
	}
	if err := q.exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("count tasks: %w", err)
	}
	all := make([]Depth, len(parts))
	for i, p := range parts {
		all[i] = Depth{Pending: int(p[0].Val()), Active: int(p[1].Val()), Scheduled: int(p[2].Val()), Retry: int(p[3].Val()), Archived: int(p[4].Val())}
	}
	return all, nil
}

// Crew counts the processes that are in Run. One that died is counted for up to
// 10 s more.
func (q *Queue) Crew(ctx context.Context) (int, error) {
	alive, err := q.client.ZRangeByScore(ctx, workersOf, &redis.ZRangeBy{
		Min: strconv.FormatInt(time.Now().Unix(), 10), Max: "+inf",
	}).Result()
	if err != nil {
		return 0, fmt.Errorf("count processes: %w", q.source.clean(err))
	}
	return len(alive), nil
}

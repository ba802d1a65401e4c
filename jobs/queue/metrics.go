package queue

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// askLimit bounds what a scrape waits for Redis.
const askLimit = time.Second

// A Collector reports what Redis holds of our queues when it is asked. If Redis does
// not answer within a second, lethe_queue_up is 0 and there is nothing else: what the
// queue held a while ago would look like what it holds.
//
// It reads Asynq's keys itself. Asynq's Inspector fails for all queues once one task
// has lost its hash, and knows no queue after a flush.
type Collector struct {
	q                  *Queue
	up, tasks, latency *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for q, to be registered once.
func NewCollector(q *Queue) *Collector {
	return &Collector{
		q:       q,
		up:      prometheus.NewDesc("lethe_queue_up", "1 if the queue answers within a second.", nil, nil),
		tasks:   prometheus.NewDesc("lethe_queue_tasks", "Tasks that the queue holds, by state; archived ones are dead, and the ledger rings for them again.", []string{"queue", "state"}, nil),
		latency: prometheus.NewDesc("lethe_queue_latency_seconds", "For how long the task that is to be taken next has been waiting; 0 if none is.", []string{"queue"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.up; ch <- c.tasks; ch <- c.latency }

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	depths, err := c.q.depths(ctx)
	waits := make([]time.Duration, len(depths))
	for i := range depths {
		if err == nil && depths[i].Pending > 0 {
			waits[i], err = c.q.latency(ctx, queues()[i])
		}
	}
	if err != nil {
		gauge(c.up, 0)
		return
	}
	gauge(c.up, 1)
	for i, name := range queues() {
		d := depths[i]
		for state, n := range map[string]int{"pending": d.Pending, "active": d.Active, "scheduled": d.Scheduled, "retry": d.Retry, "archived": d.Archived} {
			gauge(c.tasks, float64(n), name, state)
		}
		gauge(c.latency, waits[i].Seconds(), name)
	}
}

// latency is how long the task that is to be taken next has been pending. One that
// has just been taken, or has lost its hash, has not been waiting.
func (q *Queue) latency(ctx context.Context, queue string) (time.Duration, error) {
	pipe := q.client.Pipeline()
	next := pipe.LIndex(ctx, key(queue, "pending"), -1)
	if err := q.exec(ctx, pipe); err != nil || next.Val() == "" {
		return 0, err
	}
	pipe = q.client.Pipeline()
	since := pipe.HGet(ctx, key(queue, "t:"+next.Val()), "pending_since") // nanoseconds
	if err := q.exec(ctx, pipe); err != nil {
		return 0, err
	}
	at, err := strconv.ParseInt(since.Val(), 10, 64)
	if err != nil {
		return 0, nil //nolint:nilerr // see above
	}
	return max(0, time.Since(time.Unix(0, at))), nil
}

package queue_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

// BenchmarkPickup measures how long a Ring waits for an idle worker. It should
// be half of the polling interval, about 50 ms, with a jitter between rings so
// that they do not fall into step with the polls. Try -benchtime 100x.
func BenchmarkPickup(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { pickup(b, "embedded") })
	b.Run("redis", func(b *testing.B) { pickup(b, queuetest.Redis(b).URL()) })
}

func pickup(b *testing.B, url string) {
	q := open(b, queue.Options{URL: url})
	picked := make(chan time.Time)
	start(b, q, func(context.Context, jobs.Ring) error {
		picked <- time.Now()
		return nil
	})
	var sum, worst time.Duration
	n := 0
	for b.Loop() {
		time.Sleep(rand.N(300 * time.Millisecond))
		rung := time.Now()
		ring(b, q, jobs.Ring{ID: strconv.Itoa(n), Epoch: 1})
		took := (<-picked).Sub(rung)
		sum, worst, n = sum+took, max(worst, took), n+1
	}
	b.ReportMetric(0, "ns/op") // it holds the jitter
	b.ReportMetric(float64(sum.Microseconds())/float64(n)/1000, "ms/pickup")
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms/worst")
}

// BenchmarkRing measures ringing alone.
func BenchmarkRing(b *testing.B) {
	for name, url := range map[string]string{"embedded": "embedded", "redis": queuetest.Redis(b).URL()} {
		b.Run(name, func(b *testing.B) {
			q := open(b, queue.Options{URL: url})
			n := 0
			for b.Loop() {
				ring(b, q, jobs.Ring{ID: strconv.Itoa(n), Epoch: int64(b.N)})
				n++
			}
		})
	}
}

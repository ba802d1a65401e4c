package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"

	"lethe/jobs"
)

// ErrAbandoned says that handlers were still running when Run gave up waiting.
// What they work on will be delivered again; they must not be trusted to have
// stopped.
var ErrAbandoned = errors.New("handlers did not end in time")

const (
	pollInterval    = 100 * time.Millisecond // a Ring waits half of it on average
	delayedInterval = time.Second

	// What a stop may take beyond ShutdownTimeout. When Redis hangs, Asynq would
	// wait for each of its calls to time out.
	stopSlack = 1500 * time.Millisecond
)

// The share of each queue when both have tasks waiting.
const (
	promptShare = 6
	lowShare    = 1
)

// Run calls handle for each Ring that comes, at most Concurrency at once, until
// ctx is done; then it waits up to ShutdownTimeout for handlers to end. It
// returns nil, or ErrAbandoned if some did not. A Redis that is not there is
// waited for.
//
// A Ring is answered if handle returns nil or an error wrapping jobs.ErrStale.
// Whatever else it returns or panics with brings the Ring back after a second
// or more, five times at most. The context handle gets ends with ctx, or Grace
// later, and after 24 hours. The same Ring may be with two handlers at once, if one of them did
// not heed its context or Redis was away; the claim in the ledger decides.
//
// The errors that handle returns are logged, so they must name nobody; they are
// not stored.
func (q *Queue) Run(ctx context.Context, handle func(context.Context, jobs.Ring) error) error {
	client := q.source.connect(q.opts.Concurrency)
	if !q.unrepaired {
		client.AddHook(repair{})
	}
	d := &desk{stop: ctx, grace: q.opts.Grace, handle: handle, log: q.log}
	client.AddHook(pulse{turned: q.opts.Pulse.Begin(), full: func() bool { return d.running.Load() >= int64(q.opts.Concurrency) }})
	server := asynq.NewServerFromRedisClient(client, q.config(d))
	if err := server.Start(asynq.HandlerFunc(d.process)); err != nil {
		return errors.Join(fmt.Errorf("run queue: %w", err), client.Close())
	}
	<-ctx.Done()
	q.stop(server, client)
	if n := d.running.Load(); n > 0 {
		q.log.LogAttrs(ctx, slog.LevelWarn, "handlers abandoned", slog.Int64("handlers", n))
		return fmt.Errorf("run queue: %w", ErrAbandoned)
	}
	return nil
}

// stop shuts the server down, and waits for it no longer than it promised. The
// client is closed last, whenever that is: to close it under a living server
// panics in Asynq (subscriber.go takes a nil message).
func (q *Queue) stop(server *asynq.Server, client io.Closer) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Shutdown()
		_ = client.Close() // all was said; there is nothing to do about an error
	}()
	timer := time.NewTimer(q.opts.ShutdownTimeout + stopSlack)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

func (q *Queue) config(d *desk) asynq.Config {
	return asynq.Config{
		Concurrency:              q.opts.Concurrency,
		Queues:                   map[string]int{promptQueue: promptShare, lowQueue: lowShare},
		TaskCheckInterval:        pollInterval,
		DelayedTaskCheckInterval: delayedInterval,
		ShutdownTimeout:          q.opts.ShutdownTimeout,
		RetryDelayFunc:           delay,
		IsFailure:                func(err error) bool { return !isInterruption(err) },
		ErrorHandler:             asynq.ErrorHandlerFunc(d.unanswered),
		Logger:                   clerk{log: q.log, clean: q.source.cleanText},
		LogLevel:                 asynq.InfoLevel,
	}
}

// delay says how long a Ring waits after its n-th failure, counted from 0.
func delay(n int, err error, _ *asynq.Task) time.Duration {
	if isInterruption(err) {
		return 0
	}
	d := time.Second << min(n, maxRetry)
	return d + rand.N(d/2) // so that what failed together does not come back together
}

// isInterruption reports whether a worker was taken away from a task, rather
// than the task having failed.
func isInterruption(err error) bool {
	return errors.Is(err, asynq.ErrLeaseExpired) || errors.Is(err, errStopped)
}

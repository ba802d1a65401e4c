package queue

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"lethe/audit/fault"
	"lethe/jobs"
)

// All that Asynq is told of a task that was not answered. It stores the text.
var (
	errFailed   = errors.New("task failed")
	errPanicked = errors.New("task panicked")
	errStopped  = errors.New("worker stopped")
)

// A desk takes tasks from Asynq and hands Rings to the handler.
type desk struct {
	stop    context.Context // Run's own, heard by every handler
	grace   time.Duration   // so much later
	handle  func(context.Context, jobs.Ring) error
	log     *slog.Logger
	running atomic.Int64
}

// process answers one task.
func (d *desk) process(ctx context.Context, t *asynq.Task) error {
	r, err := parse(string(t.Payload()))
	if err != nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "dropped a task that is none of ours: another program uses this redis database")
		return asynq.RevokeTask
	}
	if d.stop.Err() != nil {
		return lastly(ctx, errStopped)
	}
	// Asynq must not see the stop in its own context: it would let go of the
	// handler at once instead of waiting for it.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.stop, func() { time.AfterFunc(d.grace, cancel) })()
	fault.Point("queue/taken")
	err = d.call(ctx, r)
	fault.Point("queue/ack")
	return lastly(ctx, d.verdict(ctx, r, err))
}

// call runs the handler and turns a panic into errPanicked. The value of the
// panic is lost on purpose: nobody knows what it holds.
func (d *desk) call(ctx context.Context, r jobs.Ring) (err error) {
	d.running.Add(1)
	defer d.running.Add(-1)
	defer func() {
		if recover() != nil {
			d.log.LogAttrs(ctx, slog.LevelError, "handler panicked",
				slog.String("ring_id", r.ID), slog.String("stack", string(debug.Stack())))
			err = errPanicked
		}
	}()
	return d.handle(ctx, r)
}

// verdict is the one table that says what Asynq is told for what the handler
// returned.
func (d *desk) verdict(ctx context.Context, r jobs.Ring, err error) error {
	switch {
	case err == nil, errors.Is(err, jobs.ErrStale):
		return nil
	case errors.Is(err, errPanicked):
		return errPanicked
	case d.stop.Err() != nil:
		return errStopped
	}
	d.log.LogAttrs(ctx, slog.LevelWarn, "task failed",
		slog.String("ring_id", r.ID), slog.Int64("epoch", r.Epoch), slog.Any("error", err))
	if fault.Bug("queue/error-told") {
		return err
	}
	return errFailed
}

// lastly drops a task that Asynq would archive, because its retries are used
// up: the ledger knows, and the reconciler rings again.
func lastly(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	retried, _ := asynq.GetRetryCount(ctx)
	limit, known := asynq.GetMaxRetry(ctx)
	if known && retried >= limit {
		return asynq.RevokeTask
	}
	return err
}

// unanswered is told of every attempt that did not succeed. What process
// decided has been logged; the rest are handlers that Asynq gave up on.
func (d *desk) unanswered(ctx context.Context, t *asynq.Task, err error) {
	if !errors.Is(err, asynq.ErrLeaseExpired) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return
	}
	r, _ := parse(string(t.Payload()))
	d.log.LogAttrs(ctx, slog.LevelWarn, "handler given up: it may still run",
		slog.String("ring_id", r.ID), slog.Int64("epoch", r.Epoch), slog.Any("error", err))
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

const (
	// patience is after how many attempts a batch that fails is split, to find
	// the ID that keeps it from finishing.
	patience = 3

	// A batch that was begun and not answered this often runs alone: if its
	// worker dies again, nothing else can have been the reason.
	suspicious = 2

	// A batch that was begun and not answered this often, at least once of it
	// alone, is not tried again as it is.
	deadly = 3

	// Before one ID that kills its worker is tried again. Workers may die of
	// something else a few times, so it begins with little.
	shortRest = 5 * time.Second
	longRest  = time.Hour
)

// everyBatch is more than a process ever has at work.
const everyBatch = 1 << 20

// A batch that is to run alone waits for the others, and rests if they go on.
const (
	aloneWait = 2 * time.Second
	aloneRest = 10 * time.Second
	noteApart = "apart" // its code; see jobs.Job.Note
)

// noteDeadly is the code of an ID that was set aside; see jobs.Job.Note.
const noteDeadly = "kills-its-worker"

// apart keeps a batch whose worker may have died of it apart from all others in
// this process, and returns how to let them in again. While it waits for those
// that are at work nobody else begins, so it does not wait for long: a store
// that hangs must not keep every other from its work.
func (e *Eraser) apart(ctx context.Context, t jobs.Task) (release func(), err error) {
	e.once.Do(func() { e.batches = semaphore.NewWeighted(everyBatch) })
	share, wait := int64(1), ctx
	if t.Crashes >= suspicious {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, aloneWait)
		defer cancel()
		share = everyBatch
	}
	if err := e.batches.Acquire(wait, share); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &waitError{aloneRest, noteApart}
	}
	return func() { e.batches.Release(share) }, nil
}

// quarantine answers a batch that kills its worker: its halves are tried, each
// alone, so that the others finish; an only ID is set aside.
func (e *Eraser) quarantine(ctx context.Context, t jobs.Task, b jobs.Batch) error {
	e.Logger.WarnContext(ctx, "a batch kills its worker, it is kept apart", slog.String("request_id", t.Request),
		slog.String("store", t.Store), slog.Int("ids", len(b.IDs)), slog.Int("crashes", b.Crashes))
	if len(b.IDs) == 1 {
		e.Metrics.batch(t.Store, "refused")
		return e.Ledger.Refuse(ctx, t, suspicious, restFrom(b.Attempts), noteDeadly)
	}
	e.Metrics.batch(t.Store, "split")
	b.Crashes = suspicious
	return e.Ledger.Split(ctx, t, b, len(b.IDs)/2, 0)
}

// restFrom is how long one ID is left alone after n attempts at it and at the
// batches that it was in: an ID that was found by halving is left for long at
// once.
func restFrom(n int) time.Duration {
	return min(shortRest<<min(max(n-deadly-1, 0), 10), longRest)
}

// isolate answers a batch that failed with cause. After some patience, and if
// the store still answers, it is split, so that its other IDs finish; an only ID
// is set aside as refused.
func (e *Eraser) isolate(ctx context.Context, t jobs.Task, s *Store, b jobs.Batch, cause error) error {
	if ctx.Err() != nil || b.Attempts < patience {
		return cause
	}
	if errors.Is(cause, store.ErrBusy) || errors.Is(cause, store.ErrUnavailable) {
		return cause
	}
	if _, err := s.Remaining(ctx, b.IDs[:1]); err != nil {
		return cause // an outage: splitting would not help
	}
	if len(b.IDs) == 1 {
		e.Metrics.batch(t.Store, "refused")
		e.Logger.WarnContext(ctx, "an ID is not erased and is set aside", slog.String("request_id", t.Request),
			slog.String("store", t.Store), slog.Int("attempt", t.Attempts), slog.Any("error", cause))
		return e.Ledger.Refuse(ctx, t, b.Crashes, backoff(t.Attempts), note(cause))
	}
	e.Metrics.batch(t.Store, "split")
	if err := e.Ledger.Split(ctx, t, b, len(b.IDs)/2, 50*time.Millisecond); err != nil {
		return errors.Join(cause, err)
	}
	return nil
}

// account answers a batch of a request that is being cancelled. Nothing more is
// erased, but what an earlier attempt has erased, which failed or died before
// it could say so, or what went along with another batch, is found by reading and
// gets its receipt: the end of the request must not say less than was done.
func (e *Eraser) account(ctx context.Context, t jobs.Task, s *Store, b jobs.Batch) error {
	if fault.Bug("worker/cancel-without-looking") {
		return jobs.ErrStopped
	}
	gone, rest, err := e.gone(ctx, t, s, b)
	if err != nil {
		return fmt.Errorf("read batch %d that may have been erased before its request was cancelled: %w", b.Seq, err)
	}
	switch {
	case len(gone) == 0:
		return jobs.ErrStopped
	case len(rest) > 0 && b.Touched: // in two batches they can be told apart
		b.IDs = append(gone, rest...)
		return e.Ledger.Split(ctx, t, b, len(gone), 0)
	case len(rest) > 0: // of the rest nothing was erased
		b.IDs = append(rest, gone...)
		return e.Ledger.SplitSpared(ctx, t, b, len(rest), 0)
	}
	receipt := make(store.Receipt, len(b.IDs))
	for i := range receipt {
		receipt[i] = store.Erased
	}
	return e.finish(ctx, t, b, receipt)
}

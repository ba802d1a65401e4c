package worker

import (
	"context"
	"log/slog"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// A touch is what one attempt at a batch is known to have done in its store.
type touch struct {
	called  bool          // Erase was, and may have erased
	receipt store.Receipt // what it answered; nil for nothing
}

// disown tells the ledger what an attempt that ends with cause has not erased:
// all, if it did not come as far as the store's Erase or nothing was there any
// more, or the IDs that were absent. Of these the next attempt must not say that
// they were erased, for another request's batch may have them on its receipt. It
// returns true if that has answered the task, because only some were absent: they
// are a batch of their own then.
//
// If the ledger cannot be told, the attempt counts as one that may have erased.
func (e *Eraser) disown(ctx context.Context, t jobs.Task, b jobs.Batch, did touch, cause error) (answered bool) {
	if b.ID == "" || b.Touched || fault.Bug("worker/disowns-nothing") {
		return false // not begun; or an earlier attempt may have erased what was absent now
	}
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	erased, absent := did.receipt.Count(store.Erased), did.receipt.Count(store.Absent)
	switch {
	case did.called && did.receipt == nil:
		return false
	case erased == 0:
		_ = e.Ledger.Spared(ctx, b) // see above; what is wrong with the ledger, the answer tells
		return false
	case absent == 0:
		return false
	}
	var first, rest []store.ID
	for i, id := range b.IDs {
		if did.receipt[i] == store.Absent {
			first = append(first, id)
		} else {
			rest = append(rest, id)
		}
	}
	b.IDs = append(first, rest...)
	after := backoff(t.Attempts)
	if stopping {
		after = 0
	}
	if err := e.Ledger.SplitSpared(ctx, t, b, len(first), after); err != nil {
		return false
	}
	e.Metrics.batch(t.Store, "split")
	if !stopping {
		e.Logger.WarnContext(ctx, "a batch failed and will be tried again, without what was absent", slog.String("request_id", t.Request),
			slog.String("store", t.Store), slog.Int("attempt", t.Attempts), slog.Any("error", cause))
	}
	return true
}

package ledger

import (
	"context"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
)

// mayBeTouched says of a batch, before its open is written, whether an attempt
// may have erased of it. One that is open, and of which nothing else was said, may.
func mayBeTouched() string {
	if fault.Bug("ledger/untouched") {
		return `touched`
	}
	return `CASE WHEN open = 1 THEN 1 ELSE touched END`
}

// Spared says of the attempt that b was begun with that it has erased nothing,
// and will not: whether b is touched is then as it was before. It may be said of
// a task that is another's by now, but has no effect once somebody has begun b
// again, or has finished it.
func (l *Ledger) Spared(ctx context.Context, b jobs.Batch) error {
	return l.exec(ctx, "spare batch", `UPDATE batches SET open = 0 WHERE id = ? AND attempts = ? AND done_at IS NULL`, b.ID, b.Attempts)
}

// SplitSpared is a Split of a batch of whose first IDs this attempt has erased
// none, so that they are touched only if they were before.
func (l *Ledger) SplitSpared(ctx context.Context, t jobs.Task, b jobs.Batch, at int, after time.Duration) error {
	return l.split(ctx, t, b, at, after, `touched`)
}

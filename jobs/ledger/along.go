package ledger

import (
	"context"
	"fmt"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// hasAlong says of a row of the outbox that something may have gone along with a
// batch of its job.
const hasAlong = `EXISTS (SELECT 1 FROM batches a WHERE a.job = outbox.job AND a.along IS NOT NULL)`

// GoesAlong keeps what goes from the store along with the batch b of a claimed
// task, for the other batches of its job. It replaces what it was told before in
// the same attempt, and b.Along, of earlier ones, stays. If the request is being
// cancelled, whatever of the job has no task any more gets one: somebody has to
// look what has gone. Nothing is written if the job has no other batch to come.
func (l *Ledger) GoesAlong(ctx context.Context, t jobs.Task, b jobs.Batch, also []store.ID) error {
	var others bool
	err := l.read.GetContext(ctx, &others, l.read.Rebind(`SELECT EXISTS (SELECT 1 FROM batches WHERE job = ? AND id <> ? AND done_at IS NULL)`), t.Job, t.Batch)
	if err != nil {
		return fmt.Errorf("keep what goes along: %w", err)
	}
	if !others {
		return nil
	}
	sealed, err := l.sealIDs(t.Request, alongContext(t.Job), texts(append(b.Along[:len(b.Along):len(b.Along)], also...)))
	if err != nil {
		return fmt.Errorf("keep what goes along: %w", err)
	}
	err = l.ordered(ctx, "keep what goes along", t, func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET along = ? WHERE id = ?`), sealed, t.Batch); err != nil {
			return err
		}
		var lost []string
		err := tx.SelectContext(ctx, &lost, tx.Rebind(`SELECT b.id FROM batches b JOIN jobs j ON j.id = b.job JOIN requests r ON r.id = j.request
			WHERE b.job = ? AND b.done_at IS NULL AND r.cancelling = 1 AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.job = b.job AND o.batch = b.id) ORDER BY b.seq`), t.Job)
		if err != nil {
			return err
		}
		if fault.Bug("ledger/along-unlooked") {
			return nil
		}
		for _, id := range lost {
			if err := ring(ctx, tx, row{Kind: jobs.BatchTask, Request: t.Request, Job: t.Job, Batch: id, Store: t.Store, NextAt: millis(l.now())}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		l.wake()
	}
	return err
}

// GoneAlong returns those of ids that may have gone along with batches of the
// round of b, a claimed task's. What came back since, and was found by a later
// round, has not. It keeps what went along with one batch in memory at a time.
func (l *Ledger) GoneAlong(ctx context.Context, t jobs.Task, b jobs.Batch, ids []store.ID) (map[store.ID]bool, error) {
	asked, gone := make(map[store.ID]bool, len(ids)), make(map[store.ID]bool)
	for _, id := range ids {
		asked[id] = true
	}
	of := `SELECT along FROM batches WHERE job = ? AND along IS NOT NULL AND round = ?`
	if fault.Bug("ledger/along-of-any-round") {
		of = `SELECT along FROM batches WHERE job = ? AND along IS NOT NULL AND round <= ?`
	}
	rows, err := l.read.QueryxContext(ctx, l.read.Rebind(of), t.Job, b.Round)
	if err != nil {
		return nil, fmt.Errorf("read what went along: %w", err)
	}
	defer rows.Close()
	for len(gone) < len(asked) && rows.Next() {
		var sealed []byte
		if err := rows.Scan(&sealed); err != nil {
			return nil, fmt.Errorf("read what went along: %w", err)
		}
		also, err := l.idsOf(t.Request, alongContext(t.Job), sealed)
		if err != nil {
			return nil, fmt.Errorf("read what went along: %w", err)
		}
		for _, id := range also {
			if asked[id] {
				gone[id] = true
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what went along: %w", err)
	}
	return gone, nil
}

// alongContext is of the job, since batches are replaced by others.
func alongContext(job string) string { return "along " + job }

// idsOf unseals IDs of a store.
func (l *Ledger) idsOf(request, context string, sealed []byte) ([]store.ID, error) {
	keys, err := l.unsealIDs(request, context, sealed)
	if err != nil {
		return nil, err
	}
	ids := make([]store.ID, len(keys))
	for i, k := range keys {
		if ids[i], err = store.ParseID(k); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

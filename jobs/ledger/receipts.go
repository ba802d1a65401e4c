package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"lethe/jobs"
)

// Receipts implements jobs.Ledger. It keeps one row in memory at a time.
func (l *Ledger) Receipts(ctx context.Context, request string) iter.Seq2[jobs.BatchReceipt, error] {
	return func(yield func(jobs.BatchReceipt, error) bool) {
		rows, err := l.read.QueryxContext(ctx, l.read.Rebind(`SELECT b.id, b.job, b.leaves FROM batches b JOIN jobs j ON j.id = b.job
			WHERE j.request = ? AND b.root IS NOT NULL ORDER BY j.seq, b.seq`), request)
		if err != nil {
			yield(jobs.BatchReceipt{}, fmt.Errorf("read receipts: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var r jobs.BatchReceipt
			var leaves sql.RawBytes // the driver's own, to spare a copy of 32 MB for a million IDs
			if err := rows.Scan(&r.Batch, &r.Job, &leaves); err != nil {
				yield(r, fmt.Errorf("read receipts: %w", err))
				return
			}
			if len(leaves)%32 != 0 {
				yield(r, errors.New("read receipts: a receipt is damaged"))
				return
			}
			if r.Leaves = leaves; !yield(r, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(jobs.BatchReceipt{}, fmt.Errorf("read receipts: %w", err))
		}
	}
}

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lethe/audit"
	"lethe/audit/fault"
	"lethe/jobs"
)

// Enqueue takes ready rows whose time has come, for each store at most as many
// as fill its window, marks them queued and returns their rings. Rows of
// different jobs take turns, so that a large request does not starve a small
// one.
func (l *Ledger) Enqueue(ctx context.Context, windows map[string]int) ([]jobs.Ring, error) {
	now := millis(l.now())
	var waiting []struct {
		Store   string
		Pending int
	}
	// Asked of the readers first: an idle relay must not take the writer.
	err := l.read.SelectContext(ctx, &waiting, l.read.Rebind(`
		SELECT store, (SELECT COUNT(*) FROM outbox p WHERE p.store = o.store AND p.state <> 'ready') AS pending
		FROM outbox o WHERE state = 'ready' AND next_at <= ? GROUP BY store`), now)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	var rings []jobs.Ring
	for _, w := range waiting {
		if windows[w.Store] > w.Pending {
			some, err := l.enqueue(ctx, w.Store, windows[w.Store], now)
			if err != nil {
				return rings, fmt.Errorf("take from outbox: %w", err)
			}
			rings = append(rings, some...)
		}
	}
	return rings, nil
}

func (l *Ledger) enqueue(ctx context.Context, store string, window int, now int64) (rings []jobs.Ring, err error) {
	err = l.write(ctx, func(ctx context.Context, tx *audit.Tx) error {
		// Counted anew: another relay may have filled the window since.
		var pending int
		if err := tx.GetContext(ctx, &pending, tx.Rebind(`SELECT COUNT(*) FROM outbox WHERE store = ? AND state <> 'ready'`), store); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rings, tx.Rebind(`
			UPDATE outbox SET state = 'queued', queued_at = ? WHERE id IN (
				SELECT id FROM (SELECT id, next_at, ROW_NUMBER() OVER (PARTITION BY job ORDER BY next_at, id) AS turn
					FROM outbox WHERE state = 'ready' AND next_at <= ? AND store = ?) AS ready
				ORDER BY turn, next_at LIMIT ?)
			RETURNING id, epoch`), now, now, store, max(0, window-pending))
	})
	return rings, err
}

// Unqueue makes a queued row ready again, because the queue did not take it.
// The epoch stays: if the queue took it after all, one claim still wins.
func (l *Ledger) Unqueue(ctx context.Context, r jobs.Ring, after time.Duration) error {
	return l.exec(ctx, "unqueue", `UPDATE outbox SET state = 'ready', next_at = ? WHERE id = ? AND epoch = ? AND state = 'queued'`,
		millis(l.now().Add(after)), r.ID, r.Epoch)
}

// Claim takes the row of r for owner until the lease ends. It returns
// jobs.ErrStale if the row is gone, has another epoch, or is taken: then there
// is nothing to do. So it does while the log refuses to append: the row stays,
// and is rung again when it is overdue. The attempt is counted before the work,
// so that a crash counts.
func (l *Ledger) Claim(ctx context.Context, r jobs.Ring, owner string, lease time.Duration) (jobs.Task, error) {
	if l.log.Refusal() != nil {
		return jobs.Task{}, jobs.ErrStale
	}
	var task struct {
		Kind, Request, Job, Batch, Store string
		Attempts, Crashes                int
	}
	err := l.write(ctx, func(ctx context.Context, tx *audit.Tx) error {
		return tx.GetContext(ctx, &task, tx.Rebind(`
			UPDATE outbox SET state = 'running', attempts = attempts + 1, owner = ?, lease_until = ?
			WHERE id = ? AND epoch = ? AND state IN ('ready', 'queued')
			RETURNING kind, request, job, batch, store, attempts,
				COALESCE((SELECT b.crashes + b.open FROM batches b WHERE b.id = outbox.batch), 0) AS crashes`),
			owner, millis(l.now().Add(lease)), r.ID, r.Epoch)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return jobs.Task{}, jobs.ErrStale
	}
	if err != nil {
		return jobs.Task{}, fmt.Errorf("claim task: %w", err)
	}
	return jobs.Task{Ring: r, Kind: jobs.TaskKind(task.Kind), Request: task.Request, Job: task.Job, Batch: task.Batch, Store: task.Store, Attempts: task.Attempts, Crashes: task.Crashes}, nil
}

// Extend moves the end of the lease of a claimed row. It returns jobs.ErrStale
// if the row is no longer the caller's.
func (l *Ledger) Extend(ctx context.Context, r jobs.Ring, lease time.Duration) error {
	return l.owned(ctx, "extend lease", r, func(ctx context.Context, tx *audit.Tx) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET lease_until = ? WHERE id = ?`), millis(l.now().Add(lease)), r.ID)
		return err
	})
}

// Fence returns nil if the holder of r may destroy something now. It is asked
// in the smallest window before each destructive call. It returns
// jobs.ErrStale if the row is no longer the caller's, and jobs.ErrStopped if
// the request is being cancelled. While the log refuses to append nothing may be
// destroyed, for nothing could say so: it is jobs.ErrStale as in Claim.
func (l *Ledger) Fence(ctx context.Context, r jobs.Ring) error {
	if l.log.Refusal() != nil {
		return jobs.ErrStale
	}
	var f struct {
		Cancelling bool
		Status     jobs.Status
		NotBefore  int64 `db:"not_before"`
	}
	err := l.read.GetContext(ctx, &f, l.read.Rebind(`SELECT r.cancelling, r.status, r.not_before FROM outbox o JOIN requests r ON r.id = o.request
		WHERE o.id = ? AND o.epoch = ? AND o.state = 'running'`), r.ID, r.Epoch)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return jobs.ErrStale
	case err != nil:
		return fmt.Errorf("read fence: %w", err)
	case f.Cancelling || f.Status.Ended():
		return jobs.ErrStopped
	case f.NotBefore > millis(l.now()):
		return errors.New("read fence: the grace period has not ended") // not ErrStopped: the task must come back
	}
	return nil
}

// Retry gives a claimed row back, to be rung again after a while under a new
// epoch. The note is a code that says why the job waits.
func (l *Ledger) Retry(ctx context.Context, r jobs.Ring, after time.Duration, note string) error {
	err := l.owned(ctx, "put task back", r, func(ctx context.Context, tx *audit.Tx) error {
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET note = ? WHERE id = (SELECT job FROM outbox WHERE id = ?)`), note, r.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET open = 0 WHERE id = (SELECT batch FROM outbox WHERE id = ?)`), r.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET state = 'ready', epoch = epoch + 1, next_at = ? WHERE id = ?`), millis(l.now().Add(after)), r.ID)
		return err
	})
	if err == nil {
		l.wake()
	}
	return err
}

// Drop removes a claimed row: there is nothing more to do for it.
func (l *Ledger) Drop(ctx context.Context, r jobs.Ring) error {
	return l.owned(ctx, "drop task", r, func(ctx context.Context, tx *audit.Tx) error { return answered(ctx, tx, r) })
}

// answered removes a row of the outbox in the transaction that did its work.
func answered(ctx context.Context, tx *audit.Tx, r jobs.Ring) error {
	_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM outbox WHERE id = ? AND epoch = ?`), r.ID, r.Epoch)
	return err
}

// owned runs f in a transaction in which the row of r is running under r's
// epoch. Every write of a worker goes through it.
func (l *Ledger) owned(ctx context.Context, what string, r jobs.Ring, f func(context.Context, *audit.Tx) error) error {
	err := l.write(ctx, func(ctx context.Context, tx *audit.Tx) error {
		var n int
		if err := tx.GetContext(ctx, &n, tx.Rebind(`SELECT COUNT(*) FROM outbox WHERE id = ? AND epoch = ? AND state = 'running'`), r.ID, r.Epoch); err != nil {
			return err
		}
		if n != 1 && !fault.Bug("ledger/no-epoch") {
			return jobs.ErrStale
		}
		return f(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (l *Ledger) exec(ctx context.Context, what, query string, args ...any) error {
	err := l.write(ctx, func(ctx context.Context, tx *audit.Tx) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(query), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/jobs"
)

// Enqueue takes ready rows whose time has come, for each store at most as many
// as fill its window, marks them queued and returns their rings. Rows of
// different jobs take turns, so that a large request does not starve a small
// one; batches of a job are rung in the order of its plan. Those of sweeps come
// after all that people wait for.
func (l *Ledger) Enqueue(ctx context.Context, windows map[string]int) ([]jobs.Ring, error) {
	now := millis(l.now())
	var waiting []struct {
		Store   string
		Pending int
	}
	// Asked of the readers first: an idle relay must not take the writer.
	err := l.read.SelectContext(ctx, &waiting, l.read.Rebind(`
		SELECT store, (SELECT COUNT(*) FROM outbox p WHERE p.store = o.store AND p.state IN ('queued', 'running')) AS pending
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

// ofSweep says of a row of the outbox that a sweep has filed its request.
const ofSweep = `COALESCE((SELECT q.origin FROM requests q WHERE q.id = outbox.request), '') = 'sweep'`

// ofReturn says of a row of the outbox that its request is for what has come back.
const ofReturn = `COALESCE((SELECT q.origin FROM requests q WHERE q.id = outbox.request), '') IN ('watch', 'replay')`

func (l *Ledger) enqueue(ctx context.Context, store string, window int, now int64) (rings []jobs.Ring, err error) {
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		// Counted anew: another relay may have filled the window since. On
		// PostgreSQL one may do so at this moment, in another process.
		if err := tx.alone(ctx, enqueueing, store); err != nil {
			return err
		}
		var pending int
		if err := tx.GetContext(ctx, &pending, tx.Rebind(`SELECT COUNT(*) FROM outbox WHERE store = ? AND state IN ('queued', 'running')`), store); err != nil {
			return err
		}
		var picked []string // in the order in which they are to be rung
		err := tx.SelectContext(ctx, &picked, tx.Rebind(`
			SELECT o.id FROM (SELECT w.id, w.next_at, ROW_NUMBER() OVER (PARTITION BY w.job ORDER BY w.next_at, b.seq, w.id) AS turn,
					CASE WHEN r.origin = 'sweep' THEN 1 ELSE 0 END AS low
				FROM outbox w LEFT JOIN batches b ON b.id = w.batch LEFT JOIN requests r ON r.id = w.request WHERE w.state = 'ready' AND w.next_at <= ? AND w.store = ?) AS ready
			JOIN outbox o ON o.id = ready.id
			WHERE o.state = 'ready' ORDER BY ready.low, ready.turn, ready.next_at, o.id LIMIT ?`+tx.sql.takeOf("o")), now, store, max(0, window-pending))
		if err != nil || len(picked) == 0 {
			return err
		}
		rings, err = queued(ctx, tx, picked, now)
		return err
	})
	return rings, err
}

// queued marks rows that the transaction has taken, and returns their rings in
// the same order, which RETURNING does not keep.
func queued(ctx context.Context, tx *txn, ids []string, now int64) ([]jobs.Ring, error) {
	query, args, err := sqlx.In(`UPDATE outbox SET state = 'queued', queued_at = ? WHERE id IN (?) RETURNING id, epoch, `+ofSweep+` AS low`, now, ids)
	if err != nil {
		return nil, err
	}
	var rings []jobs.Ring
	if err := tx.SelectContext(ctx, &rings, tx.Rebind(query), args...); err != nil {
		return nil, err
	}
	slices.SortFunc(rings, func(a, b jobs.Ring) int { return cmp.Compare(slices.Index(ids, a.ID), slices.Index(ids, b.ID)) })
	return rings, nil
}

// Unqueue makes a queued row ready again, because the queue did not take it.
// The epoch stays: if the queue took it after all, one claim still wins.
func (l *Ledger) Unqueue(ctx context.Context, r jobs.Ring, after time.Duration) error {
	return l.exec(ctx, "unqueue", `UPDATE outbox SET state = 'ready', next_at = ? WHERE id = ? AND epoch = ? AND state = 'queued'`,
		millis(l.now().Add(after)), r.ID, r.Epoch)
}

// Next returns the ring of a row of a request whose time has come, of a job with no
// more than one batch: one that is ready, or that the queue has been told of and
// nobody has claimed. It returns jobs.ErrStale if there is none. Nothing is marked:
// whoever claims the row first has it.
func (l *Ledger) Next(ctx context.Context, request string) (jobs.Ring, error) {
	var r jobs.Ring
	err := l.read.GetContext(ctx, &r, l.read.Rebind(`SELECT o.id, o.epoch FROM outbox o
		WHERE o.request = ? AND o.state IN ('ready', 'queued') AND o.next_at <= ? AND (SELECT COUNT(*) FROM batches b WHERE b.job = o.job) <= 1
		ORDER BY o.next_at, o.id LIMIT 1`), request, millis(l.now()))
	if errors.Is(err, sql.ErrNoRows) {
		return r, jobs.ErrStale
	}
	if err != nil {
		return r, fmt.Errorf("read outbox: %w", err)
	}
	return r, nil
}

// Claim takes the row of r for owner until the lease ends. It returns
// jobs.ErrStale if the row is gone, has another epoch, or is taken: then there
// is nothing to do. So it does while the log refuses to append: the row stays,
// and is rung again when it is overdue. The attempt is counted before the work,
// so that a crash counts.
func (l *Ledger) Claim(ctx context.Context, r jobs.Ring, owner string, lease time.Duration) (jobs.Task, error) {
	if l.Refusal(ctx) != nil {
		return jobs.Task{}, jobs.ErrStale
	}
	var task struct {
		Kind, Request, Job, Batch, Store string
		Attempts, Crashes                int
		Related, Sweep, Exact            bool
	}
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		return tx.GetContext(ctx, &task, tx.Rebind(`
			UPDATE outbox SET state = 'running', attempts = attempts + 1, owner = ?, lease_until = ?
			WHERE id = ? AND epoch = ? AND state IN ('ready', 'queued')
			RETURNING kind, request, job, batch, store, attempts,
				COALESCE((SELECT b.crashes + b.open FROM batches b WHERE b.id = outbox.batch), 0) AS crashes,
				(SELECT r.related FROM requests r WHERE r.id = outbox.request) AS related, `+ofSweep+` AS sweep, `+ofReturn+` AS exact`),
			owner, millis(l.now().Add(lease)), r.ID, r.Epoch)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return jobs.Task{}, jobs.ErrStale
	}
	if err != nil {
		return jobs.Task{}, fmt.Errorf("claim task: %w", err)
	}
	return jobs.Task{Ring: r, Kind: jobs.TaskKind(task.Kind), Request: task.Request, Job: task.Job, Batch: task.Batch, Store: task.Store, Attempts: task.Attempts, Crashes: task.Crashes, Related: task.Related, Sweep: task.Sweep, Exact: task.Exact}, nil
}

// Extend moves the end of the lease of a claimed row. It returns jobs.ErrStale
// if the row is no longer the caller's.
func (l *Ledger) Extend(ctx context.Context, r jobs.Ring, lease time.Duration) error {
	return l.owned(ctx, "extend lease", r, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET lease_until = ? WHERE id = ?`), millis(l.now().Add(lease)), r.ID)
		return err
	})
}

// Fence returns nil if the holder of r may destroy something now. It is asked
// in the smallest window before each destructive call. It returns
// jobs.ErrStale if the row is no longer the caller's, jobs.ErrStopped if
// the request is being cancelled, jobs.ErrUnapproved if its plan has to be
// approved and is not, and jobs.ErrHolds if a hold stands that the batch has not
// been compared with. While the log refuses to append nothing may be
// destroyed, for nothing could say so: it is jobs.ErrStale as in Claim.
func (l *Ledger) Fence(ctx context.Context, r jobs.Ring) error {
	if l.Refusal(ctx) != nil {
		return jobs.ErrStale
	}
	var f struct {
		Cancelling, May bool
		Status          jobs.Status
		NotBefore       int64 `db:"not_before"`
		NewHolds        bool  `db:"new_holds"`
	}
	err := l.read.GetContext(ctx, &f, l.read.Rebind(`SELECT r.cancelling, r.status, r.not_before, `+mayErase()+` AS may, `+newHolds+` AS new_holds
		FROM outbox o JOIN requests r ON r.id = o.request
		WHERE o.id = ? AND o.epoch = ? AND o.state = 'running'`), r.ID, r.Epoch)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return jobs.ErrStale
	case err != nil:
		return fmt.Errorf("read fence: %w", err)
	case f.Cancelling || f.Status.Ended():
		return jobs.ErrStopped
	case !f.May:
		return fmt.Errorf("read fence: %w", jobs.ErrUnapproved)
	case f.NotBefore > millis(l.now()):
		return errors.New("read fence: the grace period has not ended") // not ErrStopped: the task must come back
	case f.NewHolds:
		return jobs.ErrHolds
	}
	return nil
}

// Retry gives a claimed row back, to be rung again after a while under a new
// epoch. The note is a code that says why the job waits. The attempt at a batch may
// have erased of it, unless Spared has said otherwise.
func (l *Ledger) Retry(ctx context.Context, r jobs.Ring, after time.Duration, note string) error {
	err := l.owned(ctx, "put task back", r, func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET note = ? WHERE id = (SELECT job FROM outbox WHERE id = ?)`), note, r.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET touched = `+mayBeTouched()+`, open = 0 WHERE id = (SELECT batch FROM outbox WHERE id = ?)`), r.ID); err != nil {
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
	return l.owned(ctx, "drop task", r, func(ctx context.Context, tx *txn) error { return answered(ctx, tx, r) })
}

// answered removes a row of the outbox in the transaction that did its work.
func answered(ctx context.Context, tx *txn, r jobs.Ring) error {
	_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM outbox WHERE id = ? AND epoch = ?`), r.ID, r.Epoch)
	return err
}

// owned runs f in a transaction in which the row of r is running under r's
// epoch, and stays so until the end. Every write of a worker goes through it or
// through ordered.
func (l *Ledger) owned(ctx context.Context, what string, r jobs.Ring, f func(context.Context, *txn) error) error {
	return l.holding(ctx, what, "", r, f)
}

// ordered is owned for a write that goes by what other tasks of the request do,
// or tells of all of them: it has the request to itself.
func (l *Ledger) ordered(ctx context.Context, what string, t jobs.Task, f func(context.Context, *txn) error) error {
	return l.holding(ctx, what, t.Request, t.Ring, f)
}

func (l *Ledger) holding(ctx context.Context, what, request string, r jobs.Ring, f func(context.Context, *txn) error) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if request != "" {
			if err := tx.lock(ctx, request); err != nil {
				return err
			}
		}
		var held []string
		err := tx.SelectContext(ctx, &held, tx.Rebind(`SELECT id FROM outbox WHERE id = ? AND epoch = ? AND state = 'running'`+tx.sql.lock), r.ID, r.Epoch)
		if err != nil {
			return err
		}
		if len(held) != 1 && !fault.Bug("ledger/no-epoch") {
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
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(query), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
)

// begunTask is a row of the outbox whose batch an earlier attempt may have
// erased, wholly or in part, without a word, or of which something may have gone
// along with another: somebody has to look, or the end of a cancelled request
// would say less than was done.
const begunTask = `(outbox.kind = 'batch' AND (EXISTS (SELECT 1 FROM batches b WHERE b.id = outbox.batch AND (b.touched = 1 OR b.open = 1)) OR ` + hasAlong + `))`

// unsettledTasks are those that the end of a cancelled request r waits for.
const unsettledTasks = `(SELECT 1 FROM outbox WHERE outbox.request = r.id AND (outbox.state = 'running' OR ` + begunTask + `))`

// errRunning makes a transaction end without effect.
var errRunning = errors.New("a task still runs")

// Complete commits the end of a claimed task's request with its entry in the
// log, and wipes the request: the selector and the IDs leave the ledger and
// their key is destroyed. What is needed to recognize it, if it comes back, is kept in the same transaction. It returns jobs.ErrStopped if the request is being
// cancelled, and jobs.ErrStale if it has ended or one of its jobs is not done.
func (l *Ledger) Complete(ctx context.Context, t jobs.Task, e proof.Entry, end jobs.Ending) error {
	err := l.ordered(ctx, "complete request", t, func(ctx context.Context, tx *txn) error {
		var r struct {
			Cancelling, Ended bool
			Open              int
		}
		err := tx.GetContext(ctx, &r, tx.Rebind(`SELECT cancelling, completed_at IS NOT NULL AS ended,
			(SELECT COUNT(*) FROM jobs WHERE request = r.id AND stage <> ?) AS open FROM requests r WHERE id = ?`), jobs.StageDone, t.Request)
		switch {
		case err != nil:
			return err
		case r.Cancelling:
			return jobs.ErrStopped
		case (r.Ended || r.Open > 0) && !fault.Bug("ledger/complete-half"):
			return jobs.ErrStale
		}
		if err := l.suppress(ctx, tx, t.Request, end); err != nil {
			return err
		}
		return l.end(ctx, tx, t.Request, jobs.Completed, e, end.KeyUntil)
	})
	if err != nil {
		return err
	}
	return l.destroySeal(t.Request)
}

// Stop implements jobs.Ledger.
func (l *Ledger) Stop(ctx context.Context, by jobs.Actor, request string) error {
	if err := l.Refusal(ctx); err != nil { // it could not be ended
		return fmt.Errorf("stop request: %w", err)
	}
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, request); err != nil {
			return err
		}
		row, err := requestByID(ctx, tx, request)
		if err != nil {
			return err
		}
		if row.CompletedAt.Valid {
			return jobs.ErrTooLate
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET cancelling = 1, cancelled_by = ? WHERE id = ? AND cancelling = 0`), by.ID, request); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, tx.Rebind(`DELETE FROM outbox WHERE request = ? AND state IN ('ready', 'queued', 'held') AND NOT `+begunTask), request)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET state = 'ready', next_at = ? WHERE request = ? AND state IN ('ready', 'held')`), millis(l.now()), request)
		return err
	})
	if err != nil {
		return fmt.Errorf("stop request: %w", err)
	}
	return nil
}

// EndCancelled implements jobs.Ledger.
func (l *Ledger) EndCancelled(ctx context.Context, request string, entry func(jobs.Record) proof.Entry, keyUntil time.Time) (bool, error) {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, request); err != nil {
			return err
		}
		var stopped int
		err := tx.GetContext(ctx, &stopped, tx.Rebind(`SELECT COUNT(*) FROM requests r WHERE id = ? AND cancelling = 1 AND completed_at IS NULL
			AND NOT EXISTS `+unsettledTasks), request)
		if err != nil {
			return err
		}
		if stopped == 0 {
			return errRunning
		}
		// Read here, and not before, so that the entry counts the last batch.
		rec, err := record(ctx, tx, request)
		if err != nil {
			return err
		}
		return l.end(ctx, tx, request, jobs.Cancelled, entry(rec), keyUntil)
	})
	switch {
	case errors.Is(err, errRunning):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("end cancelled request: %w", err)
	}
	return true, l.destroySeal(request)
}

// end writes what every end has in common.
func (l *Ledger) end(ctx context.Context, tx *txn, request string, status jobs.Status, e proof.Entry, keyUntil time.Time) error {
	if fault.Bug("ledger/end-unlogged") {
		return closeRequest(ctx, tx.Tx, request, status, e.ID(), l.now(), keyUntil)
	}
	if err := tx.log(ctx, e); err != nil {
		return err
	}
	fault.Point("ledger/end-logged")
	if fault.Bug("ledger/wipe-nothing") {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ?, completed_at = ?, entry = ?, key_until = ? WHERE id = ?`),
			status, millis(l.now()), e.ID(), millis(keyUntil), request)
		return err
	}
	return closeRequest(ctx, tx.Tx, request, status, e.ID(), l.now(), keyUntil)
}

// closeRequest writes what the book says of a request that has ended, and wipes
// the rest.
func closeRequest(ctx context.Context, tx *sqlx.Tx, request string, status jobs.Status, entry string, ended, keyUntil time.Time) error {
	_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ?, completed_at = ?, selector = NULL, entry = ?, key_until = ? WHERE id = ?`),
		status, millis(ended), entry, millis(keyUntil), request)
	if err != nil {
		return err
	}
	for _, wipe := range []string{ // the outbox first: workers lock in this order
		`DELETE FROM outbox WHERE request = ?`,
		`UPDATE batches SET ids = NULL, along = NULL WHERE job IN (SELECT id FROM jobs WHERE request = ?)`,
		`DELETE FROM staged WHERE request = ?`,
	} {
		if _, err := tx.ExecContext(ctx, tx.Rebind(wipe), request); err != nil {
			return err
		}
	}
	return nil
}

// destroySeal runs after the commit: before it, the request could still need
// its key. A crash in between is mended by the reconciler.
func (l *Ledger) destroySeal(request string) error {
	fault.Point("ledger/ended")
	if fault.Bug("ledger/keep-seal") {
		return nil
	}
	if err := l.keys.DestroySeal(request); err != nil {
		return fmt.Errorf("wipe request: %w", err)
	}
	return nil
}

// SubjectKeyGone commits, after the key itself was destroyed, that it was.
func (l *Ledger) SubjectKeyGone(ctx context.Context, request string, e proof.Entry) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, request); err != nil {
			return err
		}
		var told int
		err := tx.GetContext(ctx, &told, tx.Rebind(`SELECT COUNT(*) FROM requests WHERE id = ? AND key_gone = 1`), request)
		if err != nil || told > 0 { // by another process, with its own time of day
			return err
		}
		if err := tx.log(ctx, e); err != nil {
			return err
		}
		return keyGone(ctx, tx.Tx, request)
	})
	if err != nil {
		return fmt.Errorf("commit key destruction: %w", err)
	}
	return nil
}

// keyGone writes that a subject key is not there any more.
func keyGone(ctx context.Context, tx *sqlx.Tx, request string) error {
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET key_gone = 1 WHERE id = ?`), request); err != nil {
		return err
	}
	for _, forget := range []string{`DELETE FROM orphans WHERE request = ?`, `DELETE FROM log_ends WHERE request = ?`} {
		if _, err := tx.ExecContext(ctx, tx.Rebind(forget), request); err != nil {
			return err
		}
	}
	return nil
}

package ledger

import (
	"context"
	"fmt"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
)

// Expired makes running rows ready again whose lease has ended, under a new
// epoch, and returns how many. Rows of requests being cancelled are dropped, for
// there is nothing to go on with, but for those of batches that were begun.
func (l *Ledger) Expired(ctx context.Context) (int, error) {
	return l.again(ctx, "find expired leases", `state = 'running' AND lease_until < ?`, millis(l.now()))
}

// Abandoned is Expired for every running row, whatever its lease. It is for
// the start of the only process that serves a SQLite ledger.
func (l *Ledger) Abandoned(ctx context.Context) (int, error) {
	if fault.Bug("ledger/nothing-abandoned") {
		return 0, nil
	}
	if err := l.untakeWatches(ctx); err != nil {
		return 0, err
	}
	return l.again(ctx, "find abandoned tasks", `state = 'running' AND lease_until > ?`, 0)
}

// Forgotten makes queued rows ready again, under a new epoch: all of them, or
// the one that r names.
func (l *Ledger) Forgotten(ctx context.Context, r *jobs.Ring) (int, error) {
	if r == nil {
		return l.again(ctx, "requeue all", `state = 'queued' AND epoch > ?`, 0)
	}
	return l.again(ctx, "requeue", `state = 'queued' AND id = ? AND epoch = ?`, r.ID, r.Epoch)
}

// again applies a constant condition; its arguments are bound.
func (l *Ledger) again(ctx context.Context, what, where string, args ...any) (n int, err error) {
	var any int
	if err := l.read.GetContext(ctx, &any, l.read.Rebind(`SELECT COUNT(*) FROM outbox WHERE `+where), args...); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if any == 0 {
		return 0, nil
	}
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		// Rows that another transaction is at are left to it, or to the next turn.
		taken := `WITH taken AS MATERIALIZED (SELECT o.id FROM outbox o WHERE ` + where + tx.sql.takeOf("o") + `) `
		_, err := tx.ExecContext(ctx, tx.Rebind(taken+`DELETE FROM outbox WHERE id IN (SELECT id FROM taken) AND request IN (SELECT id FROM requests WHERE cancelling = 1) AND NOT `+begunTask), args...)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, tx.Rebind(taken+`UPDATE outbox SET state = 'ready', epoch = epoch + 1 WHERE id IN (SELECT id FROM taken)`), args...)
		if err != nil {
			return err
		}
		changed, err := res.RowsAffected()
		n = int(changed)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	l.wake()
	return n, nil
}

// Overdue returns queued rows that should have been claimed by now.
func (l *Ledger) Overdue(ctx context.Context, older time.Duration, limit int) ([]jobs.Ring, error) {
	var rings []jobs.Ring
	err := l.read.SelectContext(ctx, &rings, l.read.Rebind(`SELECT id, epoch FROM outbox WHERE state = 'queued' AND queued_at < ? ORDER BY queued_at LIMIT ?`),
		millis(l.now().Add(-older)), limit)
	if err != nil {
		return nil, fmt.Errorf("find overdue tasks: %w", err)
	}
	return rings, nil
}

// What is asked again and again. Each has an index, so that it costs no more
// when the book is full of requests that have ended.
const (
	stoppedRequests = `SELECT id FROM requests r WHERE cancelling = 1 AND completed_at IS NULL
		AND NOT EXISTS ` + unsettledTasks + ` ORDER BY id`
	dueKeys = `SELECT id FROM requests WHERE key_gone = 0 AND key_until < ?
		UNION ALL SELECT request FROM orphans WHERE key_until < ? LIMIT 100`
	dueUntil = `SELECT COUNT(*) FROM requests WHERE completed_at IS NULL AND due_at >= ? AND due_at < ?`

	confirmUntil = `SELECT COUNT(*) FROM requests WHERE completed_at IS NULL AND confirmed_at IS NULL AND confirm_by IS NOT NULL
		AND confirm_by >= ? AND confirm_by < ?`
)

// Stopped returns requests that are being cancelled and of which no task runs
// any more.
func (l *Ledger) Stopped(ctx context.Context) ([]string, error) {
	var ids []string
	err := l.read.SelectContext(ctx, &ids, stoppedRequests)
	if err != nil {
		return nil, fmt.Errorf("find stopped requests: %w", err)
	}
	return ids, nil
}

// KeysDue returns ended requests, also those that only the log knows, whose subject key is to be destroyed now.
func (l *Ledger) KeysDue(ctx context.Context) ([]string, error) {
	var ids []string
	now := millis(l.now())
	err := l.read.SelectContext(ctx, &ids, l.read.Rebind(dueKeys), now, now)
	if err != nil {
		return nil, fmt.Errorf("find due keys: %w", err)
	}
	return ids, nil
}

// Unsealed returns those of the given requests and holds whose seal key hides nothing
// any more: those that have ended, and those never filed and older than an
// hour, and holds that have ended, of which no other key is needed either.
func (l *Ledger) Unsealed(ctx context.Context, sealed []string) (ended, unfiled []string, err error) {
	for _, id := range sealed {
		row, err := requestByID(ctx, l.read, id)
		switch {
		case err == nil && row.CompletedAt.Valid:
			ended = append(ended, id)
		case isNotFound(err):
			stands, over, failed := l.unsealedHold(ctx, id)
			if failed != nil {
				return nil, nil, failed
			}
			if !stands && (over || stagedBefore(id, l.now().Add(-stagedFor))) {
				unfiled = append(unfiled, id)
			}
		case err != nil:
			return nil, nil, fmt.Errorf("read request: %w", err)
		}
	}
	return ended, unfiled, nil
}

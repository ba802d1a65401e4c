package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/jobs/keyring"
	"lethe/store"
)

func isNotFound(err error) bool { return errors.Is(err, jobs.ErrNotFound) }

func isGone(err error) bool { return errors.Is(err, jobs.ErrGone) }

// stagedBefore reads the time out of a UUID version 7.
func stagedBefore(id string, t time.Time) bool {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return false
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec).Before(t)
}

// Selector returns the canonical JSON of a request's selector, or nil if the
// request lists its IDs.
func (l *Ledger) Selector(ctx context.Context, request string) ([]byte, error) {
	var row struct {
		ByID     bool `db:"by_id"`
		Selector []byte
	}
	if err := l.read.GetContext(ctx, &row, l.read.Rebind(`SELECT by_id, selector FROM requests WHERE id = ?`), request); err != nil {
		return nil, fmt.Errorf("read selector: %w", err)
	}
	if row.ByID {
		return nil, nil
	}
	key, err := l.keys.Seal(request)
	if err != nil {
		return nil, fmt.Errorf("read selector: %w", err)
	}
	plain, err := keyring.Unseal(key, row.Selector, "selector "+request)
	if err != nil {
		return nil, fmt.Errorf("read selector: %w", err)
	}
	return plain, nil
}

// Replan makes the job of a claimed task ready to be planned for one more
// round: it removes batches that an interrupted try left of it, and marks the
// request as being planned. It returns the round's number and the sequence
// number of its first batch.
func (l *Ledger) Replan(ctx context.Context, t jobs.Task) (round, seq int, err error) {
	err = l.ordered(ctx, "begin plan", t, func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM batches WHERE job = ? AND round > (SELECT round FROM jobs WHERE id = ?)`), t.Job, t.Job); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ? WHERE id = ? AND (status = ? OR status = ? AND not_before <= ?)`),
			jobs.Planning, t.Request, jobs.Received, jobs.Waiting, millis(l.now())); err != nil {
			return err
		}
		return tx.QueryRowxContext(ctx, tx.Rebind(`SELECT j.round + 1, COALESCE(MAX(b.seq), 0) + 1 FROM jobs j LEFT JOIN batches b ON b.job = j.id
			WHERE j.id = ? GROUP BY j.id`), t.Job).Scan(&round, &seq)
	})
	return round, seq, err
}

// Freeze keeps one batch of the round being planned. Nothing comes of it
// before Planned.
func (l *Ledger) Freeze(ctx context.Context, t jobs.Task, round, seq int, ids []store.ID) error {
	id := uuid.NewString()
	if fault.Bug("ledger/ring-names-memory") {
		id = ids[0].Key
	}
	sealed, err := l.sealIDs(t.Request, "batch "+id, texts(ids))
	if err != nil {
		return fmt.Errorf("freeze batch: %w", err)
	}
	return l.owned(ctx, "freeze batch", t.Ring, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO batches (id, job, seq, round, size, ids) VALUES (?, ?, ?, ?, ?, ?)`),
			id, t.Job, seq, round, len(ids), sealed)
		return err
	})
}

// Planned commits the plan of one round and answers the task. After the first
// round of a request's last job the plan's hash is frozen and erasing begins, or
// waits; so does a later round, after a while. See freezePlan and anotherRound.
func (l *Ledger) Planned(ctx context.Context, t jobs.Task, p jobs.Planned, after time.Duration) error {
	places, err := json.Marshal(p.Places)
	if err != nil {
		return fmt.Errorf("commit plan: %w", err)
	}
	now := millis(l.now())
	err = l.ordered(ctx, "commit plan", t, func(ctx context.Context, tx *txn) error {
		if err := answered(ctx, tx, t.Ring); err != nil {
			return err
		}
		if p.Round > 1 {
			return l.anotherRound(ctx, tx, t, p, now, after)
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET round = ?, places = ?, unattributable = ?, related = ?, missing = ?, plan = ?, map_version = ?, planned_at = ?,
			note = CASE note WHEN ? THEN note ELSE '' END WHERE id = ?`),
			p.Round, string(places), p.Unattributable, p.Related, p.Missing, p.Digest, p.MapVersion, now, jobs.NoteDrifted, t.Job)
		if err != nil {
			return err
		}
		if err := keepLeft(ctx, tx, t, p.Exempt); err != nil {
			return err
		}
		return l.freezePlan(ctx, tx, t.Request, now)
	})
	if err == nil {
		l.wake()
	}
	return err
}

// begin puts a job's unfinished batches into the outbox or, if it has none,
// its settling.
func begin(ctx context.Context, tx *txn, job string, nextAt int64) error {
	var pending int
	err := tx.GetContext(ctx, &pending, tx.Rebind(`SELECT COUNT(*) FROM batches WHERE job = ? AND done_at IS NULL`), job)
	if err != nil {
		return err
	}
	if pending == 0 {
		return settle(ctx, tx, job, nextAt)
	}
	return ringBatches(ctx, tx, job, nextAt)
}

// ringBatches puts those of a job's unfinished batches into the outbox that are
// not there.
func ringBatches(ctx context.Context, tx *txn, job string, nextAt int64) error {
	var pending []struct{ ID, Request, Store string }
	err := tx.SelectContext(ctx, &pending, tx.Rebind(`SELECT b.id, j.request, j.store FROM batches b JOIN jobs j ON j.id = b.job
		WHERE b.job = ? AND b.done_at IS NULL AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.job = b.job AND o.kind = ? AND o.batch = b.id) ORDER BY b.seq`),
		job, jobs.BatchTask)
	if err != nil || len(pending) == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET stage = ?, note = '' WHERE id = ?`), jobs.StageErasing, job); err != nil {
		return err
	}
	for _, b := range pending {
		if err := ring(ctx, tx, row{Kind: jobs.BatchTask, Request: b.Request, Job: job, Batch: b.ID, Store: b.Store, NextAt: nextAt}); err != nil {
			return err
		}
	}
	return statusOf(ctx, tx, pending[0].Request)
}

func texts(ids []store.ID) []string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = id.String()
	}
	return s
}

package ledger

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/jobs"
	"lethe/store"
)

// settle puts the settling of a job into the outbox and moves it to the stage
// of being verified.
func settle(ctx context.Context, tx *txn, job string, nextAt int64) error {
	var of struct{ Request, Store string }
	if err := tx.GetContext(ctx, &of, tx.Rebind(`UPDATE jobs SET stage = ?, note = '' WHERE id = ? RETURNING request, store`), jobs.StageVerifying, job); err != nil {
		return err
	}
	if err := ring(ctx, tx, row{Kind: jobs.SettleTask, Request: of.Request, Job: job, Store: of.Store, NextAt: nextAt}); err != nil {
		return err
	}
	return statusOf(ctx, tx, of.Request)
}

// statusOf sets the status of a request whose jobs have been planned: erasing
// while any of them erases, verifying afterwards.
func statusOf(ctx context.Context, tx *txn, request string) error {
	_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = CASE
			WHEN EXISTS (SELECT 1 FROM jobs WHERE request = requests.id AND stage IN (?, ?)) THEN ? ELSE ? END
		WHERE id = ? AND status IN (?, ?, ?, ?)`),
		jobs.StagePlanning, jobs.StageErasing, jobs.Erasing, jobs.Verifying, request, jobs.Planning, jobs.Erasing, jobs.Verifying, jobs.Held)
	return err
}

// Job returns one job with its progress.
func (l *Ledger) Job(ctx context.Context, id string) (jobs.Job, error) {
	var r jobRow
	if err := l.read.GetContext(ctx, &r, l.read.Rebind(jobColumns+`WHERE j.id = ? GROUP BY j.id`), id); err != nil {
		return jobs.Job{}, fmt.Errorf("read job: %w", err)
	}
	return r.job()
}

// Batches yields every batch of a job, in order, one at a time.
func (l *Ledger) Batches(ctx context.Context, t jobs.Task) iter.Seq2[jobs.Batch, error] {
	return func(yield func(jobs.Batch, error) bool) {
		for seq := 0; ; {
			var rows []batchRow
			err := l.read.SelectContext(ctx, &rows, l.read.Rebind(batchColumns+`WHERE job = ? AND seq > ? ORDER BY seq LIMIT 1`), t.Job, seq)
			if err != nil {
				yield(jobs.Batch{}, fmt.Errorf("read batches: %w", err))
				return
			}
			if len(rows) == 0 {
				return
			}
			b, err := l.batch(t.Request, rows[0])
			if !yield(b, err) || err != nil {
				return
			}
			seq = b.Seq
		}
	}
}

// Verified commits that nothing of a job's plan and nothing that its selector
// selects could be read after asOf. The job is done, or waits for its store to
// be purged. The task goes on.
func (l *Ledger) Verified(ctx context.Context, t jobs.Task, asOf time.Time, v jobs.Verification) error {
	stage := jobs.StageDone
	if v.Purge {
		stage = jobs.StagePurging
	}
	return l.ordered(ctx, "commit verification", t, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET stage = ?, evidence = ?, remaining = 0, unattributable = ?, verified_at = ?, note = '',
			related = CASE WHEN related < ? THEN ? ELSE related END WHERE id = ?`),
			stage, cmp.Or(v.AtMost, store.EvidenceVerified), v.Unattributable, millis(asOf), v.Related, v.Related, t.Job)
		if err != nil {
			return err
		}
		return heldStatus(ctx, tx, t.Request)
	})
}

// Residue records how much of a job could still be read.
func (l *Ledger) Residue(ctx context.Context, t jobs.Task, remaining int) error {
	return l.owned(ctx, "record residue", t.Ring, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET remaining = ?, note = 'residue' WHERE id = ?`), remaining, t.Job)
		return err
	})
}

// Purged commits that a store was purged at some time after since, for every
// job that had been verified by then, and rings those that waited. It returns
// how many jobs it served.
func (l *Ledger) Purged(ctx context.Context, storeName string, since time.Time) (n int, err error) {
	return l.purged(ctx, storeName, since, "")
}

// Rewritten is Purged for the tables of a database server. If their files could
// not be read afterwards, the jobs are done and their evidence stays verified.
func (l *Ledger) Rewritten(ctx context.Context, storeName string, since time.Time, how jobs.Rewrite) (n int, err error) {
	return l.purged(ctx, storeName, since, how)
}

func (l *Ledger) purged(ctx context.Context, storeName string, since time.Time, how jobs.Rewrite) (n int, err error) {
	now := millis(l.now())
	evidence, at := store.EvidencePurged, &now
	if how == jobs.RewriteUnseen {
		evidence, at = store.EvidenceVerified, nil
	}
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		var served []string
		err := tx.SelectContext(ctx, &served, tx.Rebind(`UPDATE jobs SET stage = ?, evidence = ?, purged_at = ?, rewrite = ?, note = ''
			WHERE store = ? AND stage = ? AND verified_at <= ? RETURNING id`),
			jobs.StageDone, evidence, at, how, storeName, jobs.StagePurging, millis(since))
		n = len(served)
		if err != nil || n == 0 {
			return err
		}
		query, args, err := sqlx.In(`UPDATE outbox SET next_at = ? WHERE kind = ? AND state = 'ready' AND job IN (?)`, now, jobs.SettleTask, served)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, tx.Rebind(query), args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("commit purge: %w", err)
	}
	l.wake()
	return n, nil
}

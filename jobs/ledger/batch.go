package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// batchRow is a row of batches as a worker needs it.
type batchRow struct {
	ID, Job                       string
	Seq, Round, Attempts, Crashes int
	IDs, Along                    []byte
	Done, Touched                 bool
}

const batchColumns = `SELECT id, job, seq, round, attempts, crashes, touched, ids, along, done_at IS NOT NULL AS done FROM batches `

func (l *Ledger) batch(request string, row batchRow) (jobs.Batch, error) {
	b := jobs.Batch{ID: row.ID, Job: row.Job, Seq: row.Seq, Round: row.Round, Attempts: row.Attempts, Crashes: row.Crashes, Touched: row.Touched}
	var err error
	if b.IDs, err = l.idsOf(request, "batch "+row.ID, row.IDs); err == nil && row.Along != nil {
		b.Along, err = l.idsOf(request, alongContext(row.Job), row.Along)
	}
	if err != nil {
		return b, fmt.Errorf("read batch: %w", err)
	}
	return b, nil
}

// Begin counts one more attempt at the batch of a claimed task and returns it.
// It is written before the work, so that an attempt that crashes counts, and is
// counted as a crash by the next one, and as one that may have erased; the first
// also says when erasing began. It comes with the holds that stand. If it may have
// begun in spite of an error, what it returns has an ID, and Spared is to be told.
func (l *Ledger) Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error) {
	var rowOf batchRow
	var seen look
	err := l.owned(ctx, "begin batch", t.Ring, func(ctx context.Context, tx *txn) (err error) {
		if err := mayBegin(ctx, tx, t.Request); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET attempts = attempts + 1, crashes = crashes + open,
			touched = `+mayBeTouched()+`, open = 1, started_at = COALESCE(started_at, ?) WHERE id = ?`), millis(l.now()), t.Batch); err != nil {
			return err
		}
		if seen, err = seeHolds(ctx, tx, t.Batch); err != nil {
			return err
		}
		return tx.GetContext(ctx, &rowOf, tx.Rebind(batchColumns+`WHERE id = ?`), t.Batch)
	})
	if err != nil {
		return jobs.Batch{ID: rowOf.ID, Attempts: rowOf.Attempts, Touched: rowOf.Touched}, err
	}
	b, err := l.batch(t.Request, rowOf)
	if err == nil {
		b.Holds, err = l.standing(ctx, seen)
	}
	return b, err
}

// mayBegin refuses a batch that is to be approved first, before an attempt at it
// is counted. One of a request that is being cancelled is looked at.
func mayBegin(ctx context.Context, tx *txn, request string) error {
	var may bool
	err := tx.GetContext(ctx, &may, tx.Rebind(`SELECT `+mayErase()+` OR r.cancelling = 1 FROM requests r WHERE r.id = ?`), request)
	if err == nil && !may {
		err = jobs.ErrUnapproved
	}
	return err
}

// Finish commits the receipt of a claimed batch and answers the task; the
// job's last batch puts its settling into the outbox. It is written even if
// the request is being cancelled: what was erased was erased.
func (l *Ledger) Finish(ctx context.Context, t jobs.Task, r jobs.Receipt) error {
	leaves := make([]byte, 0, 32*len(r.Leaves))
	for _, leaf := range r.Leaves {
		leaves = append(leaves, leaf[:]...)
	}
	sealed, err := l.sealStaying(t, r)
	if err != nil {
		return fmt.Errorf("finish batch: %w", err)
	}
	now := millis(l.now())
	err = l.ordered(ctx, "finish batch", t, func(ctx context.Context, tx *txn) error {
		if err := leaveKept(ctx, tx, t, r, sealed); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET done_at = ?, erased = ?, absent = ?, held = ?, refused = ?, leaves = ?, root = ?
			WHERE id = ? AND done_at IS NULL`), now, r.Erased, r.Absent, r.Held, r.Refused, leaves, r.Root[:], t.Batch)
		if err != nil {
			return err
		}
		if err := keepMarks(ctx, tx, t, r); err != nil {
			return err
		}
		if err := keepOutcomes(ctx, tx, t.Batch, r.Places); err != nil {
			return err
		}
		if err := answered(ctx, tx, t.Ring); err != nil {
			return err
		}
		fault.Point("ledger/batch-answered")
		var left int
		err = tx.GetContext(ctx, &left, tx.Rebind(`SELECT COUNT(*) FROM batches WHERE job = ? AND done_at IS NULL`), t.Job)
		if err != nil {
			return err
		}
		if left > 0 && !fault.Bug("ledger/settle-early") {
			return heldStatus(ctx, tx, t.Request)
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET evidence = ? WHERE id = ?`), store.EvidenceErased, t.Job); err != nil {
			return err
		}
		return settle(ctx, tx, t.Job, now)
	})
	if err == nil {
		l.wake()
	}
	return err
}

// sealStaying seals the IDs of a batch that stay in it, if some leave it.
func (l *Ledger) sealStaying(t jobs.Task, r jobs.Receipt) ([]byte, error) {
	if r.Kept == 0 || len(r.IDs) == 0 {
		return nil, nil
	}
	return l.sealIDs(t.Request, "batch "+t.Batch, texts(r.IDs))
}

// leaveKept takes out of a batch what a sweep leaves, or away the whole batch: of
// what was left there is no receipt.
func leaveKept(ctx context.Context, tx *txn, t jobs.Task, r jobs.Receipt, sealed []byte) error {
	if r.Kept == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET kept = kept + ? WHERE id = ?`), r.Kept, t.Job); err != nil {
		return err
	}
	var err error
	if len(r.IDs) == 0 {
		_, err = tx.ExecContext(ctx, tx.Rebind(`DELETE FROM batches WHERE id = ?`), t.Batch)
	} else {
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET ids = ?, size = ? WHERE id = ?`), sealed, len(r.IDs), t.Batch)
	}
	return err
}

// Split replaces the batch of a claimed task by two: of its first IDs, as many
// as at says, and of the rest. Both inherit b.Crashes, and what may have been
// erased of them.
func (l *Ledger) Split(ctx context.Context, t jobs.Task, b jobs.Batch, at int, after time.Duration) error {
	return l.split(ctx, t, b, at, after, mayBeTouched())
}

// split says with the condition first whether the first IDs are touched.
func (l *Ledger) split(ctx context.Context, t jobs.Task, b jobs.Batch, at int, after time.Duration, first string) error {
	ids := [2]string{uuid.NewString(), uuid.NewString()}
	var sealed [2][]byte
	for i, part := range [2][]store.ID{b.IDs[:at], b.IDs[at:]} {
		var err error
		if sealed[i], err = l.sealIDs(t.Request, "batch "+ids[i], texts(part)); err != nil {
			return fmt.Errorf("split batch: %w", err)
		}
	}
	next := millis(l.now().Add(after))
	err := l.ordered(ctx, "split batch", t, func(ctx context.Context, tx *txn) error {
		var seq int
		if err := tx.GetContext(ctx, &seq, tx.Rebind(`SELECT MAX(seq) FROM batches WHERE job = ?`), t.Job); err != nil {
			return err
		}
		touched := [2]string{first, mayBeTouched()}
		for i, size := range [2]int{at, len(b.IDs) - at} {
			// The halves inherit all attempts but one: the next failure splits again.
			// What was held is in the second, if anything of it still is.
			if _, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO batches (id, job, seq, round, size, ids, attempts, crashes, started_at, touched, along, held)
				SELECT ?, job, ?, round, ?, ?, attempts - 1, ?, started_at, `+touched[i]+`, along, CASE WHEN held > 0 THEN ? ELSE 0 END FROM batches WHERE id = ?`),
				ids[i], seq+1+i, size, sealed[i], b.Crashes, i*size, b.ID); err != nil {
				return err
			}
			if err := ring(ctx, tx, row{Kind: jobs.BatchTask, Request: t.Request, Job: t.Job, Batch: ids[i], Store: t.Store, NextAt: next}); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM batches WHERE id = ?`), b.ID); err != nil {
			return err
		}
		return answered(ctx, tx, t.Ring)
	})
	if err == nil {
		l.wake()
	}
	return err
}

// Refuse says of a claimed batch, whose IDs no more splitting can tell apart,
// that they are refused so far, and why, as a code. The batch is not done and its
// request stays open; it is tried again after a while.
func (l *Ledger) Refuse(ctx context.Context, t jobs.Task, crashes int, after time.Duration, note string) error {
	return l.owned(ctx, "set batch aside", t.Ring, func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET refused = size, crashes = ?, touched = `+mayBeTouched()+`, open = 0 WHERE id = ?`), crashes, t.Batch); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET note = ? WHERE id = ?`), note, t.Job); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET state = 'ready', epoch = epoch + 1, next_at = ? WHERE id = ?`), millis(l.now().Add(after)), t.ID)
		return err
	})
}

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
)

// keepMarks keeps the marks of a batch with its receipt. They count once the
// request is completed.
func keepMarks(ctx context.Context, tx *txn, t jobs.Task, r jobs.Receipt) error {
	if len(r.Marks) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO marks (batch, job, epoch, marks) VALUES (?, ?, ?, ?) ON CONFLICT (batch) DO NOTHING`),
		t.Batch, t.Job, r.Epoch, r.Marks)
	return err
}

// suppress keeps whom a request forgot, and when it is looked whether they came
// back, in the transaction that ends it.
func (l *Ledger) suppress(ctx context.Context, tx *txn, request string, end jobs.Ending) error {
	for _, mark := range end.Who {
		if fault.Bug("watch/no-marks") {
			break
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO suppressions (mark, request, epoch) VALUES (?, ?, ?)`), mark[:], request, end.Epoch)
		if err != nil {
			return err
		}
	}
	var stores []string
	if err := tx.SelectContext(ctx, &stores, tx.Rebind(`SELECT store FROM jobs WHERE request = ? ORDER BY seq`), request); err != nil {
		return err
	}
	now := l.now()
	for _, name := range stores {
		for _, after := range end.Watch {
			due := millis(now.Add(after))
			_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO watches (request, store, due_at, next_at) VALUES (?, ?, ?, ?)
				ON CONFLICT (request, store, due_at) DO NOTHING`), request, name, due, due)
			if err != nil {
				return err
			}
		}
	}
	fault.Point("ledger/suppressed")
	return nil
}

// Suppressed implements jobs.ReturnLedger.
func (l *Ledger) Suppressed(ctx context.Context, marks []jobs.Mark) (*jobs.Suppressed, error) {
	if len(marks) == 0 {
		return nil, nil
	}
	list := make([][]byte, len(marks))
	for i := range marks {
		list[i] = marks[i][:]
	}
	query, args, err := sqlx.In(`SELECT r.id AS request, r.filed_by, COALESCE((SELECT MAX(j.verified_at) FROM jobs j WHERE j.request = r.id), r.completed_at) AS erased_at
		FROM suppressions s JOIN requests r ON r.id = s.request WHERE s.mark IN (?) ORDER BY erased_at DESC, r.id DESC LIMIT 1`, list)
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	var row struct {
		Request  string
		FiledBy  string `db:"filed_by"`
		ErasedAt int64  `db:"erased_at"`
	}
	err = l.read.GetContext(ctx, &row, l.read.Rebind(query), args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	return &jobs.Suppressed{Request: row.Request, FiledBy: row.FiledBy, ErasedAt: at(row.ErasedAt)}, nil
}

// SuppressionEpochs implements jobs.ReturnLedger.
func (l *Ledger) SuppressionEpochs(ctx context.Context) (all []string, err error) {
	err = l.read.SelectContext(ctx, &all, `SELECT epoch FROM marks UNION SELECT epoch FROM suppressions ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	return all, nil
}

// ForgetEpoch implements jobs.ReturnLedger. The key is gone already.
func (l *Ledger) ForgetEpoch(ctx context.Context, epoch string, e proof.Entry) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		n, err := forgetEpoch(ctx, tx, epoch, millis(l.now()))
		if err != nil || n == 0 { // another process was faster, with its own time of day
			return err
		}
		return tx.log(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("forget epoch: %w", err)
	}
	return nil
}

// forgetEpoch removes the marks of an epoch, and returns 1 if that is told first.
func forgetEpoch(ctx context.Context, tx *txn, epoch string, now int64) (first int64, err error) {
	first, err = changes(tx.ExecContext(ctx, tx.Rebind(`INSERT INTO epochs (epoch, destroyed_at) VALUES (?, ?) ON CONFLICT (epoch) DO NOTHING`), epoch, now))
	for _, forget := range []string{`DELETE FROM marks WHERE epoch = ?`, `DELETE FROM suppressions WHERE epoch = ?`} {
		if err == nil {
			_, err = tx.ExecContext(ctx, tx.Rebind(forget), epoch)
		}
	}
	return first, err
}

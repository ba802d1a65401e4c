package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"lethe/audit/proof"
	"lethe/jobs"
)

// clockRow is what a row of requests says of its clock besides due_at.
type clockRow struct {
	FirstDueAt   sql.NullInt64 `db:"first_due_at"`
	ExtendedAt   sql.NullInt64 `db:"extended_at"`
	ExtendedBy   string        `db:"extended_by"`
	ExtendReason string        `db:"extend_reason"`
	ConfirmBy    sql.NullInt64 `db:"confirm_by"`
	ConfirmedAt  sql.NullInt64 `db:"confirmed_at"`
}

const clockColumns = `first_due_at, extended_at, extended_by, extend_reason, confirm_by, confirmed_at`

func (r clockRow) times() jobs.Times {
	return jobs.Times{
		ConfirmBy: atOrNil(r.ConfirmBy), ConfirmedAt: atOrNil(r.ConfirmedAt),
		ExtendedAt: atOrNil(r.ExtendedAt), ExtendedBy: r.ExtendedBy, Reason: r.ExtendReason, FirstDueAt: atOrNil(r.FirstDueAt),
	}
}

// ExtendDue implements jobs.Ledger.
func (l *Ledger) ExtendDue(ctx context.Context, e *proof.Extended) error {
	return l.decide(ctx, "extend period", e.RequestID, func(ctx context.Context, tx *txn, r requestRow) error {
		switch {
		case r.ExtendedAt.Valid:
			return &jobs.NotNow{Code: "already_extended", Problem: "the period has been extended, which can be done once"}
		case r.DueAt < millis(l.now()):
			return &jobs.NotNow{Code: "overdue", Problem: "the period is over: it could be extended until its end"}
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET first_due_at = due_at, due_at = ?, extended_at = ?, extended_by = ?, extend_reason = ? WHERE id = ?`),
			millis(e.DueAt.Time()), millis(l.now()), e.By, e.Reason, e.RequestID)
		if err != nil {
			return err
		}
		return tx.log(ctx, e)
	})
}

// ConfirmReceipt implements jobs.Ledger.
func (l *Ledger) ConfirmReceipt(ctx context.Context, e *proof.Confirmed) error {
	return l.decide(ctx, "confirm receipt", e.RequestID, func(ctx context.Context, tx *txn, r requestRow) error {
		if r.ConfirmedAt.Valid {
			return &jobs.NotNow{Code: "already_confirmed", Problem: "the receipt has been confirmed"}
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET confirmed_at = ? WHERE id = ?`), millis(l.now()), e.RequestID); err != nil {
			return err
		}
		return tx.log(ctx, e)
	})
}

// decide runs f in a transaction that has a request to itself, which goes on.
func (l *Ledger) decide(ctx context.Context, what, request string, f func(context.Context, *txn, requestRow) error) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, request); err != nil {
			return err
		}
		row, err := requestByID(ctx, tx, request)
		switch {
		case err != nil:
			return err
		case row.CompletedAt.Valid || row.Cancelling:
			return jobs.ErrTooLate
		}
		return f(ctx, tx, row)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ListDue implements jobs.Ledger.
func (l *Ledger) ListDue(ctx context.Context, q jobs.DueQuery) ([]jobs.Request, error) {
	by, open := "due_at", ""
	if q.Unconfirmed {
		by, open = "confirm_by", " AND confirmed_at IS NULL AND confirm_by IS NOT NULL"
	}
	if len(q.Statuses) == 0 {
		q.Statuses = jobs.Statuses()
	}
	until, after := int64(1<<62), int64(-1)
	if !q.Until.IsZero() {
		until = millis(q.Until)
	}
	if q.AfterID != "" {
		after = millis(q.AfterAt)
	}
	return l.listed(ctx, `SELECT `+requestColumns+` FROM requests WHERE completed_at IS NULL`+open+` AND `+by+` < ?
		AND (`+by+`, id) > (?, ?) AND (? = '' OR filed_by = ?) AND status IN (?) ORDER BY `+by+`, id LIMIT ?`,
		until, after, q.AfterID, q.FiledBy, q.FiledBy, q.Statuses, q.Limit)
}

// Late returns the requests that have become overdue, and those whose receipt
// is to be confirmed and was not in time. Each is returned once: by whoever is
// told of it here, it has to be said.
func (l *Ledger) Late(ctx context.Context) (overdue, unconfirmed []string, err error) {
	now := millis(l.now())
	for _, k := range []struct {
		told, open string
		to         *[]string
	}{
		{"late_told", `completed_at IS NULL AND due_at < ?`, &overdue},
		{"unconfirmed_told", `completed_at IS NULL AND confirmed_at IS NULL AND confirm_by IS NOT NULL AND confirm_by < ?`, &unconfirmed},
	} {
		where := k.open + ` AND ` + k.told + ` = 0`
		var n int // asked of the readers first: there mostly is none
		if err := l.read.GetContext(ctx, &n, l.read.Rebind(`SELECT COUNT(*) FROM requests WHERE `+where), now); err != nil {
			return overdue, unconfirmed, fmt.Errorf("find overdue requests: %w", err)
		}
		if n == 0 {
			continue
		}
		err := l.write(ctx, func(ctx context.Context, tx *txn) error {
			*k.to = nil
			return tx.SelectContext(ctx, k.to, tx.Rebind(`UPDATE requests SET `+k.told+` = 1 WHERE `+where+` RETURNING id`), now)
		})
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return overdue, unconfirmed, fmt.Errorf("find overdue requests: %w", err)
		}
	}
	return overdue, unconfirmed, nil
}

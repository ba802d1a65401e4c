package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/keyring"
)

// addingHolds is what transactions are alone with that add a hold: their numbers
// rise in the order in which they are committed.
const addingHolds = 0x6c657468 + 1

// AddHold implements jobs.HoldLedger.
func (l *Ledger) AddHold(ctx context.Context, h jobs.Hold, selector []byte) error {
	key, err := l.keys.Seal(h.ID)
	if err != nil {
		return fmt.Errorf("add hold: %w", err)
	}
	sealed, err := keyring.Seal(key, selector, holdContext(h.ID))
	if err != nil {
		return fmt.Errorf("add hold: %w", err)
	}
	var until *int64
	if h.Until != nil {
		until = new(millis(*h.Until))
	}
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.alone(ctx, addingHolds, ""); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO holds (id, seq, state, selector, subject, reason, placed_by, created_at, until)
			SELECT ?, COALESCE(MAX(seq), 0) + 1, ?, ?, ?, ?, ?, ?, ? FROM holds`),
			h.ID, jobs.HoldPlacing, sealed, h.Subject, h.Reason, h.By, millis(h.CreatedAt), until)
		return err
	})
	if err != nil {
		return fmt.Errorf("add hold: %w", err)
	}
	return nil
}

func holdContext(id string) string { return "hold " + id }

// underWay are batches that were not compared with the hold of a number, and
// may be erasing: their attempt was begun, nobody has answered it, and its lease
// has not ended. A worker that died, or was stopped, lets go with the end of its
// lease at the latest, whatever has become of its task meanwhile.
const underWay = `SELECT COUNT(*) FROM outbox o JOIN batches b ON b.id = o.batch
	WHERE b.open = 1 AND b.hold_seq < ? AND (o.state = 'running' OR o.lease_until >= ?)`

// Activate implements jobs.HoldLedger.
func (l *Ledger) Activate(ctx context.Context, id string) (bool, error) {
	h, err := l.hold(ctx, l.read, id)
	switch {
	case err != nil:
		return false, fmt.Errorf("place hold: %w", err)
	case h.State != string(jobs.HoldPlacing):
		return true, nil
	}
	now := millis(l.now())
	if fault.Bug("holds/forgets-the-dead") {
		now = math.MaxInt64
	}
	var busy int
	if err := l.read.GetContext(ctx, &busy, l.read.Rebind(underWay), h.Seq, now); err != nil {
		return false, fmt.Errorf("place hold: %w", err)
	}
	if busy > 0 {
		return false, nil
	}
	fault.Point("ledger/hold-clear")
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		h, err := l.hold(ctx, tx, id)
		if err != nil || h.State != string(jobs.HoldPlacing) {
			return err
		}
		now := l.now()
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE holds SET state = ?, placed_at = ? WHERE id = ?`), jobs.HoldActive, millis(now), id); err != nil {
			return err
		}
		e := &proof.HoldPlaced{HoldID: id, Subject: h.Subject, Reason: h.Reason, By: h.PlacedBy, PlacedAt: proof.At(now)}
		if h.Until.Valid {
			e.Until = proof.At(at(h.Until.Int64))
		}
		return tx.log(ctx, e)
	})
	if err != nil {
		return false, fmt.Errorf("place hold: %w", err)
	}
	return true, nil
}

// EndHold implements jobs.HoldLedger.
func (l *Ledger) EndHold(ctx context.Context, id, by, reason string) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		h, err := l.hold(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case h.State == string(jobs.HoldEnded):
			return jobs.ErrTooLate
		case h.State == string(jobs.HoldPlacing):
			return jobs.ErrPlacing
		}
		now := l.now()
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE holds SET state = ?, selector = NULL, ended_at = ?, ended_by = ?, ended_reason = ? WHERE id = ?`),
			jobs.HoldEnded, millis(now), by, reason, id)
		if err != nil {
			return err
		}
		return tx.log(ctx, &proof.HoldReleased{HoldID: id, Reason: reason, By: by, ReleasedAt: proof.At(now)})
	})
	if err != nil {
		return fmt.Errorf("end hold: %w", err)
	}
	return nil
}

// holdRow is a row of holds without what is sealed.
type holdRow struct {
	ID, State, Subject, Reason string
	Seq                        int64
	PlacedBy                   string        `db:"placed_by"`
	CreatedAt                  int64         `db:"created_at"`
	PlacedAt                   sql.NullInt64 `db:"placed_at"`
	Until, EndedAt             sql.NullInt64
	EndedBy                    string `db:"ended_by"`
	EndedReason                string `db:"ended_reason"`
}

const holdColumns = `SELECT id, state, subject, reason, seq, placed_by, created_at, placed_at, until, ended_at AS endedat, ended_by, ended_reason FROM holds `

func (r holdRow) hold() jobs.Hold {
	return jobs.Hold{
		ID: r.ID, State: jobs.HoldState(r.State), Reason: r.Reason, By: r.PlacedBy, CreatedAt: at(r.CreatedAt), PlacedAt: atOrNil(r.PlacedAt),
		Until: atOrNil(r.Until), EndedAt: atOrNil(r.EndedAt), EndedBy: r.EndedBy, EndReason: r.EndedReason, Subject: r.Subject,
	}
}

// hold reads a hold; a transaction has it to itself from then on.
func (l *Ledger) hold(ctx context.Context, q querier, id string) (row holdRow, err error) {
	lock := ""
	if tx, ok := q.(*txn); ok {
		lock = tx.sql.lock
	}
	err = sqlx.GetContext(ctx, q, &row, q.Rebind(holdColumns+`WHERE id = ?`+lock), id)
	if errors.Is(err, sql.ErrNoRows) {
		err = jobs.ErrNotFound
	}
	return row, err
}

// Hold implements jobs.HoldLedger.
func (l *Ledger) Hold(ctx context.Context, id string) (jobs.Hold, error) {
	row, err := l.hold(ctx, l.read, id)
	if err != nil {
		return jobs.Hold{}, fmt.Errorf("read hold: %w", err)
	}
	return row.hold(), nil
}

// Holds implements jobs.HoldLedger.
func (l *Ledger) Holds(ctx context.Context) ([]jobs.Hold, error) {
	var rows []holdRow
	if err := l.read.SelectContext(ctx, &rows, holdColumns+`WHERE state IN ('placing', 'active') ORDER BY seq`); err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	list := make([]jobs.Hold, len(rows))
	for i, r := range rows {
		list[i] = r.hold()
	}
	return list, nil
}

// HoldsDue implements jobs.HoldLedger.
func (l *Ledger) HoldsDue(ctx context.Context) (placing, over []string, err error) {
	var rows []struct{ ID, State string }
	err = l.read.SelectContext(ctx, &rows, l.read.Rebind(`SELECT id, state FROM holds WHERE state = 'placing' OR state = 'active' AND until <= ? ORDER BY seq`), millis(l.now()))
	if err != nil {
		return nil, nil, fmt.Errorf("find due holds: %w", err)
	}
	for _, r := range rows {
		if r.State == string(jobs.HoldPlacing) {
			placing = append(placing, r.ID)
		} else {
			over = append(over, r.ID)
		}
	}
	return placing, over, nil
}

// unsealedHold reports whether the keys of something that is no request are a
// hold's that stands, and whether they are one's that has ended.
func (l *Ledger) unsealedHold(ctx context.Context, id string) (stands, ended bool, err error) {
	row, err := l.hold(ctx, l.read, id)
	if errors.Is(err, jobs.ErrNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("read hold: %w", err)
	}
	ended = row.State == string(jobs.HoldEnded)
	return !ended, ended, nil
}

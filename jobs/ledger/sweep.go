package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/jobs"
)

// sweepsKept is how long sweeps are kept that have filed nothing. The others stay
// with their requests.
const sweepsKept = 90 * 24 * time.Hour

// Swept implements jobs.SweepLedger.
func (l *Ledger) Swept(ctx context.Context, policy, storeName string) (jobs.Swept, error) {
	s, err := l.swept(ctx, policy, storeName)
	if errors.Is(err, sql.ErrNoRows) {
		now := millis(l.now())
		err = l.exec(ctx, "note policy", `INSERT INTO policies (policy, store, since, newest) VALUES (?, ?, ?, ?) ON CONFLICT (policy, store) DO NOTHING`,
			policy, storeName, now, now)
		if err == nil {
			s, err = l.swept(ctx, policy, storeName)
		}
	}
	if err != nil {
		return s, fmt.Errorf("read policy: %w", err)
	}
	return s, nil
}

func (l *Ledger) swept(ctx context.Context, policy, storeName string) (jobs.Swept, error) {
	var mark struct {
		Since, Newest int64
		AsOf          sql.NullInt64 `db:"as_of"`
		Busy          bool
	}
	err := l.read.GetContext(ctx, &mark, l.read.Rebind(`SELECT since, newest, as_of, EXISTS (`+sweepsUnderWay+`) AS busy
		FROM policies WHERE policy = ? AND store = ?`), policy, storeName, policy, storeName)
	if err != nil {
		return jobs.Swept{}, err
	}
	s := jobs.Swept{Since: at(mark.Since), Newest: at(mark.Newest), Busy: mark.Busy}
	if mark.AsOf.Valid {
		s.AsOf = at(mark.AsOf.Int64)
	}
	open, err := sweepsOf(ctx, l.read, `s.policy = ? AND s.store = ? AND s.state = 'open' AND s.actor = '' ORDER BY s.due_at DESC LIMIT 1`, policy, storeName)
	if err != nil {
		return s, err
	}
	if len(open) > 0 {
		s.Open = &open[0]
	}
	err = l.read.SelectContext(ctx, &s.Usual, l.read.Rebind(`SELECT s.found FROM sweeps s JOIN requests r ON r.id = s.request
		WHERE s.policy = ? AND s.store = ? AND s.request <> '' AND r.status NOT IN (?, ?) ORDER BY s.done_at DESC, s.id DESC LIMIT ?`),
		policy, storeName, jobs.Rejected, jobs.Cancelled, jobs.UsualOf)
	return s, err
}

// sweepsUnderWay are those of a policy in a store whose request has not ended.
const sweepsUnderWay = `SELECT 1 FROM sweeps s JOIN requests r ON r.id = s.request
	WHERE s.policy = ? AND s.store = ? AND s.request <> '' AND r.completed_at IS NULL`

// sweepRow is a row of sweeps with the status of its request.
type sweepRow struct {
	ID, Policy, Store, Actor, State, Reason, Request, Status string
	DueAt                                                    int64         `db:"due_at"`
	NextAt                                                   int64         `db:"next_at"`
	AsOf                                                     sql.NullInt64 `db:"as_of"`
	DoneAt                                                   sql.NullInt64 `db:"done_at"`
	Missed, Found, Held, Undated                             int
}

// sweepsOf returns the sweeps s that a constant condition selects; its arguments
// are bound.
func sweepsOf(ctx context.Context, q querier, where string, args ...any) ([]jobs.Sweep, error) {
	var rows []sweepRow
	err := sqlx.SelectContext(ctx, q, &rows, q.Rebind(`SELECT s.id, s.policy, s.store, s.actor, s.state, s.reason, s.request, COALESCE(r.status, '') AS status,
		s.due_at, s.next_at, s.as_of, s.done_at, s.missed, s.found, s.held, s.undated
		FROM sweeps s LEFT JOIN requests r ON r.id = s.request WHERE `+where), args...)
	if err != nil {
		return nil, err
	}
	list := make([]jobs.Sweep, len(rows))
	for i, r := range rows {
		list[i] = jobs.Sweep{
			ID: r.ID, Policy: r.Policy, Store: r.Store, DueAt: at(r.DueAt), By: r.Actor, Missed: r.Missed, State: jobs.SweepState(r.State), Reason: r.Reason,
			NextAt: at(r.NextAt), Found: r.Found, Held: r.Held, Undated: r.Undated, Request: r.Request, Status: jobs.Status(r.Status), DoneAt: atOrNil(r.DoneAt),
		}
		if r.AsOf.Valid {
			list[i].AsOf = at(r.AsOf.Int64)
		}
	}
	return list, nil
}

// OpenSweep implements jobs.SweepLedger. Who takes a tick moves the policy's newest
// one, and of two that do so at once the second does not find it where it was.
func (l *Ledger) OpenSweep(ctx context.Context, s jobs.Sweep, after time.Time) (taken bool, err error) {
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		taken = false
		moved, err := changes(tx.ExecContext(ctx, tx.Rebind(`UPDATE policies SET newest = ? WHERE policy = ? AND store = ? AND newest = ?`),
			millis(s.DueAt), s.Policy, s.Store, millis(after)))
		if err != nil || moved == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE sweeps SET state = ?, done_at = ? WHERE policy = ? AND store = ? AND state = ? AND actor = '' AND due_at <> ?`),
			jobs.SweepCovered, millis(l.now()), s.Policy, s.Store, jobs.SweepOpen, millis(s.DueAt))
		if err != nil {
			return err
		}
		if err := l.forgetSweeps(ctx, tx, s); err != nil {
			return err
		}
		if fault.Bug("sweep/taken-apart") {
			return nil
		}
		taken, err = takeTick(ctx, tx, s)
		return err
	})
	if err == nil && fault.Bug("sweep/taken-apart") {
		err = l.write(ctx, func(ctx context.Context, tx *txn) (err error) {
			taken, err = takeTick(ctx, tx, s)
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("take tick: %w", err)
	}
	return taken, nil
}

// takeTick opens the sweep of a tick. It is false if it was taken once before, by a
// clock that was wrong.
func takeTick(ctx context.Context, tx *txn, s jobs.Sweep) (taken bool, err error) {
	fault.Point("sweep/taking")
	n, err := insertSweep(ctx, tx, s)
	return n == 1, err
}

func insertSweep(ctx context.Context, tx *txn, s jobs.Sweep) (int64, error) {
	return changes(tx.ExecContext(ctx, tx.Rebind(`INSERT INTO sweeps (id, policy, store, due_at, actor, missed, state, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (policy, store, due_at, actor) DO NOTHING`),
		s.ID, s.Policy, s.Store, millis(s.DueAt), s.By, s.Missed, jobs.SweepOpen, millis(s.NextAt)))
}

// forgetSweeps removes old ones that tell nothing any more.
func (l *Ledger) forgetSweeps(ctx context.Context, tx *txn, s jobs.Sweep) error {
	_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM sweeps WHERE policy = ? AND store = ? AND state IN (?, ?, ?) AND done_at < ?
		AND id <> COALESCE((SELECT MAX(x.id) FROM sweeps x WHERE x.policy = ? AND x.store = ? AND x.state = ?), '')`),
		s.Policy, s.Store, jobs.SweepEmpty, jobs.SweepCovered, jobs.SweepRefused, millis(l.now().Add(-sweepsKept)), s.Policy, s.Store, jobs.SweepEmpty)
	return err
}

func changes(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// RunSweep implements jobs.SweepLedger.
func (l *Ledger) RunSweep(ctx context.Context, s jobs.Sweep) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		now := millis(l.now())
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE policies SET newest = ? WHERE policy = ? AND store = ? AND newest > ?`), now, s.Policy, s.Store, now); err != nil {
			return err
		}
		n, err := insertSweep(ctx, tx, s)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: twice in a millisecond", jobs.ErrConflict)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("run sweep: %w", err)
	}
	return nil
}

// TrySweep implements jobs.SweepLedger.
func (l *Ledger) TrySweep(ctx context.Context, id string, until time.Time) (mine bool, err error) {
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		n, err := changes(tx.ExecContext(ctx, tx.Rebind(`UPDATE sweeps SET next_at = ? WHERE id = ? AND state = ? AND next_at <= ?`),
			millis(until), id, jobs.SweepOpen, millis(l.now())))
		mine = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("try sweep: %w", err)
	}
	return mine, nil
}

// RefuseSweep implements jobs.SweepLedger.
func (l *Ledger) RefuseSweep(ctx context.Context, id, policy, reason string) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO sweep_refusals (policy, reason, n) VALUES (?, ?, 1)
			ON CONFLICT (policy, reason) DO UPDATE SET n = sweep_refusals.n + 1`), policy, reason)
		if err != nil || id == "" {
			return err
		}
		now := millis(l.now())
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE sweeps SET reason = ?, done_at = CASE WHEN actor = '' THEN done_at ELSE ? END,
			state = CASE WHEN actor = '' THEN state ELSE ? END WHERE id = ? AND state = ?`), reason, now, jobs.SweepRefused, id, jobs.SweepOpen)
		return err
	})
	if err != nil {
		return fmt.Errorf("refuse sweep: %w", err)
	}
	return nil
}

// EndSweep implements jobs.SweepLedger.
func (l *Ledger) EndSweep(ctx context.Context, s jobs.Sweep) error {
	s.State = jobs.SweepEmpty
	err := l.write(ctx, func(ctx context.Context, tx *txn) error { return l.endSweep(ctx, tx, s) })
	if err != nil {
		return fmt.Errorf("end sweep: %w", err)
	}
	return nil
}

// endSweep takes down what became of an open sweep.
func (l *Ledger) endSweep(ctx context.Context, tx *txn, s jobs.Sweep) error {
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE policies SET as_of = ? WHERE policy = ? AND store = ?`), millis(s.AsOf), s.Policy, s.Store); err != nil {
		return err
	}
	n, err := changes(tx.ExecContext(ctx, tx.Rebind(`UPDATE sweeps SET state = ?, reason = '', as_of = ?, found = ?, held = ?, undated = ?, request = ?, done_at = ?
		WHERE id = ? AND (state = ? OR ?)`), s.State, millis(s.AsOf), s.Found, s.Held, s.Undated, s.Request, millis(l.now()), s.ID, jobs.SweepOpen, fault.Bug("sweep/filed-twice")))
	if err == nil && n != 1 {
		err = jobs.ErrSwept
	}
	return err
}

// fileSweep answers the sweep that files a request, in the request's own
// transaction. On PostgreSQL the row of the policy, which is written first, lets one
// at a time through.
func (l *Ledger) fileSweep(ctx context.Context, tx *txn, a jobs.Acceptance) error {
	if a.Sweep == nil {
		return nil
	}
	s := *a.Sweep
	s.State, s.Request = jobs.SweepFiled, a.Request.ID
	fault.Point("sweep/filing")
	if err := l.endSweep(ctx, tx, s); err != nil {
		return err
	}
	var busy bool
	err := tx.GetContext(ctx, &busy, tx.Rebind(`SELECT EXISTS (`+sweepsUnderWay+` AND r.id <> ?)`), s.Policy, s.Store, a.Request.ID)
	if err == nil && busy && !fault.Bug("sweep/overlap") {
		err = jobs.ErrOverlap
	}
	return err
}

// LastSweeps implements jobs.SweepLedger.
func (l *Ledger) LastSweeps(ctx context.Context, policy string, limit int) ([]jobs.Sweep, error) {
	list, err := sweepsOf(ctx, l.read, `s.policy = ? ORDER BY s.id DESC LIMIT ?`, policy, limit)
	if err != nil {
		return nil, fmt.Errorf("list sweeps: %w", err)
	}
	return list, nil
}

// brakesText is how brakes are kept.
func brakesText(b *jobs.Brakes) (string, error) {
	if b == nil {
		return "", nil
	}
	text, err := json.Marshal(b)
	return string(text), err
}

// under returns the rules that count for a request: its own brakes are those that
// it was filed with.
func (l *Ledger) under(ctx context.Context, tx *txn, request string) (jobs.Rules, error) {
	var text string
	if err := tx.GetContext(ctx, &text, tx.Rebind(`SELECT brakes FROM requests WHERE id = ?`), request); err != nil || text == "" || fault.Bug("sweep/brakes-ignored") {
		return l.rules, err
	}
	var b jobs.Brakes
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return l.rules, fmt.Errorf("read brakes: %w", err)
	}
	return l.rules.Under(&b), nil
}

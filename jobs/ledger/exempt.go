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

// Exempt implements jobs.Ledger.
func (l *Ledger) Exempt(ctx context.Context, x jobs.Exemption, e *proof.Exempted) error {
	err := l.decide(ctx, "exempt", x.Request, func(ctx context.Context, tx *txn, r requestRow) error {
		switch jobs.Status(r.Status) {
		case jobs.Received, jobs.Waiting, jobs.Planning, jobs.AwaitingApproval:
		default:
			return errBegun()
		}
		res, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO exemptions (request, store, place, reason, actor, at, review_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (request, store, place) DO NOTHING`), x.Request, x.Store, x.Place, x.Reason, x.By, millis(x.At), millisOrNil(x))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, &jobs.NotNow{Code: "already_exempt", Problem: "this part is exempt already"})
		}
		if err := planWithout(ctx, tx, r, x.Store, millis(l.now())); err != nil {
			return err
		}
		fault.Point("ledger/exempted")
		return tx.log(ctx, e)
	})
	if err == nil {
		l.wake()
	}
	return err
}

func millisOrNil(x jobs.Exemption) any {
	if x.ReviewAt == nil {
		return nil
	}
	return millis(*x.ReviewAt)
}

// planWithout has a request planned anew of which a part is refused, and nothing
// was done. What was said to the plan's hash goes with it: a plan that was
// approved is to be approved again. A worker that is planning has lost its task,
// so no plan made without the exemption is taken.
func planWithout(ctx context.Context, tx *txn, r requestRow, storeName string, now int64) error {
	var begun int
	err := tx.GetContext(ctx, &begun, tx.Rebind(`SELECT COUNT(*) FROM jobs j WHERE request = ? AND (stage <> ? OR EXISTS (SELECT 1 FROM batches b WHERE b.job = j.id AND b.attempts > 0))`),
		r.ID, jobs.StagePlanning)
	switch {
	case err != nil:
		return err
	case begun > 0: // a later round waits to be approved
		return errBegun()
	case fault.Bug("ledger/exempt-keeps-plan"):
		return nil
	}
	of, err := jobsOf(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	return planAnew(ctx, tx, r, of[r.ID], "", []jobs.Excess{{Code: jobs.BeyondExempted, Store: storeName}}, now)
}

func errBegun() error {
	return &jobs.NotNow{Code: "begun", Problem: "erasing has begun: what is left can be kept by a hold, or the request be cancelled"}
}

// exemptionRow is a row of exemptions.
type exemptionRow struct {
	Request, Store, Place, Reason, Actor string
	At                                   int64
	ReviewAt                             sql.NullInt64 `db:"review_at"`
	Found                                int
}

// exemptionsOf returns the exemptions of some requests, by request.
func exemptionsOf(ctx context.Context, q querier, requests ...string) (map[string]jobs.Exemptions, error) {
	of := make(map[string]jobs.Exemptions)
	if len(requests) == 0 {
		return of, nil
	}
	query, args, err := sqlx.In(`SELECT request, store, place, reason, actor, at, review_at, found FROM exemptions WHERE request IN (?) ORDER BY request, store, place`, requests)
	if err != nil {
		return nil, err
	}
	var rows []exemptionRow
	if err := sqlx.SelectContext(ctx, q, &rows, q.Rebind(query), args...); err != nil {
		return nil, err
	}
	for _, r := range rows {
		of[r.Request] = append(of[r.Request], jobs.Exemption{
			Request: r.Request, Store: r.Store, Place: r.Place, Reason: r.Reason, By: r.Actor, At: at(r.At), ReviewAt: atOrNil(r.ReviewAt), IDs: r.Found,
		})
	}
	return of, nil
}

// Exemptions returns what is exempt of a request.
func (l *Ledger) Exemptions(ctx context.Context, request string) (jobs.Exemptions, error) {
	of, err := exemptionsOf(ctx, l.read, request)
	if err != nil {
		return nil, fmt.Errorf("read exemptions: %w", err)
	}
	return of[request], nil
}

// Left commits how many IDs the exemptions of a claimed task's store leave, by
// place of exemption, as they were counted when it was read again.
func (l *Ledger) Left(ctx context.Context, t jobs.Task, left map[string]int) error {
	return l.owned(ctx, "count exempt ids", t.Ring, func(ctx context.Context, tx *txn) error { return keepLeft(ctx, tx, t, left) })
}

func keepLeft(ctx context.Context, tx *txn, t jobs.Task, left map[string]int) error {
	for place, n := range left {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE exemptions SET found = ? WHERE request = ? AND store = ? AND place = ?`), n, t.Request, t.Store, place)
		if err != nil {
			return err
		}
	}
	return nil
}

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
			return &jobs.NotNow{Code: "begun", Problem: "erasing has begun: what is left can be kept by a hold, or the request be cancelled"}
		}
		res, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO exemptions (request, store, place, reason, actor, at, review_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (request, store, place) DO NOTHING`), x.Request, x.Store, x.Place, x.Reason, x.By, millis(x.At), millisOrNil(x))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, &jobs.NotNow{Code: "already_exempt", Problem: "this part is exempt already"})
		}
		if err := planAgain(ctx, tx, x.Request, x.Store); err != nil {
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

// planAgain throws the plan of a request's job in a store away, if it has one
// and nothing was done by it, and has it made anew. The plan's hash goes with
// it, and so does what was said to that hash.
func planAgain(ctx context.Context, tx *txn, request, storeName string) error {
	var job []string
	err := tx.SelectContext(ctx, &job, tx.Rebind(`SELECT id FROM jobs WHERE request = ? AND store = ? AND planned_at IS NOT NULL`), request, storeName)
	if err != nil || len(job) == 0 || fault.Bug("ledger/exempt-keeps-plan") { // what is being planned will see it, see Planned
		return err
	}
	var begun int
	if err := tx.GetContext(ctx, &begun, tx.Rebind(`SELECT COUNT(*) FROM batches WHERE job = ? AND attempts > 0`), job[0]); err != nil {
		return err
	}
	if begun > 0 {
		return &jobs.NotNow{Code: "begun", Problem: "erasing has begun"}
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`DELETE FROM outbox WHERE job = ?`, []any{job[0]}},
		{`DELETE FROM batches WHERE job = ?`, []any{job[0]}},
		{`UPDATE jobs SET stage = ?, round = 0, places = '[]', unattributable = 0, missing = 0, plan = '', planned_at = NULL, note = '' WHERE id = ?`, []any{jobs.StagePlanning, job[0]}},
		{`UPDATE requests SET status = ?, plan_hash = '' WHERE id = ?`, []any{jobs.Planning, request}},
	} {
		if _, err := tx.ExecContext(ctx, tx.Rebind(step.query), step.args...); err != nil {
			return err
		}
	}
	return ring(ctx, tx, row{Kind: jobs.PlanTask, Request: request, Job: job[0], Store: storeName})
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

// planLeft is keepLeft for a first plan. If there are other exemptions than
// those that it was made by, it wraps
// jobs.ErrChanged.
func planLeft(ctx context.Context, tx *txn, t jobs.Task, left map[string]int) error {
	var n int
	if err := tx.GetContext(ctx, &n, tx.Rebind(`SELECT COUNT(*) FROM exemptions WHERE request = ? AND store = ?`), t.Request, t.Store); err != nil {
		return err
	}
	if n != len(left) && !fault.Bug("ledger/exempt-too-late") { // there never become fewer
		return jobs.ErrChanged
	}
	return keepLeft(ctx, tx, t, left)
}

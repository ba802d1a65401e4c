package ledger

import (
	"context"
	"encoding/json"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
)

// recount puts one task for each job into the outbox, which counts again what the
// plan counted, once the grace period is over.
func recount(ctx context.Context, tx *txn, row requestRow, list []jobs.Job, now int64) error {
	status := jobs.Planning
	if row.NotBefore > now {
		status = jobs.Waiting
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ? WHERE id = ?`), status, row.ID); err != nil {
		return err
	}
	for _, j := range list {
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET checked_at = NULL, note = '' WHERE id = ?`), j.ID); err != nil {
			return err
		}
		if err := ring(ctx, tx, planning(row.ID, j, max(now, row.NotBefore))); err != nil {
			return err
		}
	}
	return nil
}

func planning(request string, j jobs.Job, at int64) row {
	return row{Kind: jobs.PlanTask, Request: request, Job: j.ID, Store: j.Store, NextAt: at}
}

// Recounted commits what was counted of a claimed task's job before its plan is
// carried out, and answers the task. Erasing begins once all jobs have been
// counted again, and none has drifted. Otherwise the whole request is planned
// anew, and waits for another approval if it had one. It returns the drifts.
func (l *Ledger) Recounted(ctx context.Context, t jobs.Task, c jobs.Recount) (drifts []jobs.Excess, err error) {
	now := millis(l.now())
	err = l.ordered(ctx, "check plan", t, func(ctx context.Context, tx *txn) error {
		row, err := requestByID(ctx, tx, t.Request)
		switch {
		case err != nil:
			return err
		case row.Cancelling:
			return answered(ctx, tx, t.Ring)
		}
		of, err := jobsOf(ctx, tx, t.Request)
		if err != nil {
			return err
		}
		list := of[t.Request]
		for _, j := range list {
			if j.ID == t.Job {
				drifts = l.rules.Drift(j, c)
			}
		}
		if len(drifts) > 0 {
			return planAnew(ctx, tx, row, list, t.Job, drifts, now)
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET checked_at = ?, unattributable = ?, note = '' WHERE id = ?`), now, c.Unattributable, t.Job); err != nil {
			return err
		}
		if err := answered(ctx, tx, t.Ring); err != nil {
			return err
		}
		fault.Point("ledger/recounted")
		var unchecked int
		err = tx.GetContext(ctx, &unchecked, tx.Rebind(`SELECT COUNT(*) FROM jobs WHERE request = ? AND checked_at IS NULL`), t.Request)
		if err != nil || unchecked > 0 {
			return err
		}
		return l.approved(ctx, tx, row, list, now, false)
	})
	if err == nil {
		l.wake()
	}
	return drifts, err
}

// planAnew forgets a plan of which nothing has been erased, and has every job
// planned again.
func planAnew(ctx context.Context, tx *txn, r requestRow, list []jobs.Job, drifted string, drifts []jobs.Excess, now int64) error {
	beyond := []byte("[]")
	if r.Approval == approvalGiven { // else the new plan is judged by itself
		var err error
		if beyond, err = json.Marshal(drifts); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM outbox WHERE request = ?`), r.ID); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ?, approval = '', beyond = ?, plan_hash = '',
		approved_by = '', approved_at = NULL, approved_hash = '' WHERE id = ?`), jobs.Planning, string(beyond), r.ID)
	if err != nil {
		return err
	}
	for _, j := range list {
		if _, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM batches WHERE job = ?`), j.ID); err != nil {
			return err
		}
		note := ""
		if j.ID == drifted {
			note = jobs.NoteDrifted
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET round = 0, places = '[]', plan = '', planned_at = NULL, checked_at = NULL, missing = 0, note = ? WHERE id = ?`), note, j.ID)
		if err != nil {
			return err
		}
		if err := ring(ctx, tx, planning(r.ID, j, now)); err != nil {
			return err
		}
	}
	fault.Point("ledger/drifted")
	return nil
}

// anotherRound takes in a round of batches that was found while verifying. It
// goes on at once unless it is more than was approved, or than the rules allow.
func (l *Ledger) anotherRound(ctx context.Context, tx *txn, t jobs.Task, p jobs.Planned, now int64, after time.Duration) error {
	row, err := requestByID(ctx, tx, t.Request)
	if err != nil || row.Cancelling {
		return err
	}
	of, err := jobsOf(ctx, tx, t.Request)
	if err != nil {
		return err
	}
	for _, j := range of[t.Request] {
		if j.ID != t.Job {
			continue
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET round = ?, plan = ?, residue = residue + (SELECT COALESCE(SUM(size), 0) FROM batches WHERE job = ? AND round = ?) WHERE id = ?`),
			p.Round, jobs.AddDigest(j.Digest, p.Digest), t.Job, p.Round, t.Job)
		if err != nil {
			return err
		}
	}
	if of, err = jobsOf(ctx, tx, t.Request); err != nil {
		return err
	}
	rules, err := l.under(ctx, tx, t.Request)
	if err != nil {
		return err
	}
	beyond := outgrown(rules, row, of[t.Request], t, p)
	if len(beyond) > 0 && !fault.Bug("approval/residue-unjudged") {
		return l.awaitApproval(ctx, tx, row, of[t.Request], beyond, now)
	}
	return begin(ctx, tx, t.Job, now+after.Milliseconds())
}

// outgrown returns why a round that was found later has to be approved. One that
// is found while another waits joins it.
func outgrown(rules jobs.Rules, row requestRow, list []jobs.Job, t jobs.Task, p jobs.Planned) []jobs.Excess {
	for _, j := range list {
		switch {
		case j.ID != t.Job:
			continue
		case row.Approval == approvalNeeded:
			return append(row.excesses(), jobs.Excess{Code: jobs.BeyondResidue, Store: j.Store, Found: j.Residue, Of: j.Found - j.Exempt - j.Residue})
		case row.Approval == approvalGiven:
			return rules.Outgrown(j)
		default:
			return rules.JudgeRound(list, jobs.Job{Store: j.Store, Places: p.Places})
		}
	}
	return nil
}

package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
)

// Whether the plan of a request has been approved, as its row says.
const (
	approvalNone   = "none"   // no need
	approvalNeeded = "needed" // it waits
	approvalGiven  = "given"  // of the plan in force
)

// An approvalRow is what a row of requests says about the approval of its plan.
type approvalRow struct {
	Approval   string
	Beyond     string
	PlanNo     int           `db:"plan_no"`
	WaitsSince sql.NullInt64 `db:"waits_since"`
	ApprovedBy string        `db:"approved_by"`
	ApprovedAt sql.NullInt64 `db:"approved_at"`
}

const approvalColumns = `approval, beyond, plan_no, waits_since, approved_by, approved_at`

func (r approvalRow) approval() jobs.Approval {
	return jobs.Approval{
		Needed: r.Approval == approvalNeeded, Beyond: r.excesses(), Since: atOrNil(r.WaitsSince), By: r.ApprovedBy, At: atOrNil(r.ApprovedAt),
	}
}

func (r approvalRow) excesses() (list []jobs.Excess) {
	_ = json.Unmarshal([]byte(r.Beyond), &list) // written here alone; it only explains
	if len(list) == 0 {
		return nil
	}
	return list
}

// drifts are why a plan is made anew that had been approved.
func (r approvalRow) drifts() []jobs.Excess {
	if r.Approval != "" {
		return nil
	}
	return r.excesses()
}

// parked is the time of rows of the outbox that wait for an approval: never.
const parked = 1 << 52

// mayErase says of a request r that nothing is to be approved before it goes on.
// It is asked in the same statement that looks for the right to destroy.
func mayErase() string {
	if fault.Bug("approval/fence-blind") {
		return `1 = 1`
	}
	return `(r.approval = 'none' OR r.approval = 'given' AND r.approved_hash = r.plan_hash)`
}

// freezePlan freezes the plan of a request once every job of it has been
// planned: nothing is erased on half a plan. A plan beyond the rules waits for an
// approval from then on; any other goes on, at once or when its grace ends.
func (l *Ledger) freezePlan(ctx context.Context, tx *txn, request string, now int64) error {
	row, err := requestByID(ctx, tx, request)
	if err != nil || row.Cancelling {
		return err
	}
	of, err := jobsOf(ctx, tx, request)
	if err != nil {
		return err
	}
	list := of[request]
	for _, j := range list {
		if j.PlannedAt == nil && !fault.Bug("ledger/erase-on-half-a-plan") {
			return nil
		}
	}
	rules, err := l.under(ctx, tx, request)
	if err != nil {
		return err
	}
	beyond := append(row.drifts(), rules.Judge(list)...)
	if len(beyond) > 0 && !fault.Bug("approval/never-needed") {
		return l.awaitApproval(ctx, tx, row, list, beyond, now)
	}
	if err := setPlan(ctx, tx, row, list, approvalNone, nil, nil); err != nil {
		return err
	}
	fault.Point("ledger/plan-hashed")
	return l.approved(ctx, tx, row, list, now, row.NotBefore > now)
}

// approved lets a plan go on that need not wait for people any more. What was
// planned some time ago is counted again first.
func (l *Ledger) approved(ctx context.Context, tx *txn, row requestRow, list []jobs.Job, now int64, check bool) error {
	if check && !fault.Bug("approval/skip-drift") {
		return recount(ctx, tx, row, list, now)
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ? WHERE id = ?`), jobs.Erasing, row.ID); err != nil {
		return err
	}
	for _, j := range list {
		if err := begin(ctx, tx, j.ID, max(now, row.NotBefore)); err != nil {
			return err
		}
	}
	return nil
}

// awaitApproval freezes the plan that people are to look at, and parks what is
// still in the outbox of the request.
func (l *Ledger) awaitApproval(ctx context.Context, tx *txn, row requestRow, list []jobs.Job, beyond []jobs.Excess, now int64) error {
	if err := setPlan(ctx, tx, row, list, approvalNeeded, beyond, &now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ? WHERE id = ?`), jobs.AwaitingApproval, row.ID); err != nil {
		return err
	}
	fault.Point("ledger/plan-waits")
	_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET state = 'ready', epoch = epoch + 1, next_at = ? WHERE request = ? AND kind = ? AND state IN ('ready', 'queued')`),
		int64(parked), row.ID, jobs.BatchTask)
	return err
}

func setPlan(ctx context.Context, tx *txn, row requestRow, list []jobs.Job, approval string, beyond []jobs.Excess, since *int64) error {
	if beyond == nil {
		beyond = []jobs.Excess{}
	}
	reasons, err := json.Marshal(beyond)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET plan_no = ?, plan_hash = ?, approval = ?, beyond = ?, waits_since = ?,
		approved_by = '', approved_at = NULL, approved_hash = '' WHERE id = ?`),
		row.PlanNo+1, jobs.PlanHash(row.Subject, row.PlanNo+1, list), approval, string(reasons), since, row.ID)
	return err
}

// Approve implements jobs.Ledger. Whether the request waits, for whom and for
// which plan, is asked in the statement that approves: of two people who do so at
// once, one does.
func (l *Ledger) Approve(ctx context.Context, request, hash, by string, e *proof.Approved) error {
	now := millis(l.now())
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, request); err != nil {
			return err
		}
		row, err := requestByID(ctx, tx, request)
		if err != nil {
			return err
		}
		if done, err := approve(ctx, tx, request, hash, by, now); err != nil || !done {
			if err == nil {
				err = row.refuseApproval(by)
			}
			return err
		}
		if err := tx.log(ctx, e); err != nil {
			return err
		}
		fault.Point("ledger/approved")
		return l.goOn(ctx, tx, row, now)
	})
	if err != nil {
		return fmt.Errorf("approve plan: %w", err)
	}
	l.wake()
	return nil
}

func approve(ctx context.Context, tx *txn, request, hash, by string, now int64) (bool, error) {
	where := `id = ? AND approval = 'needed' AND cancelling = 0 AND completed_at IS NULL`
	args := []any{by, now, request}
	if !fault.Bug("approval/any-hash") {
		where, args = where+` AND plan_hash = ?`, append(args, hash)
	}
	if !fault.Bug("approval/self") {
		where, args = where+` AND filed_by <> ?`, append(args, by)
	}
	res, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET approval = 'given', approved_hash = plan_hash, approved_by = ?, approved_at = ?,
		waits_since = NULL WHERE `+where), args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// refuseApproval says why a plan could not be approved.
func (r requestRow) refuseApproval(by string) error {
	switch {
	case r.Approval != approvalNeeded || r.Cancelling || r.CompletedAt.Valid:
		return jobs.ErrNotWaiting
	case r.FiledBy == by:
		return jobs.ErrSelfApproval
	}
	return jobs.ErrPlanChanged
}

// goOn puts back into the outbox what waited for an approval: the plan, to be
// counted again, or a round of batches that was found while verifying.
func (l *Ledger) goOn(ctx context.Context, tx *txn, row requestRow, now int64) error {
	of, err := jobsOf(ctx, tx, row.ID)
	if err != nil {
		return err
	}
	list := of[row.ID]
	for _, j := range list {
		if j.Stage == jobs.StagePlanning {
			return l.approved(ctx, tx, row, list, now, true)
		}
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET next_at = ? WHERE request = ? AND state = 'ready' AND kind = ?`), now, row.ID, jobs.BatchTask); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ? WHERE id = ?`), jobs.Erasing, row.ID); err != nil {
		return err
	}
	for _, j := range list {
		if j.BatchesDone == j.BatchesTotal {
			continue
		}
		if err := ringBatches(ctx, tx, j.ID, now); err != nil {
			return err
		}
	}
	return statusOf(ctx, tx, row.ID)
}

// Reject implements jobs.Ledger. The rows of the outbox are taken first, so that
// no batch is begun that was not seen.
func (l *Ledger) Reject(ctx context.Context, request string, entry func(jobs.Record) proof.Entry, keyUntil time.Time) error {
	if err := l.Refusal(ctx); err != nil {
		return fmt.Errorf("reject request: %w", err)
	}
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, request); err != nil {
			return err
		}
		row, err := requestByID(ctx, tx, request)
		if err != nil {
			return err
		}
		if row.CompletedAt.Valid || row.Cancelling {
			return jobs.ErrTooLate
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM outbox WHERE request = ?`), request); err != nil {
			return err
		}
		var begun int
		err = tx.GetContext(ctx, &begun, tx.Rebind(`SELECT COUNT(*) FROM batches b JOIN jobs j ON j.id = b.job WHERE j.request = ? AND (b.attempts > 0 OR b.started_at IS NOT NULL)`), request)
		if err != nil {
			return err
		}
		if begun > 0 {
			return jobs.ErrBegun
		}
		rec, err := record(ctx, tx, request)
		if err != nil {
			return err
		}
		return l.end(ctx, tx, request, jobs.Rejected, entry(rec), keyUntil)
	})
	if err != nil {
		return fmt.Errorf("reject request: %w", err)
	}
	return l.destroySeal(request)
}

package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"
)

// What is wrong with an approval or a rejection. Nothing has changed then.
var (
	ErrNotWaiting   = errors.New("the request does not wait for an approval")
	ErrSelfApproval = fmt.Errorf("%w: who filed a request may not approve it", ErrForbidden)
	ErrPlanChanged  = errors.New("the plan is not the one that was looked at")
	ErrBegun        = errors.New("erasing has begun") // too late to reject: cancel

	// ErrUnapproved says that a plan must be approved before anything of it is
	// erased. The task must come back: it is no ErrStopped.
	ErrUnapproved = errors.New("the plan is not approved")
)

// An Approval is what a request's plan needs of a second person.
type Approval struct {
	Needed bool     // it waits
	Beyond []Excess // why it waits, or had to be approved
	Since  *time.Time
	By     string // opaque; "" if the plan in force was not approved
	At     *time.Time
}

// A Decider lets second people decide about plans. The actor must have the role
// of an approver or an admin: else it is ErrForbidden.
type Decider interface {
	// Approve approves the plan with this hash of a request that waits, and no
	// other plan. It wraps ErrNotFound, ErrNotWaiting, ErrSelfApproval or
	// ErrPlanChanged. What is found when the plan's turn comes may make it wait
	// again.
	Approve(ctx context.Context, by Actor, id, planHash string) (Request, error)

	// Reject ends a request of which nothing has been erased, for a reason that is
	// a code. It wraps ErrNotFound, ErrTooLate if it has ended and ErrBegun if a
	// batch has been begun.
	Reject(ctx context.Context, by Actor, id, reason string) (Request, error)
}

// Approve implements Book.
func (in *Intake) Approve(ctx context.Context, by Actor, id, planHash string) (Request, error) {
	if err := by.Check(ActDecide); err != nil {
		return Request{}, fmt.Errorf("approve: %w", err)
	}
	e := &proof.Approved{RequestID: id, PlanHash: planHash, ApprovedAt: proof.At(in.Now()), By: by.ID}
	if err := in.Ledger.Approve(ctx, id, planHash, by.ID, e); err != nil {
		return Request{}, err
	}
	fault.Point("jobs/approved")
	return in.Request(ctx, by, id)
}

// Reject implements Book.
func (in *Intake) Reject(ctx context.Context, by Actor, id, reason string) (Request, error) {
	if err := by.Check(ActDecide); err != nil {
		return Request{}, fmt.Errorf("reject: %w", err)
	}
	if err := in.Codes.CheckReason(reason); err != nil {
		return Request{}, err
	}
	now := in.Now()
	entry := func(r Record) proof.Entry {
		return &proof.Rejected{Terms: terms(r.Request, r.Subject, r.TicketHMAC), RejectedAt: proof.At(now), Reason: reason, By: by.ID}
	}
	if err := in.Ledger.Reject(ctx, id, entry, now.Add(in.KeepKey)); err != nil {
		return Request{}, err
	}
	fault.Point("jobs/rejected")
	return in.Request(ctx, by, id)
}

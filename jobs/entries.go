package jobs

import (
	"maps"
	"slices"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"
)

// verifyMethod is the code of how every store was read again: each frozen ID
// by another path than the one that erased it, and the selector once more.
const verifyMethod = "remaining+find"

// An Exclusion is something that erasing in a store does not reach.
type Exclusion struct {
	Code string        // such as "backups"
	For  time.Duration // how long after completion; 0 for as long as it lasts
}

func acceptedEntry(a Acceptance) *proof.Accepted {
	e := &proof.Accepted{Terms: terms(a.Request, a.Subject, a.TicketHMAC), Selector: proof.SelectsScope, IDs: a.Requested, By: a.Request.FiledBy}
	if a.Requested > 0 {
		e.Selector = proof.SelectsIDs
	}
	for _, j := range a.Request.Jobs {
		e.Stores = append(e.Stores, j.Store)
	}
	return e
}

func terms(r Request, subject, ticket string) proof.Terms {
	due := r.DueAt
	if first := r.Clock.FirstDueAt; first != nil { // the terms are those of the acceptance
		due = *first
	}
	return proof.Terms{
		RequestID: r.ID, ReceivedAt: proof.At(r.ReceivedAt), AcceptedAt: proof.At(r.CreatedAt), DueAt: proof.At(due),
		Regime: r.Regime, Ground: r.Ground, Subject: subject, Ticket: ticket,
	}
}

// CompletedEntry states what became of a request all of whose jobs are done.
// The exclusions are by the store's name; those that the stores' figures imply
// are added.
func CompletedEntry(r Record, exclusions map[string][]Exclusion, now time.Time) *proof.Completed {
	e := &proof.Completed{
		Terms: terms(r.Request, r.Subject, r.TicketHMAC), PlanHash: r.PlanHash, CompletedAt: proof.At(now),
		BatchesRoot: proof.Digest(proof.BatchesRoot(r.Roots)),
	}
	if r.Approval.By != "" {
		e.ApprovedBy, e.ApprovedAt = r.Approval.By, proof.AtPointer(r.Approval.At)
	}
	var given []proof.Exclusion
	for _, j := range r.Jobs {
		s := proof.StoreProof{
			Name: j.Store, StoreKind: j.Kind, Requested: j.Requested, Found: j.Found, Erased: j.Erased, Absent: j.Absent,
			Held: j.Held, Refused: j.Refused, Remaining: j.Remaining, Unattributable: j.Unattributable,
			Batches: j.BatchesTotal, Rounds: j.Round, Evidence: string(j.Evidence), Method: verifyMethod + j.Rewrite.method(),
			FirstErasedAt: proof.AtPointer(j.FirstErasedAt), VerifiedAt: proof.AtPointer(j.VerifiedAt), PurgedAt: proof.AtPointer(j.PurgedAt),
			Places: placeProofs(j, r.Outcomes[j.ID], r.Exemptions),
		}
		e.Stores = append(e.Stores, s)
		e.Batches += s.Batches
		e.PlannedAt = max(e.PlannedAt, proof.AtPointer(j.PlannedAt))
		e.FirstErasedAt = earliest(e.FirstErasedAt, s.FirstErasedAt)
		e.ErasedAt = max(e.ErasedAt, proof.AtPointer(j.ErasedAt))
		e.VerifiedAt = max(e.VerifiedAt, s.VerifiedAt)
		e.PurgedAt = max(e.PurgedAt, s.PurgedAt)
		for _, x := range exclusions[j.Store] {
			given = append(given, exclusion(j.Store, x, now))
		}
	}
	for _, x := range r.Exemptions {
		e.Exemptions = append(e.Exemptions, proof.Exemption{
			Store: x.Store, Place: x.Place, Reason: x.Reason, By: x.By, IDs: x.IDs, ReviewAt: proof.AtPointer(x.ReviewAt),
		})
	}
	e.Exempt(e.Exemptions...)
	e.Exclude(given...)
	return e
}

// method is what a purge adds to the code of how a store was read again.
func (r Rewrite) method() string {
	switch r {
	case RewriteSeen:
		return proof.MethodRewrite
	case RewriteUnseen:
		return proof.MethodUnseen
	}
	return ""
}

// placeProofs words what became of a job's places, or says nothing if batches
// were finished before that was kept. Of what is exempt, and of what hangs on
// it, the exemptions tell.
func placeProofs(j Job, outcomes []PlaceOutcome, exempt Exemptions) []proof.PlaceProof {
	by := map[string]*proof.PlaceProof{}
	for _, p := range j.Places {
		if exempt.Of(j.Store, p.Place) != nil || p.With != "" && exempt.Of(j.Store, p.With) != nil {
			continue
		}
		by[p.Place] = &proof.PlaceProof{Name: p.Place, With: p.With}
		if p.With != "" {
			by[p.Place].Found = p.Found
		}
	}
	erased, held := j.Erased, j.Held
	for _, o := range outcomes {
		by[o.Place] = &proof.PlaceProof{Name: o.Place, Erased: o.Erased, Absent: o.Absent, Held: o.Held}
		erased, held = erased-o.Erased, held-o.Held
	}
	if erased != 0 || held != 0 {
		return nil
	}
	var list []proof.PlaceProof
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list = append(list, *by[name])
	}
	return list
}

func exclusion(storeName string, x Exclusion, now time.Time) proof.Exclusion {
	e := proof.Exclusion{Code: x.Code, Store: storeName}
	if x.For > 0 {
		e.Until = proof.At(now.Add(x.For))
	}
	return e
}

// cancelledEntry states how far a request got that was stopped.
func cancelledEntry(r Record, now time.Time) *proof.Cancelled {
	e := &proof.Cancelled{
		Terms: terms(r.Request, r.Subject, r.TicketHMAC), CancelledAt: proof.At(now), By: r.CancelledBy,
		BatchesRoot: proof.Digest(proof.BatchesRoot(r.Roots)),
	}
	for _, j := range r.Jobs {
		if fault.Bug("jobs/cancelled-says-none") {
			j.Erased = 0
		}
		e.Stores = append(e.Stores, proof.CancelledStore{
			Name: j.Store, StoreKind: j.Kind, Requested: j.Requested, Found: j.Found, Erased: j.Erased, Absent: j.Absent,
			Held: j.Held, Refused: j.Refused, Batches: j.BatchesTotal, BatchesDone: j.BatchesDone,
		})
	}
	return e
}

func earliest(a, b proof.Time) proof.Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

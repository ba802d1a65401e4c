package ledger_test

import (
	"errors"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/jobs"
)

func TestARejectedRequestIsWipedAndSaysWhy(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		if _, err := b.intake.Reject(t.Context(), second, r.ID, "because she asked twice"); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("a sentence: %v", err)
		}
		if _, err := b.intake.Reject(t.Context(), jobs.Actor{ID: "x", Role: jobs.RoleSubmitter}, r.ID, "not-identified"); !errors.Is(err, jobs.ErrForbidden) {
			t.Errorf("by a submitter: %v", err)
		}
		got, err := b.intake.Reject(t.Context(), second, r.ID, "not-identified")
		if err != nil || got.Status != jobs.Rejected || !got.Certificate || got.CompletedAt == nil {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := b.count(t, `requests WHERE selector IS NOT NULL`) + b.count(t, `batches WHERE ids IS NOT NULL`); n != 0 {
			t.Errorf("%d texts are left of it", n)
		}
		if _, err := b.keys.Seal(r.ID); err == nil {
			t.Error("its key is left")
		}
		text, err := b.intake.Certificate(t.Context(), jobs.ActorOpen, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		c, err := proof.ParseCertificate(text)
		if err != nil {
			t.Fatal(err)
		}
		e, err := proof.Decode(c.Entry)
		if rejected, ok := e.(*proof.Rejected); err != nil || !ok || rejected.Reason != "not-identified" || rejected.By != second.ID || rejected.RequestID != r.ID {
			t.Errorf("the certificate says %+v, %v", e, err)
		}
		if _, err := b.intake.Reject(t.Context(), second, r.ID, "not-identified"); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("again: %v", err)
		}
		if _, err := b.intake.Approve(t.Context(), second, r.ID, got.PlanHash); !errors.Is(err, jobs.ErrNotWaiting) {
			t.Errorf("approved after all: %v", err)
		}
	})
}

func TestAPlanIsMadeAndApprovedInTheGracePeriod(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 72*time.Hour, "notes")
		if got := b.request(t, r.ID); got.Status != jobs.Waiting {
			t.Fatalf("filed: %s", got.Status)
		}
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		got := b.request(t, r.ID)
		if got.Status != jobs.AwaitingApproval {
			t.Fatalf("planned: %s", got.Status)
		}
		b.advance(time.Hour)
		if got, err := b.intake.Approve(t.Context(), second, r.ID, got.PlanHash); err != nil || got.Status != jobs.Waiting {
			t.Fatalf("approved: %s, %v", got.Status, err)
		}
		b.advance(71*time.Hour - time.Millisecond)
		if rings := b.rings(t); len(rings) > 0 {
			t.Fatal("rung for before its grace has ended")
		}
		b.advance(time.Millisecond)
		b.recount(t, b.task(t, jobs.PlanTask))
		if err := b.Fence(t.Context(), b.task(t, jobs.BatchTask).Ring); err != nil {
			t.Errorf("after the grace period: %v", err)
		}
	})
}

func TestAPlanThatOutgrewTheLimitsInItsGracePeriodWaits(t *testing.T) {
	b := newRuled(t, onSQLite, jobs.Rules{Limits: jobs.Limits{MaxRows: 5}})
	r := b.filed(t, "u1", time.Hour, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 5)
	if got := b.request(t, r.ID); got.Status != jobs.Waiting {
		t.Fatalf("planned: %s", got.Status)
	}
	b.advance(time.Hour)
	if drifts := b.recount(t, b.task(t, jobs.PlanTask), 1); len(drifts) != 1 {
		t.Fatalf("one row more, where none is tolerated: %v", drifts)
	}
	b.planRows(t, b.task(t, jobs.PlanTask), 6)
	if got := b.request(t, r.ID); got.Status != jobs.AwaitingApproval || got.Approval.Beyond[0].Code != jobs.BeyondRows {
		t.Errorf("planned anew: %s, %+v", got.Status, got.Approval)
	}
}

func TestWhatWaitsIsCancelledAtOnce(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	for name, grace := range map[string]time.Duration{"approval": 0, "grace": time.Hour} {
		r := b.filed(t, "u1", grace, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), map[string]int{"approval": 6, "grace": 2}[name])
		got, err := b.intake.Cancel(t.Context(), jobs.ActorOpen, r.ID)
		if err != nil || got.Status != jobs.Cancelled || got.Jobs[0].Erased != 0 {
			t.Errorf("%s: %s, %v", name, got.Status, err)
		}
		if kinds := b.kinds(t, r.ID); kinds[len(kinds)-1] != proof.KindCancelled || b.count(t, `outbox`) != 0 {
			t.Errorf("%s: the log ends with %v", name, kinds)
		}
	}
}

// An approval, a drift and a rejection are each one commit: with its entry and
// what follows from it, or not at all.
func TestADecisionThatIsNotCommittedIsNone(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		hash := b.request(t, r.ID).PlanHash
		fails := func(what, event string, do func() error) {
			t.Helper()
			before := b.tables(t)
			mend := b.spoil(t, event)
			if err := do(); !errors.Is(err, audit.ErrDoubt) {
				t.Fatalf("%s: err = %v, want ErrDoubt", what, err)
			}
			mend()
			if b.tables(t) != before {
				t.Errorf("%s: a commit that was none left something", what)
			}
		}
		approve := func() error {
			_, err := b.intake.Approve(t.Context(), second, r.ID, hash)
			return err
		}
		fails("approve", "UPDATE OF approved_hash ON requests", approve)
		if err := approve(); err != nil {
			t.Fatal(err)
		}
		task := b.task(t, jobs.PlanTask)
		drift := func() error {
			_, err := b.Recounted(t.Context(), task, jobs.Recount{MapVersion: "m2"})
			return err
		}
		fails("drift", "DELETE ON batches", drift)
		if err := drift(); err != nil {
			t.Fatal(err)
		}
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		reject := func() error {
			_, err := b.intake.Reject(t.Context(), second, r.ID, "not-identified")
			return err
		}
		fails("reject", "UPDATE OF completed_at ON requests", reject)
		if _, err := b.keys.Seal(r.ID); err != nil {
			t.Fatalf("the key of a request that goes on is gone: %v", err)
		}
		if err := reject(); err != nil {
			t.Fatal(err)
		}
	})
}

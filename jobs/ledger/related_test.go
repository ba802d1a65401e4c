package ledger_test

import (
	"errors"
	"testing"

	"lethe/jobs"
	"lethe/store"
)

// TestWhetherWhatIsRelatedGoesIsKept: the request, and every task of it, says it
// after a restart too; and how much is related a job says, at least what was
// found when it was planned.
func TestWhetherWhatIsRelatedGoesIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		file := func(related bool, s jobs.Submission) jobs.Request {
			s.By, s.Origin, s.Related, s.Stores = jobs.ActorLocal, jobs.OriginAPI, related, []string{"notes"}
			r, _, err := b.intake.Submit(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		asked := map[string]bool{
			file(true, jobs.Submission{Selector: user("u1")}).ID:                      true,
			file(false, jobs.Submission{Selector: user("u1")}).ID:                     false,
			file(true, jobs.Submission{Staged: b.stage(t, "a", "b"), Ticket: "2"}).ID: true,
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b.open(t)
		for id, related := range asked {
			if r := b.request(t, id); r.Related != related || r.Jobs[0].Related != 0 {
				t.Errorf("the request says related %t, and %d; want %t", r.Related, r.Jobs[0].Related, related)
			}
		}
		steps(t, b, asked)
		for id := range asked {
			if j := b.request(t, id).Jobs[0]; j.Related != 9 || j.Evidence != store.EvidenceErased || j.Stage != jobs.StageDone {
				t.Errorf("at the end: %d related, evidence %s, stage %s; want 9, erased, done", j.Related, j.Evidence, j.Stage)
			}
		}
	})
}

// steps plans, erases and verifies all that was filed.
func steps(t *testing.T, b *book, asked map[string]bool) {
	t.Helper()
	for range 3 {
		for _, task := range b.tasks(t) {
			if task.Related != asked[task.Request] {
				t.Errorf("a task to %s says related %t", task.Kind, task.Related)
			}
			switch task.Kind {
			case jobs.PlanTask:
				round, seq, err := b.Replan(t.Context(), task)
				if err == nil {
					err = b.Freeze(t.Context(), task, round, seq, someIDs(task.Job, 2))
				}
				if err == nil {
					err = b.Planned(t.Context(), task, jobs.Planned{Round: round, Digest: "d", Related: 7}, 0)
				}
				if err != nil {
					t.Fatal(err)
				}
				if j, err := b.Job(t.Context(), task.Job); err != nil || j.Related != 7 {
					t.Errorf("planned: %d related, error %v", j.Related, err)
				}
			case jobs.BatchTask:
				b.erase(t, task)
			case jobs.SettleTask:
				for _, now := range []int{9, 4} { // what is related may go when others do
					if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{AtMost: store.EvidenceErased, Related: now}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}

// TestARequestForMoreIsAnotherRequest: under one idempotency key a body that asks
// for what is related is another body.
func TestARequestForMoreIsAnotherRequest(t *testing.T) {
	b := newBook(t, onSQLite)
	s := jobs.Submission{By: jobs.ActorLocal, Selector: user("u1"), Origin: jobs.OriginAPI, IdempotencyKey: "k", BodyDigest: []byte("with")}
	s.Related = true
	first, _, err := b.intake.Submit(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := b.intake.Submit(t.Context(), s); err != nil || again.ID != first.ID || !again.Related {
		t.Errorf("again: %v, related %t", err, again.Related)
	}
	s.Related, s.BodyDigest = false, []byte("without")
	if _, _, err := b.intake.Submit(t.Context(), s); !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("err = %v, want ErrConflict", err)
	}
}

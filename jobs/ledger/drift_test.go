package ledger_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
)

func TestWhatDriftedSinceItsApprovalWaitsAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0) // in two stores
		for _, task := range b.tasks(t) {
			b.planRows(t, task, 400)
		}
		approve := func() string {
			t.Helper()
			hash := b.request(t, r.ID).PlanHash
			if _, err := b.intake.Approve(t.Context(), second, r.ID, hash); err != nil {
				t.Fatal(err)
			}
			return hash
		}
		first := approve()
		tasks := b.tasks(t)
		if drifts := b.recount(t, tasks[0], 100); drifts != nil {
			t.Fatalf("100 rows more: %v", drifts)
		}
		if got := b.request(t, r.ID); got.Status != jobs.Planning || len(b.rings(t)) > 0 {
			t.Fatalf("%s: erasing begins before every store was counted again", got.Status)
		}
		drifts := b.recount(t, tasks[1], 101)
		if len(drifts) != 1 || drifts[0].Of != 400 || drifts[0].Found != 501 {
			t.Fatalf("101 rows more: %+v", drifts)
		}
		if got := b.request(t, r.ID); got.PlanHash != "" || got.Approval.By != "" || got.Status != jobs.Planning {
			t.Errorf("drifted: %s, plan %q, approved by %q", got.Status, got.PlanHash, got.Approval.By)
		}
		again := b.tasks(t)
		if len(again) != 2 || again[0].Kind != jobs.PlanTask || again[1].Kind != jobs.PlanTask {
			t.Fatalf("after a drift: %v", again)
		}
		if err := b.Freeze(t.Context(), tasks[0], 2, 9, someIDs("late", 1)); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("a task of the old plan writes on: %v", err)
		}
		for _, task := range again { // within the limits now, and approved by nobody
			b.planRows(t, task, 2)
		}
		got := b.request(t, r.ID)
		if got.Status != jobs.AwaitingApproval || got.PlanHash == first || got.Approval.Beyond[0].Code != jobs.BeyondDrifted || got.Jobs[0].Found != 2 {
			t.Fatalf("planned anew: %s, %+v", got.Status, got.Approval)
		}
		notes := []string{got.Jobs[0].Note, got.Jobs[1].Note}
		if slices.Sort(notes); notes[0] != "" || notes[1] != jobs.NoteDrifted {
			t.Errorf("notes %q", notes)
		}
		if _, err := b.intake.Approve(t.Context(), second, r.ID, first); !errors.Is(err, jobs.ErrPlanChanged) {
			t.Errorf("the old plan: %v", err)
		}
		approve()
		for _, task := range b.tasks(t) {
			if drifts := b.recount(t, task); drifts != nil {
				t.Errorf("unchanged: %v", drifts)
			}
		}
		if got := b.request(t, r.ID); got.Status != jobs.Erasing || got.Jobs[0].Note+got.Jobs[1].Note != "" {
			t.Errorf("%s, notes %q", got.Status, got.Jobs[0].Note+got.Jobs[1].Note)
		}
		if tasks := b.tasks(t); len(tasks) != 2 || b.Fence(t.Context(), tasks[0].Ring) != nil {
			t.Errorf("approved: %v", tasks)
		}
		if d := cmp.Diff([]string{"erasure.accepted/v1", "erasure.approved/v1", "erasure.approved/v1"}, b.kinds(t, r.ID)); d != "" {
			t.Error(d)
		}
	})
}

func TestAPlanOfAnotherDataMapHasDrifted(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	r := b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 6)
	if _, err := b.intake.Approve(t.Context(), second, r.ID, b.request(t, r.ID).PlanHash); err != nil {
		t.Fatal(err)
	}
	task := b.task(t, jobs.PlanTask)
	drifts, err := b.Recounted(t.Context(), task, jobs.Recount{Places: []jobs.PlaceCount{{Place: "memories", Found: 6}}, MapVersion: "m2"})
	if err != nil || len(drifts) != 1 {
		t.Errorf("%v, %v", drifts, err)
	}
}

func TestMoreFoundWhileVerifyingThanWasApprovedWaits(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0) // in two stores
		for _, task := range b.tasks(t) {
			b.planRows(t, task, 6)
		}
		first := b.request(t, r.ID).PlanHash
		if _, err := b.intake.Approve(t.Context(), second, r.ID, first); err != nil {
			t.Fatal(err)
		}
		for _, task := range b.tasks(t) {
			b.recount(t, task)
		}
		both := b.tasks(t)
		other := both[1] // under way
		b.erase(t, both[0])
		b.planRows(t, b.task(t, jobs.SettleTask), 100)
		b.erase(t, b.task(t, jobs.BatchTask))
		b.planRows(t, b.task(t, jobs.SettleTask), 1)
		got := b.request(t, r.ID)
		if got.Status != jobs.AwaitingApproval || got.PlanHash == first || !cmp.Equal(got.Approval.Beyond, []jobs.Excess{{Code: jobs.BeyondResidue, Store: got.Jobs[0].Store, Found: 101, Of: 6}}) {
			t.Fatalf("101 more than 6: %s, %+v", got.Status, got.Approval)
		}
		if _, err := b.Begin(t.Context(), other); !errors.Is(err, jobs.ErrUnapproved) {
			t.Errorf("another batch goes on: %v", err)
		}
		if err := b.Retry(t.Context(), other.Ring, time.Hour, "approval"); err != nil || len(b.rings(t)) > 0 {
			t.Fatalf("rung while it waits, %v", err)
		}
		if _, err := b.intake.Approve(t.Context(), second, r.ID, got.PlanHash); err != nil {
			t.Fatal(err)
		}
		tasks := b.tasks(t)
		if len(tasks) != 2 {
			t.Fatalf("approved: %v", tasks)
		}
		for _, task := range tasks {
			b.erase(t, task)
		}
		for _, task := range b.tasks(t) {
			if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{}); err != nil {
				t.Fatal(err)
			}
			if err := b.complete(t.Context(), task); err != nil && !errors.Is(err, jobs.ErrStale) {
				t.Fatal(err)
			}
		}
		if got := b.request(t, r.ID); got.Status != jobs.Completed || got.Jobs[0].Erased != 107 {
			t.Errorf("%s, %d erased", got.Status, got.Jobs[0].Erased)
		}
	})
}

func TestARoundThatGoesBeyondTheLimitsWaits(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	r := b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 4)
	b.erase(t, b.task(t, jobs.BatchTask))
	b.planRows(t, b.task(t, jobs.SettleTask), 1)
	b.erase(t, b.task(t, jobs.BatchTask))
	b.planRows(t, b.task(t, jobs.SettleTask), 1)
	if got := b.request(t, r.ID); got.Status != jobs.AwaitingApproval || got.Approval.Beyond[0].Code != jobs.BeyondRows || len(b.rings(t)) > 0 {
		t.Errorf("the sixth row of five: %s, %+v", got.Status, got.Approval)
	}
	if _, err := b.intake.Reject(t.Context(), second, r.ID, "not-identified"); !errors.Is(err, jobs.ErrBegun) {
		t.Errorf("rejected though 5 are gone: %v", err)
	}
	if got, err := b.intake.Cancel(t.Context(), jobs.ActorOpen, r.ID); err != nil || got.Status != jobs.Cancelled || got.Jobs[0].Erased != 5 || got.Jobs[0].Found != 6 {
		t.Errorf("cancelled: %+v, %v", got, err)
	}
}

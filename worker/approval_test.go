package worker_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/ledger"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// The two people of these tests.
var (
	filer  = jobs.Actor{ID: "tok-filer", Role: jobs.RoleSubmitter}
	second = jobs.Actor{ID: "tok-second", Role: jobs.RoleApprover}
)

// newRuledHouse is a house with rules of its own.
func newRuledHouse(t *testing.T, rules jobs.Rules, stores ...string) *house {
	t.Helper()
	h := newHouse(t, stores...)
	if err := h.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	h.ledger, err = ledger.Open(t.Context(), ledger.Options{Dir: h.dir, Keys: h.keys, Origin: h.key.Origin, Signer: h.key.Signer, Now: h.clock.Now, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	h.intake.Ledger = h.ledger
	return h
}

// waits takes turns until a request waits for an approval, and returns it.
func (h *house) waits(e *worker.Eraser, id string) jobs.Request {
	h.t.Helper()
	h.until(e, "the request waits for an approval", func() bool { return h.request(id).Status == jobs.AwaitingApproval })
	return h.request(id)
}

func (h *house) approve(id string) {
	h.t.Helper()
	if _, err := h.intake.Approve(h.t.Context(), second, id, h.request(id).PlanHash); err != nil {
		h.t.Fatal(err)
	}
}

// What is erased is what a second person has looked at: a plan that no longer
// fits the store is made anew and waits again.
func TestAnApprovedPlanIsCountedAgainBeforeItIsCarriedOut(t *testing.T) {
	t.Parallel()
	h := newRuledHouse(t, jobs.Rules{Limits: jobs.Limits{MaxFraction: 0.5, FractionFrom: 100, Tolerance: 0.1}}, "a", "b")
	a, b := storetest.NewMemory(people(120, "alice")...), storetest.NewMemory(people(3, "alice")...)
	b.Add(people(300, "bob")...)
	stores := []*worker.Store{kept("a", a), kept("b", b)}
	before := []map[string]string{rows(t, a), rows(t, b)}
	e := h.eraser(stores...)
	id := h.submit(jobs.Submission{By: filer, Selector: store.Selector{UserID: "alice"}})
	first := h.waits(e, id)
	if got := fmt.Sprint(first.Approval.Beyond); got != "[{max-fraction a memories 120 120} {max-fraction a history 120 120}]" {
		t.Errorf("it waits for %s", got)
	}
	if got := []map[string]string{rows(t, a), rows(t, b)}; fmt.Sprint(before) != fmt.Sprint(got) {
		t.Error("planning has changed a store")
	}
	if _, err := h.intake.Approve(t.Context(), jobs.Actor{ID: filer.ID, Role: jobs.RoleAdmin}, id, first.PlanHash); !errors.Is(err, jobs.ErrSelfApproval) {
		t.Errorf("approved by who filed it: %v", err)
	}
	h.approve(id)
	b.Add(storetest.Record{ID: "alice-new", UserID: "alice", Text: "one more"})
	for i := range 101 {
		a.Add(storetest.Record{ID: fmt.Sprint("alice-more-", i), UserID: "alice", Text: "more"})
	}
	again := h.waits(e, id)
	if again.PlanHash == first.PlanHash || again.Approval.Beyond[0].Code != jobs.BeyondDrifted || a.Len() != 221 || again.Jobs[0].Found != 221 {
		t.Fatalf("drifted: %+v, %d memories", again.Approval, a.Len())
	}
	if _, err := h.intake.Approve(t.Context(), second, id, first.PlanHash); !errors.Is(err, jobs.ErrPlanChanged) {
		t.Errorf("the plan of before: %v", err)
	}
	h.approve(id)
	h.finish(e, id)
	if c := h.completed(id); a.Len() != 0 || b.Len() != 300 || c.ApprovedBy != second.ID || c.PlanHash != again.PlanHash || c.ApprovedAt == 0 || c.FirstErasedAt < c.ApprovedAt {
		t.Errorf("%d and %d left, %+v", a.Len(), b.Len(), c)
	}
}

// A memory that is found while verifying is not lost: it is erased once its round
// has been approved too.
func TestWhatIsFoundBeyondAnApprovalIsErasedAfterAnother(t *testing.T) {
	t.Parallel()
	h := newRuledHouse(t, jobs.Rules{Always: true}, "a")
	a := storetest.NewMemory(people(2, "alice")...)
	e := h.eraser(kept("a", a))
	id := h.submit(jobs.Submission{By: filer, Selector: store.Selector{UserID: "alice"}})
	h.waits(e, id)
	h.approve(id)
	h.until(e, "the batch is done", func() bool { return h.request(id).Status == jobs.Verifying })
	a.Add(storetest.Record{ID: "late", UserID: "alice", Text: "late"})
	if got := h.waits(e, id); got.Approval.Beyond[0].Code != jobs.BeyondResidue || a.Len() != 1 {
		t.Fatalf("%+v, %d left", got.Approval, a.Len())
	}
	h.approve(id)
	h.finish(e, id)
	if c := h.completed(id); a.Len() != 0 || c.Stores[0].Erased != 3 || c.Stores[0].Rounds != 2 {
		t.Errorf("%d left, %s", a.Len(), counts(c.Stores[0]))
	}
}

func TestNothingIsTouchedInTheGracePeriod(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a")
	a := storetest.NewMemory(people(2, "alice")...)
	e := h.eraser(kept("a", a))
	filed := h.clock.Now()
	id := h.submit(jobs.Submission{By: filer, Selector: store.Selector{UserID: "alice"}, Grace: 72 * time.Hour})
	before := rows(t, a)
	for range 6 {
		for h.turn(e) {
		}
		h.clock.add(12*time.Hour - time.Second)
		h.reconcile()
	}
	h.turn(e)
	if r := h.request(id); r.Status != jobs.Waiting || r.PlanHash == "" || fmt.Sprint(before) != fmt.Sprint(rows(t, a)) {
		t.Fatalf("in the grace period: %s, plan %q", r.Status, r.PlanHash)
	}
	h.finish(e, id)
	if c := h.completed(id); a.Len() != 0 || c.FirstErasedAt.Time().Before(filed.Add(72*time.Hour).Truncate(time.Second)) {
		t.Errorf("%d left, first erased %s", a.Len(), c.FirstErasedAt)
	}
}

func TestADryRunSaysWhatWouldHaveToBeApproved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a")
	rules := jobs.Rules{Limits: jobs.Limits{MaxRows: 3}}
	m := storetest.NewMemory(people(2, "alice")...)
	v := &worker.Surveyor{Stores: []*worker.Store{kept("a", m)}, Secret: h.keys.Secret(), Rules: rules}
	ask := jobs.Submission{By: jobs.ActorOpen, Selector: store.Selector{UserID: "alice"}}
	plan, err := v.Plan(t.Context(), ask)
	if err != nil || fmt.Sprint(plan.Beyond) != "[{max-rows   4 3}]" || plan.Stores[0].Places[1].Total != 2 {
		t.Errorf("%+v, %v", plan, err)
	}
	m.Add(people(1, "bob")...)
	if again, err := v.Plan(t.Context(), ask); err != nil || again.Hash != plan.Hash {
		t.Errorf("the hash goes by what others have: %v", err)
	}
	v.Stores[0].Store = otherMap{m}
	if again, err := v.Plan(t.Context(), ask); err != nil || again.Hash == plan.Hash {
		t.Errorf("the hash does not go by the data map: %v", err)
	}
}

// otherMap is a store after its data map has changed.
type otherMap struct{ *storetest.Memory }

func (otherMap) MapVersion() string { return "memory v2" }

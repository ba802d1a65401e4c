package worker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

func TestTheWholeWayToACertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice", "bob")...)
	others := rows(t, storetest.NewMemory(people(3, "bob")...))
	e := h.eraser(kept("m", m))
	id := h.forget("alice")

	var seen []string
	note := func() { seen = append(seen, string(h.request(id).Status)) }
	for note(); !h.request(id).Status.Ended(); note() {
		h.handle(e, h.ring())
	}
	if diff := cmp.Diff("received erasing verifying completed", strings.Join(seen, " ")); diff != "" {
		t.Errorf("statuses (-want +got)\n%s", diff)
	}
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
	if diff := cmp.Diff(others, rows(t, m)); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
	key, err := h.intake.SubjectKey(t.Context(), jobs.ActorLocal, id)
	if err != nil {
		t.Fatal(err)
	}
	if about, err := h.statement(id).Subject(key, []byte(`{"user_id":"alice"}`)); err != nil || !about {
		t.Errorf("the key does not open the subject commitment: %v", err)
	}
	if c := h.completed(id); c.PlanHash != h.request(id).PlanHash || c.Batches != 1 {
		t.Errorf("plan hash %s, batches %d", c.PlanHash, c.Batches)
	}
	places := []proof.PlaceProof{{Name: "history", With: "memories", Found: 3}, {Name: "memories", Erased: 3}, {Name: "messages"}}
	if diff := cmp.Diff(places, h.completed(id).Stores[0].Places); diff != "" {
		t.Errorf("places (-want +got)\n%s", diff)
	}
	if _, err := h.ledger.Log().Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRequestsByID(t *testing.T) {
	t.Parallel()
	many := make([]string, 2500)
	for i := range many {
		many[i] = fmt.Sprintf("alice-%04d", i)
	}
	for _, c := range []struct {
		name string
		have int
		ask  []string
		want string
	}{
		{"NoneFound", 3, []string{"x", "y"}, "requested 2 found 0 erased 0 absent 2 batches 0 rounds 1 purged"},
		{"SomeAbsent", 2, many[:5], "requested 5 found 2 erased 2 absent 3 batches 1 rounds 1 purged"},
		{"Duplicates", 3, []string{many[1], many[1], many[0], many[1]}, "requested 2 found 2 erased 2 absent 0 batches 1 rounds 1 purged"},
		{"2500", 2600, many, "requested 2500 found 2500 erased 2500 absent 0 batches 3 rounds 1 purged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m")
			m := storetest.NewMemory(people(c.have, "alice")...)
			id := h.forgetIDs(c.ask...)
			h.finish(h.eraser(kept("m", m)), id)
			h.wantCounts(id, c.want)
			left := rows(t, m)
			for _, asked := range c.ask {
				if _, ok := left["memories/"+asked]; ok {
					t.Fatalf("an ID that was asked for is left")
				}
			}
			found := int(h.completed(id).Stores[0].Found)
			if m.Len() != c.have-found {
				t.Errorf("%d rows left, want %d", m.Len(), c.have-found)
			}
		})
	}
}

func TestAnIDWhoseHistoryAloneIsLeftIsErased(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory()
	m.AddHistory("ghost", "text of a memory that is gone")
	id := h.forgetIDs("ghost")
	h.finish(h.eraser(kept("m", m)), id)
	h.wantCounts(id, "requested 1 found 1 erased 1 absent 0 batches 1 rounds 1 purged")
	if left := rows(t, m); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAStoreThatFailsHealsAndTheRequestCompletes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a", "b")
	a, b := storetest.NewMemory(people(4, "alice")...), storetest.NewMemory(people(5, "alice", "bob")...)
	b.Set(func(f *storetest.Faults) {
		f.Fail = map[storetest.Op]int{storetest.Erase: 1000, storetest.Remaining: 1000}
	})
	e := h.eraser(kept("a", a), kept("b", b))
	id := h.forget("alice")
	h.until(e, "store a is done", func() bool { return h.request(id).Jobs[0].Stage == jobs.StageDone })
	for range 5 {
		h.turn(e)
		h.clock.add(2 * 60e9)
	}
	h.wantNoCertificate(id)
	if j := h.request(id).Jobs[1]; j.Note != "store-error" || j.Erased != 0 {
		t.Errorf("store b: note %q, erased %d", j.Note, j.Erased)
	}
	b.Set(func(f *storetest.Faults) { f.Fail = nil })
	h.finish(e, id)
	h.wantCounts(id, "requested 4 found 4 erased 4 absent 0 batches 1 rounds 1 purged", "requested 5 found 5 erased 5 absent 0 batches 1 rounds 1 purged")
	if a.Len() != 0 || b.Len() != 5 {
		t.Errorf("%d and %d rows left, want 0 and 5", a.Len(), b.Len())
	}
}

func TestNothingIsErasedOnHalfAPlan(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a", "b")
	a, b := storetest.NewMemory(people(4, "alice")...), storetest.NewMemory(people(5, "alice")...)
	b.Set(func(f *storetest.Faults) { f.Fail = map[storetest.Op]int{storetest.Find: 3} })
	e := h.eraser(kept("a", a), kept("b", b))
	id := h.forget("alice")
	h.turn(e)
	h.turn(e)
	if a.Calls(storetest.Erase) != 0 || a.Len() != 4 {
		t.Error("store a was erased before store b was planned")
	}
	h.finish(e, id)
	if a.Len()+b.Len() != 0 {
		t.Error("rows are left")
	}
}

func TestAStoreNoLongerConfiguredKeepsItsRequestOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a", "b")
	a, b := storetest.NewMemory(people(1, "alice")...), storetest.NewMemory(people(1, "alice")...)
	id := h.forget("alice")
	e := h.eraser(kept("a", a))
	for range 4 {
		h.turn(e)
		h.clock.add(60e9)
	}
	h.wantNoCertificate(id)
	if n := h.request(id).Jobs[1].Note; n != "store-not-configured" {
		t.Errorf("note %q", n)
	}
	h.finish(h.eraser(kept("a", a), kept("b", b)), id)
	if a.Len()+b.Len() != 0 {
		t.Error("rows are left")
	}
}

// TestASurveyCountsWhatIsThenErased also shows that it changes nothing.
func TestASurveyCountsWhatIsThenErased(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a", "b")
	records := people(7, "alice", "bob")
	records[0].Message = true
	a, b := storetest.NewMemory(records...), storetest.NewMemory(people(2, "alice")...)
	stores := []*worker.Store{kept("a", a), kept("b", b)}
	before := []map[string]string{rows(t, a), rows(t, b)}
	v := &worker.Surveyor{Stores: stores, Secret: h.keys.Secret()}
	ask := jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}}
	plan, err := v.Plan(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Plan(t.Context(), ask)
	if err != nil || plan.Hash != again.Hash {
		t.Errorf("the hash of the same plan changed: %v", err)
	}
	if diff := cmp.Diff(before, []map[string]string{rows(t, a), rows(t, b)}); diff != "" {
		t.Errorf("the survey changed rows (-before +after)\n%s", diff)
	}
	if list, _, err := h.intake.List(t.Context(), jobs.ActorLocal, nil, 10, ""); err != nil || len(list) != 0 || h.logSize() != 0 {
		t.Errorf("the survey left %d requests, error %v", len(list), err)
	}
	id := h.forget("alice")
	h.finish(h.eraser(stores...), id)
	for i, s := range h.completed(id).Stores {
		if p := plan.Stores[i]; p.Store != s.Name || p.Found != s.Erased || s.Erased == 0 {
			t.Errorf("survey of %s: %d, erased %d", p.Store, p.Found, s.Erased)
		}
	}
	if after, err := v.Plan(t.Context(), ask); err != nil || after.Hash == plan.Hash || after.Stores[0].Found != 0 {
		t.Errorf("a survey afterwards finds %d, error %v", after.Stores[0].Found, err)
	}
	if some, err := v.Plan(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: ask.Selector, Stores: []string{"b"}}); err != nil || len(some.Stores) != 1 || some.Stores[0].Store != "b" {
		t.Errorf("a survey of store b: %+v, %v", some, err)
	}
}

func TestTheCertificateSaysWhatItDoesNotReach(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(1, "alice")...)
	m.AddHistory("gone", "of nobody we know")
	s := kept("m", m)
	s.Exclusions = []jobs.Exclusion{{Code: "backups", For: 24 * 3600e9}}
	s.Purge = worker.PurgePolicy{Off: true}
	id := h.forget("alice")
	h.finish(h.eraser(s), id)
	c := h.completed(id)
	until := c.CompletedAt + proof.Time(24*3600)
	want := proof.Exclusions{
		{Code: "backups", Store: "m", Until: until}, {Code: proof.ExcludesUnattributable, Store: "m"}, {Code: proof.ExcludesWAL, Store: "m"},
	}
	if diff := cmp.Diff(want, c.Exclusions); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	h.wantCounts(id, "requested 1 found 1 erased 1 absent 0 batches 1 rounds 1 verified")
}

// A deaf store has sessions that no list of IDs can be compared with.
type deaf struct{ *storetest.Memory }

func (deaf) Unreached(sel store.Selector) []string {
	if sel.ByID() {
		return []string{"messages"}
	}
	return nil
}

func TestTheCertificateNamesThePlacesItsSelectorCannotReach(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(2, "alice")...)
	e := h.eraser(kept("m", deaf{m}))
	for id, want := range map[string]proof.Exclusions{
		h.forgetIDs("nobody"): {{Code: "unreached-messages", Store: "m"}},
		h.forget("alice"):     nil,
	} {
		h.finish(e, id)
		if diff := cmp.Diff(want, h.completed(id).Exclusions, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

package worker_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
)

func (h *house) metric(name string, labels ...string) float64 {
	h.t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			values := map[string]bool{}
			for _, l := range m.GetLabel() {
				values[l.GetValue()] = true
			}
			all := true
			for _, l := range labels {
				all = all && values[l]
			}
			if all {
				return m.GetCounter().GetValue()
			}
		}
	}
	h.t.Fatalf("no metric %s%v", name, labels)
	return 0
}

func TestLyingStoreGetsNoCertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(20, "alice")...)
	m.Set(func(f *storetest.Faults) { f.Lie = 1 << 30 })
	e := h.measured(h.eraser(kept("m", m)))
	id := h.forget("alice")
	for range 30 {
		h.turn(e)
		h.clock.add(60e9)
	}
	h.wantNoCertificate(id)
	r := h.request(id)
	if r.Status != jobs.Erasing || r.Jobs[0].Erased != 0 || r.Jobs[0].Note != "not-verified" || r.Jobs[0].Evidence != store.EvidenceNone {
		t.Errorf("status %s, erased %d, note %q, evidence %q", r.Status, r.Jobs[0].Erased, r.Jobs[0].Note, r.Jobs[0].Evidence)
	}
	if h.metric("lethe_verify_failures_total", "m") == 0 || h.metric("lethe_ids_total", "m", "erased") != 0 {
		t.Error("the lie was not counted, or was believed")
	}
	m.Set(func(f *storetest.Faults) { f.Lie = 0 })
	h.finish(e, id)
	if c := h.completed(id).Stores[0]; c.Erased != 20 || c.Found != 20 || c.Absent != 0 || m.Len() != 0 {
		t.Errorf("after the lie: %s, %d rows left", counts(c), m.Len())
	}
	if h.metric("lethe_ids_total", "m", "erased") != 20 {
		t.Error("what was erased was not counted")
	}
}

func TestAStoreThatRefusesGetsNoCertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(8, "alice")...)
	bad := store.ID{Place: "memories", Key: "alice-0005"}
	m.Set(func(f *storetest.Faults) { f.Refuse = map[store.ID]bool{bad: true} })
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.until(e, "the others are erased", func() bool { return h.request(id).Jobs[0].Erased == 7 })
	for range 5 {
		h.turn(e)
		h.clock.add(60e9)
	}
	h.wantNoCertificate(id)
	if n := h.request(id).Jobs[0].Note; n != "store-refused" || m.Len() != 1 {
		t.Errorf("note %q, %d rows left", n, m.Len())
	}
	m.Set(func(f *storetest.Faults) { f.Refuse = nil })
	h.finish(e, id)
	if c := h.completed(id).Stores[0]; c.Erased != 8 || c.Refused != 0 {
		t.Errorf("certificate: %s", counts(c))
	}
}

func TestWrittenBetweenPlanningAndVerifyingIsErasedInAnotherRound(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(4, "alice", "bob")...)
	m.Set(func(f *storetest.Faults) {
		f.Arrive = []storetest.Record{{ID: "late", UserID: "alice", Text: "late", Message: true}, {ID: "bobs", UserID: "bob", Text: "late"}}
	})
	e := h.measured(h.eraser(kept("m", m)))
	id := h.forget("alice")
	h.finish(e, id)
	h.wantCounts(id, "requested 6 found 6 erased 6 absent 0 batches 2 rounds 2 purged")
	if m.Len() != 5 {
		t.Errorf("%d rows left, want bob's 5", m.Len())
	}
	if n := h.metric("lethe_residue_found_total", "m"); n != 2 {
		t.Errorf("residue counted %g, want 2", n)
	}
	if n := h.request(id).Jobs[0].Remaining; n != 0 {
		t.Errorf("remaining %d", n)
	}
}

func TestResurrectedRowIsErasedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(2, "alice")...)
	m.Set(func(f *storetest.Faults) { f.Resurrect = 3 })
	id := h.forget("alice")
	h.finish(h.eraser(kept("m", m)), id)
	// Each round counts what it erased: the rows were erased four times over.
	h.wantCounts(id, "requested 8 found 8 erased 8 absent 0 batches 4 rounds 4 purged")
	if m.Len() != 0 {
		t.Error("rows are left")
	}
}

func TestARowThatComesBackByIDIsErasedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	m.Set(func(f *storetest.Faults) {
		f.Arrive = []storetest.Record{{ID: "alice-0001", UserID: "alice", Text: "back"}}
	})
	id := h.forgetIDs("alice-0001")
	h.finish(h.eraser(kept("m", m)), id)
	if c := h.completed(id).Stores[0]; c.Erased < 1 || c.Remaining != 0 || m.Len() != 2 {
		t.Errorf("certificate: %s; %d rows left, want 2", counts(c), m.Len())
	}
}

// TestWhatNoSelectorFindsIsFoundByReadingAgain: history comes back without the
// memory it hangs on, so that only its frozen ID leads to it.
func TestWhatNoSelectorFindsIsFoundByReadingAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.handle(e, h.planned(e))
	m.AddHistory("alice-0001", "written by one who did not know")
	h.finish(e, id)
	h.wantCounts(id, "requested 4 found 4 erased 4 absent 0 batches 2 rounds 2 purged")
	if left := rows(t, m); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// poisoned are IDs that a batch fails with.
func poisoned(key string) map[store.ID]bool {
	return map[store.ID]bool{{Place: "memories", Key: key}: true}
}

func TestPoisonIDIsIsolatedAndTheOthersFinish(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(1000, "alice")...)
	m.Set(func(f *storetest.Faults) { f.Poison = poisoned("alice-0617") })
	e := h.measured(h.eraser(kept("m", m)))
	id := h.forget("alice")
	h.until(e, "999 are erased", func() bool { return h.request(id).Jobs[0].Erased == 999 })
	for range 6 {
		h.turn(e)
		h.clock.add(60e9)
	}
	h.wantNoCertificate(id)
	if m.Len() != 1 {
		t.Errorf("%d rows left, want the poison alone", m.Len())
	}
	if n := h.metric("lethe_batches_total", "m", "split"); n < 9 || n > 11 {
		t.Errorf("%g splits to find one of a thousand", n)
	}
	m.Set(func(f *storetest.Faults) { f.Poison = nil })
	h.finish(e, id)
	c := h.completed(id).Stores[0]
	if c.Requested != 1000 || c.Found != 1000 || c.Erased != 1000 || c.Absent != 0 || c.Rounds != 1 || m.Len() != 0 {
		t.Errorf("certificate: %s; %d rows left", counts(c), m.Len())
	}
}

func TestOutageDoesNotSplit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(1000, "alice")...)
	e := h.measured(h.eraser(kept("m", m)))
	id := h.forget("alice")
	h.handle(e, h.ring())
	m.Set(func(f *storetest.Faults) {
		f.Fail = map[storetest.Op]int{storetest.Erase: 1 << 30, storetest.Remaining: 1 << 30}
	})
	for range 12 {
		h.turn(e)
		h.clock.add(60e9)
	}
	if n := h.request(id).Jobs[0].BatchesTotal; n != 1 || h.metric("lethe_batches_total", "m", "split") != 0 {
		t.Errorf("an outage split the batch into %d", n)
	}
	if n := h.metric("lethe_batches_total", "m", "failed"); n < 10 {
		t.Errorf("%g failures were counted in 12 minutes", n)
	}
	m.Set(func(f *storetest.Faults) { f.Fail = nil })
	h.finish(e, id)
	h.wantCounts(id, "requested 1000 found 1000 erased 1000 absent 0 batches 1 rounds 1 purged")
}

// TestAnErrorAfterErasingCountsAsErased: the store erased, and its answer was lost.
func TestAnErrorAfterErasingCountsAsErased(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(5, "alice")...)
	m.Set(func(f *storetest.Faults) { f.FailAfter = 1 })
	id := h.forget("alice")
	h.finish(h.eraser(kept("m", m)), id)
	h.wantCounts(id, "requested 5 found 5 erased 5 absent 0 batches 1 rounds 1 purged")
}

func TestWhatOthersErasedMeanwhileIsAbsent(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(5, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.planned(e)
	if _, err := m.Erase(t.Context(), []store.ID{{Place: "memories", Key: "alice-0002"}}); err != nil {
		t.Fatal(err)
	}
	h.handle(e, r)
	h.finish(e, id)
	h.wantCounts(id, "requested 5 found 5 erased 4 absent 1 batches 1 rounds 1 purged")
}

func TestMetricsAreWellNamedAndTheirSeriesConstant(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(2, "u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9")...)
	e := h.measured(h.eraser(kept("m", m)))
	series := func() int {
		n, err := testutil.GatherAndCount(h.registry)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	h.finish(e, h.forget("u0"))
	first := series()
	for _, u := range []string{"u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"} {
		h.finish(e, h.forget(u))
	}
	if n := series(); n != first {
		t.Errorf("%d series after one subject, %d after ten", first, n)
	}
	problems, err := testutil.GatherAndLint(h.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, error %v", problems, err)
	}
}

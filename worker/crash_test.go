package worker_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A story is one request over two stores, one of which is purged. In the
// first, a memory is written while the first batch is being erased.
type story struct {
	h    *house
	byID bool
	n    int // memories of alice in the first store
}

type ending struct {
	Counts      []string
	Left        []map[string]string
	Logged      int64 // entries that the request has left
	BatchesDone []int
}

// run lives through the story once for each fate, each taking up what the
// former left, and then without one.
func (s story) run(fates ...*fate) ending {
	s.h.t.Helper()
	a, b := storetest.NewMemory(append(people(s.n, "alice"), people(4, "bob")...)...), storetest.NewMemory(people(3, "alice", "bob")...)
	ids := []string{"alice-0000", "alice-0001", "nobody"}
	if !s.byID {
		a.Set(func(f *storetest.Faults) {
			f.Arrive = []storetest.Record{{ID: "late", UserID: "alice", Text: "written meanwhile"}}
		})
	}
	logged := s.h.logSize()
	var id string
	if s.byID {
		id = s.h.forgetIDs(ids...)
	} else {
		id = s.h.forget("alice")
	}
	for _, f := range append(slices.Clone(fates), &fate{}) {
		s.live(f, id, a, b)
	}
	end := ending{Left: []map[string]string{rows(s.h.t, a), rows(s.h.t, b)}, Logged: s.h.logSize() - logged}
	for i, p := range s.h.completed(id).Stores {
		end.Counts = append(end.Counts, counts(p))
		end.BatchesDone = append(end.BatchesDone, s.h.request(id).Jobs[i].BatchesDone)
	}
	return end
}

// live is one process: it works until the request has ended, or it dies.
func (s story) live(f *fate, id string, a, b *storetest.Memory) {
	s.h.t.Helper()
	s.h.restart()
	first, second := kept("a", mortalStore{a, f}), kept("b", mortalStore{b, f})
	second.Purge = worker.PurgePolicy{Off: true}
	e := s.h.eraser(first, second)
	e.Ledger = mortal{s.h.ledger, f}
	for range 300 {
		if s.h.request(id).Status.Ended() {
			return
		}
		rings := s.h.rings()
		if len(rings) == 0 {
			s.h.clock.add(60e9)
		}
		for _, r := range rings {
			err := e.Handle(s.h.t.Context(), r)
			if f.dead {
				return
			}
			if err != nil {
				s.h.t.Fatalf("alive, and yet: %v", err)
			}
		}
	}
	s.h.t.Fatal("the request does not end")
}

// TestCrashAfterEveryLedgerWrite kills the process before and after each of
// its calls to the ledger and to the stores.
func TestCrashAfterEveryLedgerWrite(t *testing.T) {
	t.Parallel()
	for _, byID := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("ByID=%t/After=%t", byID, after), func(t *testing.T) {
				t.Parallel()
				s := story{newHouse(t, "a", "b"), byID, 1002}
				if byID {
					s.n = 4
				}
				life := &fate{}
				want := s.run(life)
				t.Logf("%d steps; %v", life.taken, want.Counts)
				died := map[string]int{}
				for n := 1; n <= life.taken; n++ {
					f := &fate{n: n, after: after}
					if diff := cmp.Diff(want, s.run(f)); diff != "" {
						t.Fatalf("killed at step %d, %s (-undisturbed +killed)\n%s", n, f.last, diff)
					}
					died[f.last]++
				}
				t.Logf("killed at %v", died)
				wantSteps(t, died, byID)
				if _, err := s.h.ledger.Log().Check(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// wantSteps fails if some step was never a deadly one: then the zeros mean
// little.
func wantSteps(t *testing.T, died map[string]int, byID bool) {
	t.Helper()
	want := []string{
		"Batches", "Begin", "Claim", "Complete", "Count", "Erase", "Fence", "Find", "Finish", "Freeze", "Job", "Planned", "Purge",
		"Purged", "Record", "Remaining", "Replan", "Selector", "Verified",
	}
	if byID {
		want = append(want, "Staged")
	} else {
		want = append(want, "Residue")
	}
	for _, name := range want {
		if died[name] == 0 {
			t.Errorf("never killed at %s; killed at %v", name, slices.Sorted(maps.Keys(died)))
		}
	}
}

// TestCrashInRecovery kills the process that takes up after a kill, too.
func TestCrashInRecovery(t *testing.T) {
	t.Parallel()
	s := story{newHouse(t, "a", "b"), false, 3}
	life := &fate{}
	want := s.run(life)
	for n := 1; n <= life.taken; n += 5 {
		for m := 2 + n%3; m <= life.taken-n; m += 11 {
			first, second := &fate{n: n, after: m%2 == 0}, &fate{n: m, after: n%2 == 0}
			if diff := cmp.Diff(want, s.run(first, second)); diff != "" {
				t.Fatalf("killed at step %d, %s, and then at %d, %s (-undisturbed +killed)\n%s", n, first.last, m, second.last, diff)
			}
		}
	}
}

func TestEverythingTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(2500, "alice")...)
	one, two := h.eraser(kept("m", m)), h.eraser(kept("m", m)) // as two processes
	id := h.forget("alice")
	for !h.request(id).Status.Ended() {
		var wg sync.WaitGroup
		for _, r := range h.rings() {
			for _, e := range []*worker.Eraser{one, two} {
				wg.Go(func() {
					if err := e.Handle(t.Context(), r); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		h.clock.add(60e9)
	}
	h.wantCounts(id, "requested 2500 found 2500 erased 2500 absent 0 batches 3 rounds 1 purged")
	if n := m.Calls(storetest.Erase); n != 3 {
		t.Errorf("Erase was called %d times for 3 batches", n)
	}
	if n := h.logSize(); n != 2 {
		t.Errorf("%d entries in the log, want 2", n)
	}
}

// TestEverythingTwiceUnderTwoEpochs has every task taken over by another
// worker while the first still works on it.
func TestEverythingTwiceUnderTwoEpochs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(1500, "alice")...)
	id := h.forget("alice")
	for !h.request(id).Status.Ended() {
		rings := h.rings()
		if len(rings) == 0 {
			h.clock.add(60e9)
			continue
		}
		var wg sync.WaitGroup
		for _, r := range rings {
			wg.Go(func() {
				if err := h.eraser(kept("m", m)).Handle(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		h.restart() // some have been claimed by now, some have not
		for _, r := range h.rings() {
			h.handle(h.eraser(kept("m", m)), r)
		}
		wg.Wait()
		h.restart()
	}
	h.wantCounts(id, "requested 1500 found 1500 erased 1500 absent 0 batches 2 rounds 1 purged")
	if n := h.logSize(); n != 2 {
		t.Errorf("%d entries in the log, want 2", n)
	}
}

// A step lets a test do something in the midst of a store's call.
type step struct {
	purging
	beforeErase, afterErase func()
}

func (s step) Erase(ctx ctx, ids []store.ID) (store.Receipt, error) {
	if s.beforeErase != nil {
		s.beforeErase()
	}
	r, err := s.purging.Erase(ctx, ids)
	if s.afterErase != nil {
		s.afterErase()
	}
	return r, err
}

// planned brings a request to its first batch and returns that batch's ring.
func (h *house) planned(e *worker.Eraser) jobs.Ring {
	h.t.Helper()
	h.handle(e, h.ring())
	return h.ring()
}

func TestStaleWorkerCannotFinish(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	other := h.eraser(kept("m", m))
	id := h.forget("alice")
	slow := h.eraser(kept("m", step{purging: m, afterErase: func() {
		h.restart() // taken for dead
		h.handle(other, h.ring())
		if j := h.request(id).Jobs[0]; j.Erased != 3 || j.BatchesDone != 1 {
			t.Errorf("the second worker: erased %d, batches done %d", j.Erased, j.BatchesDone)
		}
	}}))
	before := h.planned(other)
	h.handle(slow, before)
	if j := h.request(id).Jobs[0]; j.Erased != 3 || j.Absent != 0 || j.BatchesDone != 1 {
		t.Errorf("after the stale worker: %+v", j)
	}
	h.handle(other, before) // a ring of a task that is answered
	h.finish(other, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
}

// TestStaleWorkerCannotFinishWhatAnotherHasClaimed: the row runs, under
// another epoch.
func TestStaleWorkerCannotFinishWhatAnotherHasClaimed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	id := h.forget("alice")
	slow := h.eraser(kept("m", step{purging: m, afterErase: func() {
		h.restart()
		if _, err := h.ledger.Claim(t.Context(), h.ring(), "another", time.Minute); err != nil {
			t.Error(err)
		}
	}}))
	h.handle(slow, h.planned(slow))
	if j := h.request(id).Jobs[0]; j.Erased != 0 || j.BatchesDone != 0 {
		t.Errorf("the stale worker has written: %+v", j)
	}
	h.finish(h.eraser(kept("m", m)), id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
}

package worker_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// Rows that come while a request is being verified meet holds too, and it is
// not completed while they are held.
func TestResidueMeetsHolds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	m.Set(func(f *storetest.Faults) {
		f.Arrive = []storetest.Record{{ID: "late", UserID: "alice", AgentID: "bot", Text: "x"}}
	})
	h.handle(e, h.planned(e))
	hold := h.place(store.Selector{AgentID: "bot"})
	h.until(e, "it is held", func() bool { return h.request(id).Status == jobs.Held })
	if m.Len() != 1 {
		t.Errorf("%d rows", m.Len())
	}
	h.wantNoCertificate(id)
	h.release(hold.ID)
	h.finish(e, id)
	h.wantCounts(id, "requested 4 found 4 erased 4 absent 0 batches 2 rounds 2 purged")
}

// A request that is held can be cancelled. Its end says what was held.
func TestACancelledRequestSaysWhatWasHeld(t *testing.T) {
	t.Parallel()
	for _, failed := range []bool{false, true} {
		t.Run(fmt.Sprint("FailedBefore", failed), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m")
			all := people(4, "alice")
			all[0].AgentID = "bot"
			m := storetest.NewMemory(all...)
			e := h.eraser(kept("m", m))
			id := h.forget("alice")
			r := h.planned(e)
			if failed { // everything is erased but for the word of it
				m.Set(func(f *storetest.Faults) {
					f.FailAfter = 1
					f.Refuse = map[store.ID]bool{{Place: "memories", Key: "alice-0000"}: true}
				})
				h.handle(e, r)
				m.Set(func(f *storetest.Faults) { f.Refuse = nil })
				h.clock.add(time.Second)
			}
			h.place(store.Selector{AgentID: "bot"})
			if failed {
				r = h.ring()
			}
			h.handle(e, r) // sets aside
			h.until(e, "it is held", func() bool { return h.request(id).Status == jobs.Held })
			if _, err := h.intake.Cancel(t.Context(), jobs.ActorLocal, id); err != nil {
				t.Fatal(err)
			}
			h.until(e, "it ends", func() bool { return h.request(id).Status.Ended() })
			e2, ok := h.statement(id).Entry.(*proof.Cancelled)
			if !ok || m.Len() != 1 {
				t.Fatalf("%T, %d rows", h.statement(id).Entry, m.Len())
			}
			if s := e2.Stores[0]; s.Erased != 3 || s.Held != 1 || s.Found != 4 {
				t.Errorf("erased %d held %d of %d", s.Erased, s.Held, s.Found)
			}
		})
	}
}

// A dry run says how much is held.
func TestAPlanSaysWhatIsHeld(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	all := people(1500, "alice")
	for i := range all[:1200] {
		all[i].AgentID = "bot"
	}
	m := storetest.NewMemory(all...)
	v := &worker.Surveyor{Stores: []*worker.Store{kept("m", m)}, Secret: []byte("secret"), Holds: h.ledger.Standing}
	h.place(store.Selector{AgentID: "bot"})
	h.place(store.Selector{AgentID: "bot", UserID: "alice"})
	plan, err := v.Plan(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}})
	if err != nil || plan.Stores[0].Held != 1200 || plan.Stores[0].Found != 1500 {
		t.Errorf("%+v, %v", plan.Stores, err)
	}
}

// A hold that nobody can read any more lets nothing go, and can be released.
func TestAHoldWithoutItsKeyLetsNothingGo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice", "bob")...)
	e := h.eraser(kept("m", m))
	hold := h.place(store.Selector{UserID: "bob"})
	if err := h.keys.DestroySeal(hold.ID); err != nil {
		t.Fatal(err)
	}
	id := h.forget("alice")
	for range 6 {
		h.turn(e)
		h.clock.add(time.Minute)
	}
	if m.Len() != 6 || m.Calls(storetest.Erase) != 0 {
		t.Errorf("%d rows", m.Len())
	}
	h.release(hold.ID)
	h.finish(e, id)
	if m.Len() != 3 {
		t.Errorf("%d rows", m.Len())
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("err = %v, want %v", err, want)
	}
}

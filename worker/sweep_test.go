package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A punctual store goes by the clock of a house.
type punctual struct {
	*storetest.Memory
	clock *clock
	erase func() // before it erases
}

func (p punctual) Now(context.Context) (time.Time, error) { return p.clock.Now(), nil }

func (p punctual) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	if p.erase != nil {
		p.erase()
	}
	return p.Memory.Erase(ctx, ids)
}

// sweeper runs a policy of the store m over it.
func (h *house) sweeper(st *worker.Store, p jobs.Policy) *jobs.Sweeper {
	v := &worker.Surveyor{Stores: []*worker.Store{st}, Secret: h.keys.Secret(), Holds: h.ledger.Standing}
	p.Name, p.Stores = "p", []string{"m"}
	return &jobs.Sweeper{All: []jobs.Policy{p}, Ledger: h.ledger, Intake: h.intake, Stores: v, Now: h.clock.Now, Logger: slog.New(slog.DiscardHandler)}
}

func (h *house) sweep(s *jobs.Sweeper) jobs.Sweep {
	h.t.Helper()
	list, err := s.Sweep(h.t.Context(), jobs.ActorLocal, "p")
	if err != nil || len(list) != 1 {
		h.t.Fatal(list, err)
	}
	h.clock.add(time.Second)
	return list[0]
}

// ended are memories whose end was long ago.
func ended(n int, users ...string) []storetest.Record {
	all := people(n, users...)
	for i := range all {
		all[i].Expires = "2026-01-31"
	}
	return all
}

// What is held when a sweep is planned is none of its plan, what has been prolonged
// since, or held since, is left when its turn comes; the rest is erased, and the
// request ends without waiting for anybody. A later sweep takes what is still meant.
func TestASweepLeavesWhatIsHeldOrNoLongerMeant(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	all := ended(4, "alice", "bob")
	all = append(all, people(2, "carol")...)
	m := storetest.NewMemory(all...)
	p := punctual{Memory: m, clock: h.clock}
	prolong := func(id string) {
		m.Add(storetest.Record{ID: id, UserID: id[:len(id)-5], Text: "text", Expires: "2027-01-31"})
	}
	p.erase = func() { prolong("bob-0003") } // in the last moment
	st := kept("m", p)
	e := h.measured(h.eraser(st))
	s := h.sweeper(st, jobs.Policy{Expired: true})
	hold := h.place(store.Selector{IDs: []string{"alice-0000"}})
	w := h.sweep(s)
	if w.State != jobs.SweepFiled || w.Found < 8 {
		t.Fatalf("%+v", w)
	}
	h.until(e, "it is planned", func() bool { return h.request(w.Request).Jobs[0].PlannedAt != nil })
	prolong("bob-0002")
	h.place(store.Selector{IDs: []string{"alice-0001"}})
	h.finish(e, w.Request)
	if j := h.request(w.Request).Jobs[0]; j.Found != 4 || j.Erased != 4 || j.Held != 0 || j.Kept != 3 || j.Round != 1 {
		t.Errorf("%+v", j)
	}
	if got := left(t, m); !slices.Equal(got, []string{"alice-0000", "alice-0001", "bob-0002", "bob-0003", "carol-0000", "carol-0001"}) {
		t.Errorf("left %v", got)
	}
	if c := h.completed(w.Request).Stores[0]; c.Found != 4 || c.Erased != 4 || c.Held != 0 || c.Remaining != 0 {
		t.Errorf("certificate: %+v", c)
	}
	if w := h.sweep(s); w.State != jobs.SweepEmpty || w.Held != 2 || w.Request != "" {
		t.Errorf("only held ones are left: %+v", w)
	}
	h.release(hold.ID)
	w = h.sweep(s)
	h.finish(e, w.Request)
	if got := left(t, m); slices.Contains(got, "alice-0000") || !slices.Contains(got, "alice-0001") {
		t.Errorf("after the hold: left %v", got)
	}
}

// If all of a sweep's plan is prolonged before its turn comes nothing is erased, and
// its request ends.
func TestASweepOfWhichNothingIsMeantAnyMoreEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(ended(1200, "alice")...)
	st := kept("m", punctual{Memory: m, clock: h.clock})
	e := h.eraser(st)
	w := h.sweep(h.sweeper(st, jobs.Policy{Expired: true}))
	h.until(e, "it is planned", func() bool { return h.request(w.Request).Jobs[0].PlannedAt != nil })
	for i := range 1200 {
		m.Add(storetest.Record{ID: fmt.Sprintf("alice-%04d", i), UserID: "alice", Text: "t", Expires: "2027-01-31"})
	}
	h.finish(e, w.Request)
	if j := h.request(w.Request).Jobs[0]; j.Found != 0 || j.Kept != 1200 || m.Len() != 1200 {
		t.Errorf("%+v, %d rows left", j, m.Len())
	}
}

// A sweep of orphans takes the history of memories that are gone, and is judged by
// what it takes: there are no memories of which it could be a part.
func TestASweepOfOrphansIsJudgedByTheirHistory(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(5, "alice")...)
	for i := range 3 {
		m.AddHistory(fmt.Sprint("gone-", i), "orphan")
	}
	st := kept("m", punctual{Memory: m, clock: h.clock})
	w := h.sweep(h.sweeper(st, jobs.Policy{Orphaned: true, MaxFraction: 0.5, MaxRows: 3}))
	if w.Found != 3 {
		t.Errorf("%+v", w)
	}
	h.finish(h.eraser(st), w.Request)
	if c := h.completed(w.Request).Stores[0]; c.Erased != 3 || c.Unattributable != 0 || m.Len() != 5 {
		t.Errorf("%+v, %d rows", c, m.Len())
	}
}

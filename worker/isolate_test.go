package worker_test

import (
	"context"
	"runtime"
	"testing"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
)

// deadlyStore kills the process that erases a certain ID in it.
type deadlyStore struct {
	mortalStore
	key    string
	deaths int
}

func (d *deadlyStore) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	for _, id := range ids {
		if id.Key == d.key {
			d.deaths++
			d.fate.mu.Lock()
			d.fate.dead = true
			d.fate.mu.Unlock()
			return nil, errDead
		}
	}
	return d.mortalStore.Erase(ctx, ids)
}

// live has one process after another work off what is rung, until none of them
// dies any more.
func (d *deadlyStore) live(h *house, m *storetest.Memory, enough func() bool) {
	h.t.Helper()
	for range 40 {
		f := &fate{}
		d.mortalStore = mortalStore{m, f}
		e := h.eraser(kept("m", d))
		e.Ledger = mortal{h.ledger, f}
		h.restart()
		for range 60 {
			rings := h.rings()
			for _, r := range rings {
				err := e.Handle(h.t.Context(), r)
				if f.dead {
					break
				}
				if err != nil {
					h.t.Fatal(err)
				}
			}
			if f.dead || enough() {
				break
			}
			h.clock.add(60e9)
		}
		if !f.dead {
			return
		}
	}
	h.t.Fatal("the processes do not stop to die")
}

// TestAnIDThatKillsItsWorkerIsSetAside: 999 others finish, after no more deaths
// than it takes to find one of a thousand.
func TestAnIDThatKillsItsWorkerIsSetAside(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(append(people(1000, "alice"), people(300, "bob")...)...)
	d := &deadlyStore{key: "alice-0617"}
	id, other := h.forget("alice"), h.forget("bob")
	d.live(h, m, func() bool { return h.request(id).Jobs[0].Refused == 1 })
	j := h.request(id).Jobs[0]
	if j.Erased != 999 || j.Refused != 1 || j.Note != "kills-its-worker" || h.request(id).Status.Ended() {
		t.Fatalf("erased %d, refused %d, note %q, status %s", j.Erased, j.Refused, j.Note, h.request(id).Status)
	}
	if d.deaths > 14 {
		t.Errorf("it took %d deaths to find one of a thousand", d.deaths)
	}
	h.wantNoCertificate(id)
	if b := h.request(other).Jobs[0]; h.request(other).Status != jobs.Completed || b.BatchesTotal != 1 || b.Erased != 300 {
		t.Errorf("the innocent request: %s, %+v", h.request(other).Status, b)
	}
	deaths := d.deaths
	h.clock.add(30 * 60e9)
	if rings := h.rings(); len(rings) != 0 {
		t.Errorf("%d tasks are rung within the hour", len(rings))
	}
	d.key = "" // it is mended
	h.clock.add(60 * 60e9)
	d.live(h, m, func() bool { return h.request(id).Status.Ended() })
	if d.deaths != deaths {
		t.Error("it was tried again in between")
	}
	c := h.completed(id).Stores[0]
	if c.Found != 1000 || c.Erased != 1000 || c.Refused != 0 || m.Len() != 0 {
		t.Errorf("certificate: %s; %d rows left", counts(c), m.Len())
	}
}

// TestABatchOfALostLeaseIsNotSplit: a worker that was taken for dead twice is
// no reason to take a batch to pieces.
func TestABatchOfALostLeaseIsNotSplit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(10, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.planned(e)
	for range 2 {
		task, err := h.ledger.Claim(t.Context(), r, "dies", 8e9)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.ledger.Begin(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		h.restart()
		r = h.ring()
	}
	h.handle(e, r)
	h.finish(e, id)
	h.wantCounts(id, "requested 10 found 10 erased 10 absent 0 batches 1 rounds 1 purged")
}

// TestABatchThatIsToRunAloneHoldsNobodyUp: one store hangs, another has a batch
// that is suspected, and a third has work.
func TestABatchThatIsToRunAloneHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "hangs", "suspect", "well")
	hangs, suspect, well := storetest.NewMemory(people(3, "bob")...), storetest.NewMemory(people(3, "alice")...), storetest.NewMemory(people(3, "carol")...)
	e := h.eraser(kept("hangs", hangs), kept("suspect", suspect), kept("well", well))
	alice := h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}, Stores: []string{"suspect"}})
	r := h.planned(e)
	for range 2 {
		task, err := h.ledger.Claim(t.Context(), r, "dies", 8e9)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.ledger.Begin(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		h.restart()
		r = h.ring()
	}
	gate := make(chan struct{})
	hangs.Set(func(f *storetest.Faults) { f.Gate = gate })
	bob := h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "bob"}, Stores: []string{"hangs"}})
	batch := h.planned(e)
	done := make(chan error, 1)
	go func() { done <- e.Handle(t.Context(), batch) }()
	for hangs.Calls(storetest.Erase) == 0 {
		runtime.Gosched()
	}
	h.handle(e, r)
	if note := h.request(alice).Jobs[0].Note; note != "apart" {
		t.Errorf("note %q", note)
	}
	carol := h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "carol"}, Stores: []string{"well"}})
	h.finish(e, carol)
	close(gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.clock.add(60e9)
	h.finish(e, bob)
	h.finish(e, alice)
	if n := hangs.Len() + suspect.Len() + well.Len(); n != 0 {
		t.Errorf("%d rows left", n)
	}
}

// TestACancelledRequestCountsWhatADeadWorkerErased: the worker died after the
// store had erased and before the ledger knew.
func TestACancelledRequestCountsWhatADeadWorkerErased(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		erased []string // of three, by the attempt that died
		want   int
	}{
		{"nothing", nil, 0},
		{"some", []string{"alice-0001"}, 1},
		{"all", []string{"alice-0000", "alice-0001", "alice-0002"}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m")
			m := storetest.NewMemory(people(3, "alice")...)
			e := h.eraser(kept("m", m))
			id := h.forget("alice")
			task, err := h.ledger.Claim(t.Context(), h.planned(e), "dies", 8e9)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.ledger.Begin(t.Context(), task); err != nil {
				t.Fatal(err)
			}
			var ids []store.ID
			for _, key := range tt.erased {
				ids = append(ids, store.ID{Place: "memories", Key: key})
			}
			if _, err := m.Erase(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
			h.cancel(id)
			h.restart()
			h.reconcile()
			if h.request(id).Status.Ended() {
				t.Fatal("it ended before anybody looked")
			}
			h.finish(e, id)
			c := h.cancelled(id).Stores[0]
			if c.Erased != tt.want || m.Len() != 3-tt.want {
				t.Errorf("the certificate says erased %d, the store has lost %d: want %d", c.Erased, 3-m.Len(), tt.want)
			}
			if n := m.Calls(storetest.Erase); n != 1 {
				t.Errorf("%d erasures after the request was cancelled", n-1)
			}
		})
	}
}

// TestAnInnocentOnlyIDIsTriedAgainSoon: its worker has died three times of
// something else.
func TestAnInnocentOnlyIDIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(1, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.planned(e)
	for range 3 {
		task, err := h.ledger.Claim(t.Context(), r, "dies", 8e9)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.ledger.Begin(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		h.restart()
		r = h.ring()
	}
	h.handle(e, r)
	if j := h.request(id).Jobs[0]; j.Refused != 1 || j.Note != "kills-its-worker" || m.Len() != 1 {
		t.Fatalf("refused %d, note %q, %d rows", j.Refused, j.Note, m.Len())
	}
	h.clock.add(10e9)
	h.turn(e)
	h.turn(e)
	if !h.request(id).Status.Ended() {
		t.Errorf("after 10 s it is %s", h.request(id).Status)
	}
	h.wantCounts(id, "requested 1 found 1 erased 1 absent 0 batches 1 rounds 1 purged")
}

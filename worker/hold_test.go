package worker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// custodian places holds on a house's ledger.
func (h *house) custodian() *jobs.Custodian {
	return &jobs.Custodian{Ledger: h.ledger, Keys: h.keys, Now: h.clock.Now, Poll: time.Millisecond}
}

func (h *house) place(sel store.Selector) jobs.Hold {
	h.t.Helper()
	hold, err := h.custodian().PlaceHold(h.t.Context(), jobs.HoldOrder{Selector: sel, Reason: "litigation"}, jobs.ActorLocal)
	if err != nil {
		h.t.Fatal(err)
	}
	return hold
}

func (h *house) release(id string) {
	h.t.Helper()
	if _, err := h.custodian().ReleaseHold(h.t.Context(), id, "settled", jobs.ActorLocal); err != nil {
		h.t.Fatal(err)
	}
}

// keys of the memories that are left, sorted.
func left(t *testing.T, m *storetest.Memory) []string {
	t.Helper()
	var keys []string
	for id := range rows(t, m) {
		if key, ok := cutPlace(id); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func cutPlace(id string) (string, bool) {
	parsed, err := store.ParseID(id)
	return parsed.Key, err == nil && parsed.Place == "memories"
}

func job(r jobs.Request) string {
	j := r.Jobs[0]
	return fmt.Sprintf("%s: found %d erased %d held %d batches %d/%d note %q %s", r.Status, j.Found, j.Erased, j.Held, j.BatchesDone, j.BatchesTotal, j.Note, j.Evidence)
}

func (h *house) wantJob(id, want string) {
	h.t.Helper()
	if got := job(h.request(id)); got != want {
		h.t.Errorf("the request is\n%s\nwant\n%s", got, want)
	}
}

// Each of these has a hold that another selector than the request's has placed.
func TestHeldRowsStayAndTheRestIsErased(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	all := people(4, "alice", "Alice", "a_b", "axb")
	for i := range all {
		all[i].AgentID = []string{"bot", "desk"}[i%2]
		all[i].Message = i%4 == 0
	}
	m := storetest.NewMemory(all...)
	e := h.measured(h.eraser(kept("m", m)))
	first := h.place(store.Selector{AgentID: "desk"})
	second := h.place(store.Selector{IDs: []string{"alice-0000"}})
	h.place(store.Selector{UserID: "Alice"})
	id := h.forget("alice")
	h.until(e, "it is held", func() bool { return h.request(id).Status == jobs.Held })
	h.wantJob(id, `held: found 5 erased 2 held 3 batches 1/2 note "held" erased`)
	if got := left(t, m); !slices.Equal(got[4:], append([]string{"a_b-0000", "a_b-0001", "a_b-0002", "a_b-0003", "alice-0000", "alice-0001", "alice-0003"}, got[11:]...)) {
		t.Errorf("left %v", got)
	}
	for range 3 {
		h.turn(e)
		h.clock.add(time.Hour)
	}
	h.wantNoCertificate(id)
	h.release(first.ID)
	h.until(e, "it is held again", func() bool { return h.request(id).Status == jobs.Held })
	h.wantJob(id, `held: found 5 erased 4 held 1 batches 2/3 note "held" erased`)
	h.release(second.ID)
	h.finish(e, id)
	h.wantCounts(id, "requested 5 found 5 erased 5 absent 0 batches 3 rounds 1 purged")
	if n := len(left(t, m)); n != 12 {
		t.Errorf("%d memories of others are left", n)
	}
}

// hooked does something when the ledger or the store is asked.
type hooked struct {
	worker.Ledger
	fence, begin func()
}

func (k hooked) Fence(ctx context.Context, r jobs.Ring) error {
	if k.fence != nil {
		k.fence()
	}
	return k.Ledger.Fence(ctx, r)
}

func (k hooked) Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error) {
	b, err := k.Ledger.Begin(ctx, t)
	if k.begin != nil {
		k.begin()
	}
	return b, err
}

// A hold that is placed when a batch has been compared already is seen by its
// fence.
func TestAHoldBetweenBeginAndFenceKeepsItsRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.planned(e)
	placed := make(chan jobs.Hold, 1)
	begun := false
	e.Ledger = hooked{h.ledger, func() {
		if !begun {
			begun = true
			go func() { placed <- h.place(store.Selector{UserID: "alice"}) }()
			waitFor(t, "the hold is added", func() bool { list, _ := h.ledger.Holds(context.Background()); return len(list) == 1 })
		}
	}, nil}
	h.handle(e, r)
	if m.Len() != 3 || m.Calls(storetest.Erase) != 0 {
		t.Errorf("%d rows are left", m.Len())
	}
	h.release((<-placed).ID)
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
}

// A hold is not in force before a batch that began without it has ended. The
// hold's answer is the promise, and it comes after.
func TestAHoldIsAnsweredOnceNoBatchThatPassedItsFenceIsAtWork(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.planned(e)
	gate := make(chan struct{})
	m.Set(func(f *storetest.Faults) { f.Gate = gate })
	done := make(chan error, 1)
	go func() { done <- e.Handle(t.Context(), r) }()
	waitFor(t, "the batch is being erased", func() bool { return m.Calls(storetest.Erase) == 1 })
	placed := make(chan jobs.Hold, 1)
	go func() { placed <- h.place(store.Selector{UserID: "alice"}) }()
	waitFor(t, "the hold is added", func() bool { list, _ := h.ledger.Holds(t.Context()); return len(list) == 1 })
	select {
	case hold := <-placed:
		t.Error("answered while a batch that does not know of it erases")
		placed <- hold
	case <-time.After(50 * time.Millisecond):
	}
	gate <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if hold := <-placed; hold.State != jobs.HoldActive || m.Len() != 0 {
		t.Errorf("state %s, %d rows", hold.State, m.Len())
	}
	h.finish(e, id)
}

// A worker that died between its fence and its answer may still have asked its
// store for something. Its lease has to end first.
func TestAHoldWaitsForTheLeaseOfADeadWorker(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	h.forget("alice")
	r := h.planned(e)
	task, err := h.ledger.Claim(t.Context(), r, "dead", 8*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.ledger.Begin(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if err := h.ledger.Fence(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	c := h.custodian()
	c.Patience = 30 * time.Millisecond
	_, err = c.PlaceHold(t.Context(), jobs.HoldOrder{Selector: store.Selector{UserID: "alice"}, Reason: "litigation"}, jobs.ActorLocal)
	wantErr(t, err, jobs.ErrPlacing)
	h.restart() // it is known to be dead, and what it has asked for may be on its way
	for range 2 {
		if err := c.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := h.ledger.Holds(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if list[0].State == jobs.HoldActive {
			t.Error("active before the lease has ended")
		}
		_, err = c.ReleaseHold(t.Context(), list[0].ID, "settled", jobs.ActorLocal)
		wantErr(t, err, jobs.ErrPlacing)
	}
	h.clock.add(9 * time.Second)
	if err := c.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, _ := h.ledger.Holds(t.Context()); list[0].State != jobs.HoldActive {
		t.Errorf("%s after the lease", list[0].State)
	}
	h.turn(e)
	if m.Len() != 3 {
		t.Errorf("%d rows", m.Len())
	}
}

// A hold ends by the clock, and its request goes on by itself. Both stand in the
// log, with who did it.
func TestAHoldEndsWhenItsTimeComes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	c := h.custodian()
	hold, err := c.PlaceHold(t.Context(), jobs.HoldOrder{
		Selector: store.Selector{UserID: "alice"}, Reason: "litigation", Until: h.clock.Now().Add(time.Hour),
	}, jobs.Actor{ID: "counsel-1", Role: jobs.RoleApprover})
	if err != nil {
		t.Fatal(err)
	}
	id := h.forget("alice")
	h.until(e, "it is held", func() bool { return h.request(id).Status == jobs.Held })
	h.wantJob(id, `held: found 3 erased 0 held 3 batches 0/1 note "held" none`)
	if j := h.request(id).Jobs[0]; j.FirstErasedAt != nil {
		t.Error("the first was erased at a time, though none was")
	}
	for _, sealed := range []bool{true, false} {
		if err := c.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := h.keys.Seal(hold.ID)
		if (err == nil) != sealed {
			t.Errorf("the hold's key: %v", err)
		}
		h.clock.add(time.Hour)
	}
	h.finish(e, id)
	if list, _ := h.ledger.Holds(t.Context()); len(list) != 0 {
		t.Errorf("%d holds stand", len(list))
	}
	placed := h.logged(proof.EntryID(hold.ID, proof.KindHoldPlaced)).(*proof.HoldPlaced)
	released := h.logged(proof.EntryID(hold.ID, proof.KindHoldReleased)).(*proof.HoldReleased)
	if placed.By != "counsel-1" || placed.Until != proof.At(*hold.Until) || placed.Subject != hold.Subject || released.By != "system" || released.Reason != jobs.ReasonUntil {
		t.Errorf("logged %+v, %+v", placed, released)
	}
}

// logged returns an entry of the log.
func (h *house) logged(id string) proof.Entry {
	h.t.Helper()
	text, err := h.ledger.Certificate(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(h.key.Verifier))
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := proof.Verify(text, keys)
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Entry
}

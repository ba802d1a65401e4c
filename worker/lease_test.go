package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store/storetest"
)

type ctx = context.Context

// waitFor waits until something that another goroutine does has happened.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if happened() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func TestStopsWithinTheLeaseWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.planned(e)
	m.Set(func(f *storetest.Faults) { f.Gate = make(chan struct{}) })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Handle(ctx, r) }()
	waitFor(t, "the batch is being erased", func() bool { return m.Calls(storetest.Erase) == 1 })
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the worker does not stop")
	}
	again := h.ring() // given back at once, without a wait
	if again.ID != r.ID || again.Epoch <= r.Epoch {
		t.Errorf("epoch %d after %d", again.Epoch, r.Epoch)
	}
	if j := h.request(id).Jobs[0]; j.Note != "" || j.BatchesDone != 0 || m.Len() != 3 {
		t.Errorf("after the stop: note %q, %d batches done, %d rows", j.Note, j.BatchesDone, m.Len())
	}
	m.Set(func(f *storetest.Faults) { f.Gate = nil })
	h.handle(e, again)
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
}

// TestLeaseLostMidBatchWritesNothing takes as long as a worker takes to notice
// that its task is another's.
func TestLeaseLostMidBatchWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.planned(e)
	m.Set(func(f *storetest.Faults) { f.Gate = make(chan struct{}) })
	done := make(chan error, 1)
	go func() { done <- e.Handle(t.Context(), r) }()
	waitFor(t, "the batch is being erased", func() bool { return m.Calls(storetest.Erase) == 1 })
	h.clock.add(time.Hour)
	if n, err := h.ledger.Expired(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d leases have ended, error %v", n, err)
	}
	before := h.request(id).Jobs[0]
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the worker does not notice")
	}
	if after := h.request(id).Jobs[0]; after.Note != before.Note || after.BatchesDone != 0 || m.Len() != 3 {
		t.Errorf("written without a lease: note %q, %d batches done, %d rows", after.Note, after.BatchesDone, m.Len())
	}
	again := h.ring()
	if again.Epoch != r.Epoch+1 {
		t.Errorf("epoch %d after %d: the worker has put a task back that was not its own", again.Epoch, r.Epoch)
	}
	m.Set(func(f *storetest.Faults) { f.Gate = nil })
	h.handle(e, again)
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
}

// TestTheFenceStandsBeforeErase has the task taken away in the last moment.
func TestTheFenceStandsBeforeErase(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"TakenOver", "Cancelled"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m")
			m := storetest.NewMemory(people(3, "alice")...)
			e := h.eraser(kept("m", m))
			id := h.forget("alice")
			r := h.planned(e)
			e.Ledger = interrupted{h.ledger, func() {
				if what == "TakenOver" {
					h.restart()
				} else if _, err := h.intake.Cancel(t.Context(), jobs.ActorLocal, id); err != nil {
					t.Error(err)
				}
			}}
			h.handle(e, r)
			if m.Calls(storetest.Erase) != 0 || m.Len() != 3 {
				t.Error("erased behind the fence")
			}
		})
	}
}

// TestALedgerThatDoesNotAnswerIsAnError leaves the ring to the queue.
func TestALedgerThatDoesNotAnswerIsAnError(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	e := h.eraser(kept("m", storetest.NewMemory()))
	h.forget("alice")
	r := h.ring()
	e.Ledger = mortal{h.ledger, &fate{n: 1}}
	if err := e.Handle(t.Context(), r); !errors.Is(err, errDead) {
		t.Errorf("error %v", err)
	}
	if err := h.eraser().Handle(t.Context(), jobs.Ring{ID: "unknown", Epoch: 1}); err != nil {
		t.Errorf("a ring of no task: %v", err)
	}
}

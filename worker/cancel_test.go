package worker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store/storetest"
	"lethe/worker"
)

// cancelled is the statement of a request that must have been cancelled.
func (h *house) cancelled(id string) *proof.Cancelled {
	h.t.Helper()
	if s := h.request(id).Status; s != jobs.Cancelled {
		h.t.Fatalf("status %s, want cancelled", s)
	}
	e, ok := h.statement(id).Entry.(*proof.Cancelled)
	if !ok {
		h.t.Fatalf("the certificate is a %s", h.statement(id).Entry.Kind())
	}
	return e
}

func (h *house) cancel(id string) {
	h.t.Helper()
	if _, err := h.intake.Cancel(h.t.Context(), jobs.ActorLocal, id); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) wantCancelled(id string, found, erased, batches, done int) {
	h.t.Helper()
	s := h.cancelled(id).Stores[0]
	if s.Found != found || s.Erased != erased || s.Batches != batches || s.BatchesDone != done || s.Absent+s.Held+s.Refused != 0 {
		h.t.Errorf("certificate: %+v; want found %d, erased %d, batches %d, done %d", s, found, erased, batches, done)
	}
	if text := h.statement(id).String(); !strings.Contains(text, "NOT a completed erasure") {
		h.t.Errorf("the report does not say that it is not completed:\n%s", text)
	}
}

func TestCancelBetweenBatches(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(2500, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.handle(e, h.ring())
	rings := h.rings()
	h.handle(e, rings[0])
	h.cancel(id)
	h.wantCancelled(id, 2500, 1000, 3, 1)
	for _, r := range rings {
		h.handle(e, r) // what the queue still holds finds nothing to do
	}
	if m.Len() != 1500 || m.Calls(storetest.Erase) != 1 {
		t.Errorf("%d rows left after %d erasures, want 1500 after 1", m.Len(), m.Calls(storetest.Erase))
	}
	if _, err := h.intake.Cancel(t.Context(), jobs.ActorLocal, id); !errors.Is(err, jobs.ErrTooLate) {
		t.Errorf("cancelled twice: %v", err)
	}
}

func TestCancelBeforePlanningErasesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(5, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	r := h.ring()
	h.cancel(id)
	h.handle(e, r)
	h.wantCancelled(id, 0, 0, 0, 0)
	if m.Len() != 5 || m.Calls(storetest.Find) != 0 {
		t.Error("a cancelled request was planned")
	}
}

// TestCancelDuringABatchCountsIt cancels while the store is erasing: what is
// erased is erased, and the certificate says so.
func TestCancelDuringABatchCountsIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		have, erased, b, end int
	}{{"OneOfThree", 2500, 1000, 3, 1}, {"TheLast", 700, 700, 1, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m")
			m := storetest.NewMemory(people(c.have, "alice")...)
			e := h.eraser(kept("m", m))
			id := h.forget("alice")
			h.handle(e, h.ring())
			r := h.rings()[0]
			during := h.eraser(kept("m", step{purging: m, afterErase: func() {
				h.cancel(id)
				if h.request(id).Status.Ended() {
					t.Error("ended while a batch was being erased")
				}
			}}))
			h.handle(during, r)
			h.finish(e, id)
			h.wantCancelled(id, c.have, c.erased, c.b, c.end)
			if m.Len() != c.have-c.erased {
				t.Errorf("%d rows left", m.Len())
			}
			if n := m.Calls(storetest.Purge); n != 0 {
				t.Errorf("%d purges for a cancelled request", n)
			}
			if n := h.logSize(); n != 2 {
				t.Errorf("%d entries in the log, want 2", n)
			}
		})
	}
}

// TestCancelWhileThePurgeWaitsEndsAtOnce: there may be hours to wait.
func TestCancelWhileThePurgeWaitsEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(5, "alice")...)
	m.Set(func(f *storetest.Faults) { f.BusyPurges = 1 << 30 })
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.until(e, "it waits", func() bool { return h.request(id).Jobs[0].Note == "store-busy" })
	h.cancel(id)
	h.wantCancelled(id, 5, 5, 1, 1)
}

// TestCancelBeforeALongWaitEndsSoon: the request is cancelled in the midst of
// a task that then finds that it has to wait for a night.
func TestCancelBeforeALongWaitEndsSoon(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m") // it is noon
	m := storetest.NewMemory(people(5, "alice")...)
	s := kept("m", m)
	s.Purge = worker.PurgePolicy{From: 2 * 60, To: 5 * 60, Location: time.UTC}
	e := h.eraser(s)
	id := h.forget("alice")
	h.handle(e, h.ring())
	h.handle(e, h.ring())
	e.Ledger = cancelling{h.ledger, func() { h.cancel(id) }}
	h.handle(e, h.ring())
	h.reconcile()
	h.wantCancelled(id, 5, 5, 1, 1)
}

type cancelling struct {
	worker.Ledger
	cancel func()
}

func (c cancelling) Verified(ctx ctx, t jobs.Task, asOf time.Time, v jobs.Verification) error {
	err := c.Ledger.Verified(ctx, t, asOf, v)
	c.cancel()
	return err
}

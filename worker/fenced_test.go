package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A slowly is a store behind an API that deletes one memory at a time: what is
// gone before an error stays gone. After two of a batch something happens.
type slowly struct {
	*storetest.Memory
	after func(context.Context)
	left  func(context.Context) // when it was told to leave
}

func (s *slowly) Erase(ctx context.Context, ids []store.ID) (all store.Receipt, err error) {
	for i, id := range ids {
		if i == 2 && s.after != nil {
			s.after(ctx)
			s.after = nil
		}
		if err := store.Leave(ctx); err != nil {
			if s.left != nil {
				s.left(ctx)
			}
			return nil, fmt.Errorf("erase: %w", err)
		}
		r, err := s.Memory.Erase(ctx, []store.ID{id})
		if err != nil {
			return nil, err
		}
		all = append(all, r...)
	}
	return all, nil
}

// house with a batch of six memories of alice, three of them a bot's, of which two
// are erased when something happens.
func (h *house) midway(after func(context.Context)) (m *slowly, e *worker.Eraser, id string) {
	all := people(6, "alice")
	for i := range 3 {
		all[i*2+1].AgentID = "bot"
	}
	m = &slowly{Memory: storetest.NewMemory(all...), after: after}
	e = h.eraser(kept("m", m))
	e.Fresh = time.Nanosecond
	return m, e, h.forget("alice")
}

// TestAHoldStopsABatchThatErasesOneByOne: what is held and still there stays, what
// had gone is said to be erased, and the rest goes.
func TestAHoldStopsABatchThatErasesOneByOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	placed := make(chan jobs.Hold, 1)
	m, e, id := h.midway(func(ctx context.Context) {
		go func() { placed <- h.place(store.Selector{AgentID: "bot"}) }() // returns when the batch has stopped
		for end := time.Now().Add(time.Minute); store.Leave(ctx) == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	})
	h.until(e, "it is held", func() bool { return h.request(id).Status == jobs.Held })
	if m.Len() != 2 {
		t.Errorf("%d memories are left, want the two that a hold protects", m.Len())
	}
	h.wantNoCertificate(id)
	h.release((<-placed).ID)
	h.finish(e, id)
	if s := h.completed(id).Stores[0]; s.Erased != 6 || s.Absent != 0 || m.Len() != 0 {
		t.Errorf("certificate: %s", counts(s))
	}
}

// TestACancellationLetsABatchEnd, and its end says how far it was.
func TestACancellationLetsABatchEndThatErasesOneByOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	var m *slowly
	var e *worker.Eraser
	var id string
	m, e, id = h.midway(func(ctx context.Context) {
		if _, err := h.intake.Cancel(ctx, jobs.ActorLocal, id); err != nil {
			t.Error(err)
		}
	})
	h.finish(e, id)
	if r := h.request(id); r.Jobs[0].Erased != 6 || m.Len() != 0 {
		t.Errorf("status %s, %d erased, %d left", r.Status, r.Jobs[0].Erased, m.Len())
	}
}

// TestACancellationAfterAHoldSaysWhatHadGone: the attempt that is stopped has erased
// some, and no earlier one has.
func TestACancellationAfterAHoldSaysWhatHadGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	var m *slowly
	var e *worker.Eraser
	var id string
	placed := make(chan jobs.Hold, 1)
	m, e, id = h.midway(func(ctx context.Context) {
		go func() { placed <- h.place(store.Selector{UserID: "bob"}) }() // nobody's here, but it has to be compared
		for end := time.Now().Add(time.Minute); store.Leave(ctx) == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	})
	m.left = func(ctx context.Context) {
		if _, err := h.intake.Cancel(ctx, jobs.ActorLocal, id); err != nil {
			t.Error(err)
		}
	}
	h.until(e, "it has ended", func() bool { return h.request(id).Status.Ended() })
	<-placed
	if r := h.request(id); r.Status != jobs.Cancelled || r.Jobs[0].Erased != 2 || m.Len() != 4 {
		t.Errorf("status %s, %d erased, %d left; want cancelled, 2, 4", r.Status, r.Jobs[0].Erased, m.Len())
	}
}

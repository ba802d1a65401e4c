package worker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// An erases counts the calls of Erase, and fails or panics in them.
type erases struct {
	store.Store
	mu     sync.Mutex
	calls  int
	fail   error
	panics bool
	before func()
}

func (s *erases) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	s.mu.Lock()
	s.calls++
	fail, panics := s.fail, s.panics
	s.mu.Unlock()
	if s.before != nil {
		s.before()
	}
	if panics {
		panic("a store of somebody")
	}
	if fail != nil {
		return nil, fail
	}
	return s.Store.Erase(ctx, ids)
}

// Purge implements store.Purger.
func (s *erases) Purge(ctx context.Context) error { return s.Store.(store.Purger).Purge(ctx) }

func (s *erases) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *erases) calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panics = false
}

// One ring brings a small request to its end, in all its stores, and the rings that
// the queue has for the rest of it come too late and do nothing.
func TestASmallRequestNeedsOneRing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m", "n")
	m, n := &erases{Store: storetest.NewMemory(people(3, "alice", "bob")...)}, &erases{Store: storetest.NewMemory(people(2, "alice")...)}
	e := h.eraser(kept("m", m), kept("n", n))
	id := h.forget("alice")
	first := h.rings()
	var late []jobs.Ring // what the relay rings while the first store is at work
	m.before = func() { late = append(late, h.rings()...) }
	if err := e.Carry(t.Context(), first[0]); err != nil {
		t.Fatal(err)
	}
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged", "requested 2 found 2 erased 2 absent 0 batches 1 rounds 1 purged")
	for _, r := range append(late, first...) {
		h.handle(e, r)
	}
	if m.calls != 1 || n.calls != 1 {
		t.Errorf("erased %d and %d times, want once each", m.calls, n.calls)
	}
	if len(late) == 0 {
		t.Error("the relay rang for nothing meanwhile")
	}
}

// A large request is left to the queue after each of its tasks, so that it does not
// keep a worker to itself.
func TestALargeRequestTakesTurns(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := &erases{Store: storetest.NewMemory(people(store.MaxBatch+1, "alice")...)}
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	carry := func(r jobs.Ring, want int) {
		if err := e.Carry(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if m.calls != want {
			t.Errorf("erased %d batches, want %d", m.calls, want)
		}
	}
	carry(h.ring(), 0)
	for i, r := range h.rings() {
		carry(r, i+1)
	}
	if s := h.request(id).Status; s != jobs.Verifying {
		t.Errorf("%s, want it to wait for the ring to verify", s)
	}
	h.finish(e, id)
}

// What failed is not tried again before its time.
func TestWhatFailedIsLeftToItsTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := &erases{Store: storetest.NewMemory(people(1, "alice")...), fail: errors.New("no")}
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	if err := e.Carry(t.Context(), h.ring()); err != nil {
		t.Fatal(err)
	}
	if m.calls != 1 {
		t.Errorf("tried %d times, want once", m.calls)
	}
	if _, err := h.ledger.Next(t.Context(), id); !errors.Is(err, jobs.ErrStale) {
		t.Errorf("there is something to do before its time: %v", err)
	}
	h.clock.add(time.Minute)
	r, err := h.ledger.Next(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.ledger.Claim(t.Context(), r, "another", time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ledger.Next(t.Context(), id); !errors.Is(err, jobs.ErrStale) {
		t.Errorf("what another has claimed is to be done again: %v", err)
	}
	m.fail = nil
	h.restart()
	h.finish(e, id)
}

// A request is begun by hand without any ring, a panic in one does not end the
// hands, and they end with their context.
func TestAHandBeginsWhatSomebodyWaitsFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := &erases{Store: storetest.NewMemory(people(1, "alice", "bob")...), panics: true}
	hand := worker.NewHand(h.eraser(kept("m", m)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hand.Run(ctx) }()
	begin := func(id string, done func() bool) {
		for tries := 0; !done(); tries++ {
			if tries > 5000 {
				t.Fatal("it was never begun")
			}
			hand.Begin(id)
			time.Sleep(time.Millisecond)
		}
	}
	for range 5 { // more than there are hands
		before := m.count()
		id := h.forget("alice")
		begin(id, func() bool { return m.count() > before })
	}
	m.calm()
	id := h.forget("bob")
	begin(id, func() bool { return h.request(id).Status == jobs.Completed })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	hand.Begin(id) // nobody takes it, and nobody waits
}

// A process that is about to end begins nothing more, and leaves it to the queue.
func TestNothingIsGoneOnWithOnTheWayOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := &erases{Store: storetest.NewMemory(people(1, "alice")...)}
	e := h.eraser(kept("m", m))
	leaving := true
	e.Leaving = func() bool { return leaving }
	id := h.forget("alice")
	if err := e.Carry(t.Context(), h.ring()); err != nil {
		t.Fatal(err)
	}
	if m.calls != 0 {
		t.Errorf("went on from the plan to %d batches", m.calls)
	}
	leaving = false
	h.finish(e, id)
	if m.calls != 1 {
		t.Errorf("erased %d times, want once", m.calls)
	}
}

package worker_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
)

// An absurd store answers, as long as it is told to, what cannot be.
type absurd struct {
	*storetest.Memory
	find      func(store.ID) store.ID
	count     func(store.Census) store.Census
	erase     func(store.Receipt) store.Receipt
	remaining func([]store.ID) []store.ID
	purge     func()
}

func (a *absurd) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		for id, err := range a.Memory.Find(ctx, sel) {
			if a.find != nil {
				id = a.find(id)
			}
			if !yield(id, err) {
				return
			}
		}
	}
}

func (a *absurd) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	c, err := a.Memory.Count(ctx, sels)
	if a.count != nil {
		c = a.count(c)
	}
	return c, err
}

func (a *absurd) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	r, err := a.Memory.Erase(ctx, ids)
	if a.erase != nil {
		r = a.erase(r)
	}
	return r, err
}

func (a *absurd) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	left, err := a.Memory.Remaining(ctx, ids)
	if a.remaining != nil {
		left = a.remaining(left)
	}
	return left, err
}

func (a *absurd) Purge(ctx context.Context) error {
	if a.purge != nil {
		a.purge()
	}
	return a.Memory.Purge(ctx)
}

func (a *absurd) heal() { a.find, a.count, a.erase, a.remaining, a.purge = nil, nil, nil, nil, nil }

// TestAnAbsurdAnswerIsNotKept: the store's answer makes no sense for a while;
// nothing of it may be kept, nobody else's row may go, and once the store has
// been mended the request must come to its end.
func TestAnAbsurdAnswerIsNotKept(t *testing.T) {
	t.Parallel()
	bobs := store.ID{Place: "memories", Key: "bob-0000"}
	for name, spoil := range map[string]func(*absurd){
		"AnIDWithoutAKey":    func(a *absurd) { a.find = func(id store.ID) store.ID { id.Key = ""; return id } },
		"AnIDWithoutAPlace":  func(a *absurd) { a.find = func(id store.ID) store.ID { id.Place = ""; return id } },
		"APlaceWithASlash":   func(a *absurd) { a.find = func(id store.ID) store.ID { id.Place = "a/b"; return id } },
		"APlaceNoLogCanName": func(a *absurd) { a.find = func(id store.ID) store.ID { id.Place = "Of Nobody"; return id } },
		"AFindThatPanics":    func(a *absurd) { a.find = func(store.ID) store.ID { panic("alice") } },
		"CountsBelowZero":    func(a *absurd) { a.count = func(c store.Census) store.Census { c.Places[2].Found = -1; return c } },
		"NobodysBelowZero":   func(a *absurd) { a.count = func(c store.Census) store.Census { c.Unattributable = -1; return c } },
		"CountsOfNoPlace": func(a *absurd) {
			a.count = func(c store.Census) store.Census { c.Places[0].Place = "Nobody's"; return c }
		},
		"CountsHangingOnAir":   func(a *absurd) { a.count = func(c store.Census) store.Census { c.Places[2].With = "air"; return c } },
		"ACountThatPanics":     func(a *absurd) { a.count = func(store.Census) store.Census { panic("alice") } },
		"AnUnknownOutcome":     func(a *absurd) { a.erase = func(r store.Receipt) store.Receipt { r[0] = 'x'; return r } },
		"AShortReceipt":        func(a *absurd) { a.erase = func(r store.Receipt) store.Receipt { return r[1:] } },
		"ALongReceipt":         func(a *absurd) { a.erase = func(r store.Receipt) store.Receipt { return append(r, store.Erased) } },
		"AnEraseThatPanics":    func(a *absurd) { a.erase = func(store.Receipt) store.Receipt { panic("alice") } },
		"AStrangerRemains":     func(a *absurd) { a.remaining = func(l []store.ID) []store.ID { return append(l, bobs) } },
		"ARemainingThatPanics": func(a *absurd) { a.remaining = func([]store.ID) []store.ID { panic("alice") } },
		"APurgeThatPanics":     func(a *absurd) { a.purge = func() { panic("alice") } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m")
			a := &absurd{Memory: storetest.NewMemory(people(3, "alice", "bob")...)}
			others := rows(t, storetest.NewMemory(people(3, "bob")...))
			e := h.eraser(kept("m", a))
			id := h.forget("alice")
			spoil(a)
			for range 6 {
				h.turn(e)
				h.clock.add(60e9)
			}
			h.wantNoCertificate(id)
			if n := h.request(id).Jobs[0].Note; n != "store-broken" {
				t.Errorf("note %q, want store-broken", n)
			}
			a.heal()
			h.finish(e, id)
			if diff := cmp.Diff(others, rows(t, a.Memory)); diff != "" {
				t.Errorf("rows (-want +got)\n%s", diff)
			}
			if c := h.completed(id).Stores[0]; c.Erased+c.Absent != 3 || c.Remaining != 0 {
				t.Errorf("certificate: %s", counts(c))
			}
			if s := h.logs.String(); len(s) == 0 || strings.Contains(s, "alice") {
				t.Error("the logs name somebody, or say nothing")
			}
		})
	}
}

// TestAnIDThatWasNotAskedForIsNotPlanned: a list of IDs is answered with
// somebody else's.
func TestAnIDThatWasNotAskedForIsNotPlanned(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	a := &absurd{Memory: storetest.NewMemory(people(3, "alice", "bob")...)}
	a.find = func(store.ID) store.ID { return store.ID{Place: "memories", Key: "bob-0000"} }
	e := h.eraser(kept("m", a))
	id := h.forgetIDs("alice-0001")
	for range 4 {
		h.turn(e)
		h.clock.add(60e9)
	}
	if r := h.request(id); r.Status != jobs.Planning || a.Len() != 6 {
		t.Errorf("status %s, %d rows, want planning and all 6", r.Status, a.Len())
	}
	a.heal()
	h.finish(e, id)
	if a.Len() != 5 {
		t.Errorf("%d rows left, want 5", a.Len())
	}
}

// TestWhatIsCountedButNotFoundKeepsTheCertificateBack: Find hides the rows of
// somebody, and Count does not.
func TestWhatIsCountedButNotFoundKeepsTheCertificateBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := &hiding{Memory: storetest.NewMemory(people(3, "alice", "bob")...), hides: true}
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	for range 6 {
		h.turn(e)
		h.clock.add(60e9)
	}
	h.wantNoCertificate(id)
	if n := h.request(id).Jobs[0].Note; n != "not-verified" {
		t.Errorf("note %q, want not-verified", n)
	}
	m.hides = false
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 2 purged")
	if m.Len() != 3 {
		t.Errorf("%d rows left, want bob's 3", m.Len())
	}
}

type hiding struct {
	*storetest.Memory
	hides bool
}

func (s *hiding) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	if s.hides {
		return func(func(store.ID, error) bool) {}
	}
	return s.Memory.Find(ctx, sel)
}

package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
	"lethe/store/storetest"
)

// mortalReturns is a ledger whose watch may be killed at each step.
type mortalReturns struct {
	*ledger.Ledger
	fate *fate
}

func (m mortalReturns) TakeWatches(ctx context.Context, name string, until time.Time, limit int) ([]jobs.Watched, error) {
	return answered(m.fate, "TakeWatches", func() ([]jobs.Watched, error) { return m.Ledger.TakeWatches(ctx, name, until, limit) })
}

func (m mortalReturns) EndWatches(ctx context.Context, done []jobs.Watched) error {
	return m.fate.step("EndWatches", func() error { return m.Ledger.EndWatches(ctx, done) })
}

func (m mortalReturns) PutOff(ctx context.Context, w []jobs.Watched, until time.Time) error {
	return m.fate.step("PutOff", func() error { return m.Ledger.PutOff(ctx, w, until) })
}

func (m mortalReturns) AddStaged(ctx context.Context, request string, seq int, ids []string) error {
	return m.fate.step("AddStaged", func() error { return m.Ledger.AddStaged(ctx, request, seq, ids) })
}

func (m mortalReturns) Accept(ctx context.Context, a jobs.Acceptance) (r *jobs.Request, body []byte, err error) {
	err = m.fate.step("Accept", func() (err error) {
		r, body, err = m.Ledger.Accept(ctx, a)
		return err
	})
	return r, body, err
}

// A watch that is killed at any step, between finding a row and filing, or between
// filing and hearing of it, loses nothing and files nothing twice: its successor has
// the row erased by one request, which supersedes the certificate.
func TestAKillBetweenFindingAndFilingLosesNothing(t *testing.T) {
	t.Parallel()
	died := map[string]bool{}
	for n := 1; n <= 3; n++ {
		for _, after := range []bool{false, true} {
			h := newHouse(t, "s")
			before := h.clock.Now().Add(-48 * time.Hour)
			m := storetest.NewMemory(made("a1", "alice", before), made("b1", "bob", before))
			e, next := h.watching(kept("s", m))
			first := h.forget("alice")
			h.finish(e, first)
			m.Add(made("a1", "alice", before))
			h.clock.add(61 * time.Minute)
			f := &fate{n: n, after: after}
			_, w := h.watching(e.Stores["s"])
			w.Ledger = mortalReturns{h.ledger, f}
			w.Intake = &jobs.Intake{Ledger: mortalReturns{h.ledger, f}, Keys: h.keys, Stores: h.intake.Stores, KeepKey: time.Hour, Now: h.clock.Now}
			h.run("the first process is killed", func() bool { return f.isDead() }, w)
			died[f.last] = true
			if after { // the next process has the ledger to itself
				h.restart()
			} else { // or the lease ends
				h.clock.add(11 * time.Minute)
			}
			h.run("all looks are done", h.quiet, next)
			filed := h.of(jobs.OriginWatch)
			if len(filed) != 1 {
				t.Fatalf("killed at step %d, %s, after %t: %d requests", n, f.last, after, len(filed))
			}
			h.finish(e, filed[0].ID)
			if s := h.completed(filed[0].ID).Stores[0]; s.Erased != 1 || m.Len() != 1 {
				t.Errorf("killed at step %d, %s: %s, %d rows are left", n, f.last, counts(s), m.Len())
			}
			if h.request(first).Superseded != filed[0].ID {
				t.Errorf("killed at step %d, %s: superseded by %q", n, f.last, h.request(first).Superseded)
			}
		}
	}
	if fmt.Sprint(died) != "map[Accept:true AddStaged:true TakeWatches:true]" {
		t.Errorf("killed at %v", died)
	}
}

// A replay erases what was made before it was erased, and leaves what was made later
// and what does not say when, and the log says what it found, also if that is nothing.
func TestAReplayLeavesWhatWasMadeAfterTheErasure(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	m := storetest.NewMemory(made("a1", "alice", before), made("b1", "bob", before))
	e, w := h.watching(kept("s", m))
	h.finish(e, h.forget("alice"))
	m.Add(made("a1", "alice", before), made("a2", "alice", h.clock.Now().Add(time.Hour)), made("a3", "alice", time.Time{}))
	h.clock.add(2 * time.Hour)
	replay := func(erase bool, want jobs.Return) {
		t.Helper()
		w.Erase["s"] = erase
		found, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "s"})
		if err != nil || found.Return != want || len(found.Requests) != min(want.Back, 1) {
			t.Fatalf("%+v, %v, want %+v", found, err, want)
		}
		for _, id := range found.Requests {
			h.finish(e, id)
		}
		r, ok := h.logged("replay/" + found.ID + "/" + proof.KindReplayed).(*proof.Replayed)
		if !ok || r.Back != want.Back || r.Later != want.Later || r.Undated != want.Undated || r.Requests != min(want.Back, 1) || r.Store != "s" || r.By != "local" {
			t.Errorf("the log says %+v", r)
		}
	}
	replay(false, jobs.Return{Back: 1, Later: 1, Undated: 1})
	replay(false, jobs.Return{Later: 1, Undated: 1})
	replay(true, jobs.Return{Back: 1, Later: 1}) // as the store's configuration says
	if n := m.Len(); n != 2 {
		t.Errorf("%d rows are left, want a2 and b1", n)
	}
}

func (f *fate) isDead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

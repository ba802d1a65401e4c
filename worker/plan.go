package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// plan lists what the request selects in one store, freezes it and leaves the
// rest to the ledger.
func (e *Eraser) plan(ctx context.Context, t jobs.Task, s *Store) error {
	if planned, err := e.planned(ctx, t); err != nil || planned {
		if err == nil {
			err = e.recount(ctx, t, s)
		}
		return err
	}
	f, err := e.freeze(ctx, t, s)
	if err != nil {
		return err
	}
	x, err := e.exempt(ctx, t)
	if err != nil {
		return err
	}
	x.digest(f.digest)
	fault.Point("worker/plan-begun")
	s.reading.RLock()
	defer s.reading.RUnlock()
	life, err := s.life()
	if err != nil {
		return err
	}
	if err := e.covered(ctx, t, s); err != nil {
		return err
	}
	census, err := e.census(ctx, t, s)
	if err != nil {
		return fmt.Errorf("plan: count: %w", err)
	}
	p := jobs.Planned{Round: f.round, Places: places(x.without(census)), Unattributable: census.Unattributable, Related: census.Related}
	if p.MapVersion, err = s.mapVersion(ctx); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	for a, err := range e.asks(ctx, t) {
		if err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		if f.total >= store.MaxBatch && fault.Bug("worker/plan-one-page") {
			break
		}
		found := map[store.ID]bool{}
		for id, err := range s.find(ctx, a) {
			if err != nil {
				return fmt.Errorf("plan: find: %w", err)
			}
			if a.byID() {
				found[id] = true
			}
			if x.spares(id) {
				continue
			}
			if f.total >= store.MaxBatch && fault.Bug("worker/plan-one-page") {
				break
			}
			if id.Place != "memories" && fault.Bug("worker/one-place") {
				continue
			}
			if err := f.add(id); err != nil {
				return err
			}
		}
		if !fault.Bug("worker/missing-not-counted") {
			p.Missing += a.missing(found)
		}
	}
	if err := f.flush(); err != nil {
		return err
	}
	if now, err := s.life(); err != nil || now != life {
		return errors.Join(errOtherLife, err)
	}
	p.Digest, p.Exempt = f.digest.Sum(), x.left
	fault.Point("worker/plan-found")
	if err := e.Ledger.Planned(ctx, t, p, 0); err != nil {
		return err
	}
	fault.Point("worker/planned")
	return nil
}

// missing counts the IDs asked for that were not found.
func missing(sel store.Selector, found map[string]bool) int {
	n := 0
	for _, id := range sel.IDs {
		if !found[id] {
			n++
		}
	}
	return n
}

// selectors yields what to ask a store: the request's selector or, for a list
// of IDs, a Selector for each store.MaxBatch of them.
func (e *Eraser) selectors(ctx context.Context, t jobs.Task) iter.Seq2[store.Selector, error] {
	return func(yield func(store.Selector, error) bool) {
		text, err := e.Ledger.Selector(ctx, t.Request)
		if err != nil {
			yield(store.Selector{}, err)
			return
		}
		if text != nil {
			sel, err := jobs.DecodeSelector(text)
			sel.Related = t.Related
			yield(sel, err)
			return
		}
		for ids, err := range e.Ledger.Staged(ctx, t.Request) {
			if !yield(store.Selector{IDs: ids, Related: t.Related}, err) || err != nil {
				return
			}
		}
	}
}

// places words a census as the book keeps it.
func places(c store.Census) []jobs.PlaceCount {
	list := make([]jobs.PlaceCount, len(c.Places))
	for i, p := range c.Places {
		list[i] = jobs.PlaceCount{Place: p.Place, Found: p.Found, Total: p.Total, With: p.With}
	}
	return list
}

// A freezer cuts a stream of IDs into batches and writes them down.
type freezer struct {
	write  func(round, seq int, ids []store.ID) error
	digest jobs.PlanDigest
	round  int
	seq    int
	total  int
	batch  []store.ID

	leave func([]store.ID) ([]store.ID, error) // returns those that are to be frozen; nil for all
	left  int                                  // IDs that were not
}

// freeze begins one more round of a job.
func (e *Eraser) freeze(ctx context.Context, t jobs.Task, s *Store) (*freezer, error) {
	key, err := e.Subject(t.Request)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	round, seq, err := e.Ledger.Replan(ctx, t)
	if err != nil {
		return nil, err
	}
	write := func(round, seq int, ids []store.ID) error { return e.Ledger.Freeze(ctx, t, round, seq, ids) }
	f := &freezer{write: write, round: round, seq: seq, digest: jobs.NewPlanDigest(key, t.Store)}
	e.leaveHeld(ctx, t, s, f)
	return f, nil
}

func (f *freezer) add(id store.ID) error {
	f.batch = append(f.batch, id)
	f.total++
	if len(f.batch) < store.MaxBatch || len(f.batch) < 3*store.MaxBatch && fault.Bug("worker/big-batch") {
		return nil
	}
	return f.flush()
}

func (f *freezer) flush() error {
	if f.leave != nil && len(f.batch) > 0 {
		kept, err := f.leave(f.batch)
		if err != nil {
			return err
		}
		n := len(f.batch) - len(kept)
		f.left, f.total = f.left+n, f.total-n
		f.batch = append(f.batch[:0], kept...)
	}
	if len(f.batch) == 0 {
		return nil
	}
	if err := f.write(f.round, f.seq, f.batch); err != nil {
		return err
	}
	fault.Point("worker/plan-frozen")
	f.digest.Batch(f.batch)
	f.seq++
	f.batch = f.batch[:0]
	return nil
}

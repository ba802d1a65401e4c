package worker_test

import (
	"context"
	"runtime"
	"slices"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// watched is the store as workers see it.
type watched struct {
	*storetest.Memory
	s *schedule
}

func (w watched) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	w.s.step()
	held, err := w.Memory.Matching(ctx, sel, ids)
	w.s.step()
	return held, err
}

func (w watched) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	if w.s.chance(15) { // it has been asked, and its worker dies before the answer
		w.s.mu.Lock()
		w.s.ghosts = append(w.s.ghosts, slices.Clone(ids))
		w.s.tally["ghosts"]++
		w.s.mu.Unlock()
		runtime.Goexit()
	}
	w.s.step()
	r, err := w.s.erase(ctx, ids)
	w.s.step()
	return r, err
}

// stepping is the ledger as workers see it.
type stepping struct {
	worker.Ledger
	s *schedule
}

func (l stepping) Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error) {
	l.s.step()
	b, err := l.Ledger.Begin(ctx, t)
	l.s.step()
	return b, err
}

func (l stepping) Fence(ctx context.Context, r jobs.Ring) error {
	l.s.step()
	err := l.Ledger.Fence(ctx, r)
	l.s.step()
	return err
}

func (l stepping) Look(ctx context.Context, t jobs.Task) ([]jobs.Standing, error) {
	l.s.step()
	return l.Ledger.Look(ctx, t)
}

func (l stepping) SetAside(ctx context.Context, t jobs.Task, b jobs.Batch, free, held []store.ID) error {
	l.s.step()
	l.s.count("held", len(held))
	err := l.Ledger.SetAside(ctx, t, b, free, held)
	l.s.step()
	return err
}

func (l stepping) Finish(ctx context.Context, t jobs.Task, r jobs.Receipt) error {
	l.s.step()
	err := l.Ledger.Finish(ctx, t, r)
	l.s.step()
	return err
}

// answer carries a ring out, with a worker that may die of it. Nobody extends the

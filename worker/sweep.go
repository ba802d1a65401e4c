package worker

import (
	"context"
	"fmt"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// A sweep has nobody who waits for it, and comes again. So it leaves what is held
// instead of waiting for the hold to end, and what its policy does not select any
// more when its turn comes; and its plan has neither.

var _ jobs.AgedStores = (*Surveyor)(nil)

// Clock implements jobs.AgedStores.
func (v *Surveyor) Clock(ctx context.Context, storeName string) (now time.Time, err error) {
	err = v.aged(ctx, storeName, func(ctx context.Context, s store.Sweepable) (err error) {
		now, err = s.Now(ctx)
		return err
	})
	return now, err
}

// Sight implements jobs.AgedStores.
func (v *Surveyor) Sight(ctx context.Context, storeName string, sel store.Selector, ages bool) (sight jobs.SweepSight, err error) {
	holds, err := v.standing(ctx)
	if err != nil {
		return sight, fmt.Errorf("look at %s: %w", storeName, err)
	}
	err = v.aged(ctx, storeName, func(ctx context.Context, s store.Sweepable) (err error) {
		if sight.Undated, err = s.Undated(ctx, sel); err == nil && ages {
			sight.Oldest, sight.Newest, err = s.Span(ctx, sel)
		}
		return err
	})
	if err != nil {
		return sight, err
	}
	st := v.chosen([]string{storeName})[0]
	census, _, err := st.survey(ctx, sel.Only())
	if err != nil {
		return sight, fmt.Errorf("look at %s: %w", storeName, err)
	}
	sight.Places, sight.IDs = places(census), census.IDs()
	if sight.Held, err = v.held(ctx, st, jobs.Submission{Selector: sel}, holds); err != nil {
		return sight, fmt.Errorf("look at %s: %w", storeName, err)
	}
	return sight, nil
}

// aged calls f with a store that can select by age.
func (v *Surveyor) aged(ctx context.Context, name string, f func(context.Context, store.Sweepable) error) error {
	list := v.chosen([]string{name})
	if len(list) == 0 {
		return errUnknownStore
	}
	err := list[0].within(ctx, func(ctx context.Context, st store.Store) (err error) {
		defer mend(&err)
		s, ok := st.(store.Sweepable)
		if !ok {
			return jobs.ErrUnable
		}
		return f(ctx, s)
	})
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	return nil
}

// still lets a sweep erase only what its policy selects at that moment.
func (e *Eraser) still(ctx context.Context, t jobs.Task) (context.Context, error) {
	if !t.Sweep || fault.Bug("sweep/erase-as-planned") {
		return ctx, nil
	}
	for sel, err := range e.selectors(ctx, t) {
		return store.WithStill(ctx, sel), err
	}
	return ctx, nil
}

// unheld returns what of ids no hold forbids a sweep to erase.
func (e *Eraser) unheld(ctx context.Context, s *Store, holds []jobs.Standing, ids []store.ID) ([]store.ID, error) {
	if len(holds) == 0 {
		return ids, nil
	}
	held, err := s.heldIDs(ctx, holds, ids)
	if err != nil || len(held) == 0 {
		return ids, err
	}
	var free []store.ID
	for _, id := range ids {
		if !held[id] {
			free = append(free, id)
		}
	}
	return free, nil
}

// leaveHeld takes out of a sweep's plan what is held.
func (e *Eraser) leaveHeld(ctx context.Context, t jobs.Task, s *Store, f *freezer) {
	if !t.Sweep {
		return
	}
	f.leave = func(ids []store.ID) ([]store.ID, error) {
		holds, err := e.Ledger.Standing(ctx)
		if err != nil {
			return nil, err
		}
		return e.unheld(ctx, s, holds, ids)
	}
}

// unkept takes out of a batch what the store has kept, with its outcomes.
func unkept(b *jobs.Batch, r store.Receipt) store.Receipt {
	if r.Count(store.Kept) == 0 {
		return r
	}
	var ids []store.ID
	var receipt store.Receipt
	for i, o := range r {
		if o != store.Kept {
			ids, receipt = append(ids, b.IDs[i]), append(receipt, o)
		}
	}
	b.Kept += len(b.IDs) - len(ids)
	b.IDs = ids
	return receipt
}

// leave takes out of a sweep's batch what is held, and reports whether that was all.
func (e *Eraser) leave(ctx context.Context, s *Store, b *jobs.Batch) (all bool, err error) {
	fault.Point("worker/compare-holds")
	free, err := e.unheld(ctx, s, b.Holds, b.IDs)
	if err != nil {
		return false, err
	}
	b.Kept += len(b.IDs) - len(free)
	b.IDs = free
	return len(free) == 0, nil
}

package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// heldIDs returns which of ids the holds forbid to erase in the store.
func (s *Store) heldIDs(ctx context.Context, holds []jobs.Standing, ids []store.ID) (map[store.ID]bool, error) {
	held := make(map[store.ID]bool)
	for _, h := range holds {
		if len(held) == len(ids) {
			break
		}
		found, err := s.Matching(ctx, h.Selector, ids)
		if err != nil {
			return nil, fmt.Errorf("compare with hold %s: %w", h.ID, err)
		}
		for _, id := range found {
			held[id] = true
		}
	}
	return held, nil
}

// Matching implements store.Matcher. Of a store that is none it asks what the
// selector finds, at most store.MaxBatch IDs at a time.
func (s *Store) Matching(ctx context.Context, sel store.Selector, ids []store.ID) (held []store.ID, err error) {
	defer mend(&err)
	if fault.Bug("holds/wrong-field") && sel.UserID != "" {
		sel.UserID, sel.AgentID = sel.AgentID, sel.UserID
	}
	is := false
	err = s.with(ctx, func(st store.Store) (err error) {
		var m store.Matcher
		if m, is = st.(store.Matcher); is {
			held, err = m.Matching(ctx, sel, ids)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	asked := make(map[store.ID]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	if !is {
		return s.found(ctx, sel, asked)
	}
	if slices.ContainsFunc(held, func(id store.ID) bool { return !asked[id] }) {
		return nil, fmt.Errorf("%w: an ID that was not asked for", errAbsurd)
	}
	return held, nil
}

// found returns what of asked the selector finds.
func (s *Store) found(ctx context.Context, sel store.Selector, asked map[store.ID]bool) ([]store.ID, error) {
	parts := []store.Selector{sel}
	if sel.ByID() {
		parts = nil
		for ids := range slices.Chunk(sel.IDs, store.MaxBatch) {
			parts = append(parts, store.Selector{IDs: ids})
		}
	}
	var held []store.ID
	for _, part := range parts {
		for id, err := range s.Find(ctx, part) {
			if err != nil {
				return nil, err
			}
			if asked[id] {
				held = append(held, id)
			}
		}
	}
	return held, nil
}

// spare compares a batch with the holds that it comes with. If any of its IDs is
// held the task is answered: those are set aside, and the others go on without
// them.
func (e *Eraser) spare(ctx context.Context, t jobs.Task, s *Store, b jobs.Batch) (answered bool, err error) {
	if len(b.Holds) == 0 {
		return false, nil
	}
	fault.Point("worker/compare-holds")
	held, err := s.heldIDs(ctx, b.Holds, b.IDs)
	if err != nil || len(held) == 0 {
		return false, err
	}
	var free, kept []store.ID
	for _, id := range b.IDs {
		if held[id] {
			kept = append(kept, id)
		} else {
			free = append(free, id)
		}
	}
	fault.Point("worker/set-aside")
	if err := e.Ledger.SetAside(ctx, t, b, free, kept); err != nil {
		return false, err
	}
	e.Metrics.batch(t.Store, "held")
	return true, nil
}

// sparing erases a batch, unless IDs of it are held: then it answers the task and
// returns true. A hold that is placed between the comparison and the fence has it
// compared once more.
func (e *Eraser) sparing(ctx context.Context, t jobs.Task, s *Store, b *jobs.Batch, did *touch) (r store.Receipt, answered bool, err error) {
	for {
		if t.Sweep {
			if done, err := e.leave(ctx, s, b); done || err != nil {
				return nil, false, err
			}
		} else if answered, err = e.spare(ctx, t, s, *b); answered || err != nil {
			return nil, answered, err
		}
		r, err = e.eraseAndRead(ctx, t, s, *b, did)
		if !errors.Is(err, jobs.ErrHolds) || did.called { // some of it may be gone: the ledger must know before it is divided
			return r, false, err
		}
		if b.Holds, err = e.Ledger.Look(ctx, t); err != nil {
			return nil, false, err
		}
	}
}

// A grip is how long a lease is held for sure. It is read by two clocks: one
// stands still while the machine does, the other may be set back.
type grip struct{ end atomic.Pointer[time.Time] }

func (g *grip) until(end time.Time) { g.end.Store(&end) }

// leave is what stores ask before they commit: a process that was stopped, and
// goes on, must not erase what somebody else has been given meanwhile, or what
// has been held.
func (g *grip) leave() error {
	now, end := time.Now(), *g.end.Load()
	if (now.Before(end) && now.Round(0).Before(end.Round(0))) || fault.Bug("worker/works-without-lease") {
		return nil
	}
	return fmt.Errorf("commit: %w", jobs.ErrStale)
}

// fenced returns a context for one Erase, under a fence that has just been read.
// A store that erases one ID after another takes as long as they are many; before
// each commit that comes later the fence is read anew, so that a hold does not wait
// for the batch to end. A request that is cancelled stops between batches.
func (e *Eraser) fenced(ctx context.Context, t jobs.Task) context.Context {
	var mu sync.Mutex
	read := time.Now()
	return store.WithLeave(ctx, func() error {
		if err := store.Leave(ctx); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if time.Since(read) < cmp.Or(e.Fresh, time.Second) || fault.Bug("worker/skip-fence") {
			return nil
		}
		err := e.Ledger.Fence(ctx, t.Ring)
		if err != nil && !errors.Is(err, jobs.ErrStopped) && !errors.Is(err, jobs.ErrUnapproved) {
			return fmt.Errorf("commit: %w", err)
		}
		read = time.Now()
		return nil
	})
}

package worker

import (
	"context"
	"fmt"
	"slices"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// noting returns a context for the erasure of b in which the ledger is told what
// goes along with it, before the store commits: whoever finds it gone, after
// whatever crash, finds that the ledger knows.
func (e *Eraser) noting(ctx context.Context, t jobs.Task, b jobs.Batch) context.Context {
	told := false
	return store.WithAlong(ctx, func(ctx context.Context, also []store.ID) error {
		if slices.ContainsFunc(also, func(id store.ID) bool { return !sayable(id) }) {
			return fmt.Errorf("%w: an ID without a proper place or key", errAbsurd)
		}
		if len(also) == 0 && !told || fault.Bug("worker/along-untold") {
			return nil
		}
		told = true
		if err := e.Ledger.GoesAlong(ctx, t, b, also); err != nil {
			return err
		}
		fault.Point("worker/along-told")
		return nil
	})
}

// withAlong reads Absent as Erased in the receipt of an untouched batch where the
// ID went along with another batch of its job. It is counted here and nowhere
// else: what goes along is on no receipt of the batch that it went with.
func (e *Eraser) withAlong(ctx context.Context, t jobs.Task, b jobs.Batch, r store.Receipt) (store.Receipt, error) {
	var absent []store.ID
	for i, o := range r {
		if o == store.Absent {
			absent = append(absent, b.IDs[i])
		}
	}
	if len(absent) == 0 || fault.Bug("worker/along-forgotten") {
		return r, nil
	}
	along, err := e.Ledger.GoneAlong(ctx, t, b, absent)
	if err != nil {
		return nil, fmt.Errorf("batch %d: %w", b.Seq, err)
	}
	r = slices.Clone(r)
	for i, o := range r {
		if o == store.Absent && along[b.IDs[i]] {
			r[i] = store.Erased
		}
	}
	return r, nil
}

// gone reads which IDs of a batch this request may have erased and are gone: of a
// touched one any, of another those that went along. The others are the rest.
func (e *Eraser) gone(ctx context.Context, t jobs.Task, s *Store, b jobs.Batch) (gone, rest []store.ID, err error) {
	suspects := b.IDs
	if !b.Touched {
		along, err := e.Ledger.GoneAlong(ctx, t, b, b.IDs)
		if err != nil {
			return nil, nil, err
		}
		suspects = slices.DeleteFunc(slices.Clone(b.IDs), func(id store.ID) bool { return !along[id] })
	}
	if len(suspects) == 0 {
		return nil, b.IDs, nil
	}
	left, err := s.Remaining(ctx, suspects)
	if err != nil {
		return nil, nil, err
	}
	is := make(map[store.ID]bool, len(suspects))
	for _, id := range suspects {
		is[id] = true
	}
	for _, id := range left {
		is[id] = false
	}
	for _, id := range b.IDs {
		if is[id] {
			gone = append(gone, id)
		} else {
			rest = append(rest, id)
		}
	}
	return gone, rest, nil
}

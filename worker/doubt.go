package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/store"
)

// errAbsurd: a store said what cannot be.
var errAbsurd = errors.New("the store's answer makes no sense")

// errPanicked: a store did not return.
var errPanicked = errors.New("the store panicked")

// The methods below stand before those of the store itself. What they let
// through is frozen into a plan or goes into a certificate, from which nothing
// could take it out again; and what a store asks to have erased that was not
// asked for is somebody else's. See the package's Decisions.

// Find implements store.Store.
func (s *Store) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		theirs := true // whose panic it would be
		defer func() {
			if p := recover(); p != nil {
				if !theirs {
					panic(p)
				}
				yield(store.ID{}, panicked())
			}
		}()
		if err := s.ageless(ctx, sel); err != nil {
			theirs = false
			yield(store.ID{}, fmt.Errorf("find: %w", err))
			return
		}
		for id, err := range s.Store.Find(ctx, sel) {
			switch {
			case err != nil:
			case !sayable(id):
				err = fmt.Errorf("%w: an ID without a proper place or key", errAbsurd)
			case sel.ByID() && !sel.Related && !slices.Contains(sel.IDs, id.Key):
				err = fmt.Errorf("%w: an ID that was not asked for", errAbsurd)
			}
			theirs = false
			if !yield(id, err) || err != nil {
				return
			}
			theirs = true
		}
	}
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (c store.Census, err error) {
	defer mend(&err)
	if c, err = s.Store.Count(ctx, s.aware(ctx, sels)); err != nil {
		return c, err
	}
	if c.Unattributable < 0 {
		return c, fmt.Errorf("%w: fewer than no rows", errAbsurd)
	}
	for _, p := range c.Places {
		hangs := p.With == "" || p.With != p.Place && slices.ContainsFunc(c.Places, func(q store.PlaceCount) bool { return q.Place == p.With })
		if fault.Bug("worker/believe-counts") {
			break
		}
		if p.Found < 0 || p.Total < 0 || !proof.IsCode(p.Place) || !hangs {
			return c, fmt.Errorf("%w: a count of no proper place, or of fewer than no rows", errAbsurd)
		}
	}
	return c, nil
}

// Erase implements store.Store.
func (s *Store) Erase(ctx context.Context, ids []store.ID) (r store.Receipt, err error) {
	defer mend(&err)
	if r, err = s.Store.Erase(ctx, ids); err != nil {
		return nil, err
	}
	known := r.Count(store.Erased) + r.Count(store.Absent) + r.Count(store.Held) + r.Count(store.Refused)
	if _, still := store.Still(ctx); still {
		known += r.Count(store.Kept)
	}
	if (len(r) != len(ids) || known != len(r)) && !fault.Bug("worker/believe-receipts") {
		return nil, fmt.Errorf("%w: a receipt with %d outcomes, %d of them known, for %d IDs", errAbsurd, len(r), known, len(ids))
	}
	return r, nil
}

// Remaining implements store.Store.
func (s *Store) Remaining(ctx context.Context, ids []store.ID) (left []store.ID, err error) {
	defer mend(&err)
	if left, err = s.Store.Remaining(ctx, ids); err != nil {
		return nil, err
	}
	asked := make(map[store.ID]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	for _, id := range left {
		if !asked[id] && !fault.Bug("worker/believe-remaining") {
			return nil, fmt.Errorf("%w: an ID that was not asked for", errAbsurd)
		}
	}
	return left, nil
}

// rewrite purges while nothing scans the store.
func (s *Store) rewrite(ctx context.Context, p store.Purger) (err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	defer mend(&err)
	if fault.Bug("worker/purge-by-word") {
		return nil
	}
	return p.Purge(ctx)
}

// sayable reports whether an ID can be kept, and its place certified.
func sayable(id store.ID) bool {
	same, err := store.ParseID(id.String())
	return err == nil && same == id && proof.IsCode(id.Place)
}

// mend turns a panic into an error. It is to be deferred.
func mend(err *error) {
	if recover() != nil {
		*err = panicked()
	}
}

// panicked says where a store panicked. The value of the panic is left out on
// purpose: nobody knows what it holds.
func panicked() error {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for begun := false; ; {
		f, more := frames.Next()
		inside := strings.HasPrefix(f.Function, "runtime.")
		if begun && !inside {
			return fmt.Errorf("%w at %s:%d", errPanicked, filepath.Base(f.File), f.Line)
		}
		begun = begun || inside && strings.Contains(f.Function, "panic")
		if !more {
			return errPanicked
		}
	}
}

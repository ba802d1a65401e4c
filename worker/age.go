package worker

import (
	"context"
	"fmt"
	"iter"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// The methods below are those of a store.Sweepable and a store.Identifying. A store
// that is none fails them, with an error wrapping store.ErrRefused: ask sweepable
// and identifying before.

var _ interface {
	store.Sweepable
	store.Identifying
} = (*Store)(nil)

// sweepable reports whether the store can select by age.
func (s *Store) sweepable(ctx context.Context) (can bool, err error) {
	err = s.with(ctx, func(st store.Store) error {
		_, can = st.(store.Sweepable)
		return nil
	})
	return can, err
}

// identifying reports whether the store can list who is in it.
func (s *Store) identifying(ctx context.Context) (can bool, err error) {
	err = s.with(ctx, func(st store.Store) error {
		_, can = st.(store.Identifying)
		return nil
	})
	return can, err
}

// aging calls f with the store, if it can select by age.
func (s *Store) aging(ctx context.Context, f func(context.Context, store.Sweepable) error) (err error) {
	defer mend(&err)
	return s.within(ctx, func(ctx context.Context, st store.Store) error {
		sw, ok := st.(store.Sweepable)
		if !ok {
			return fmt.Errorf("%w: the store cannot select by age", store.ErrRefused)
		}
		return f(ctx, sw)
	})
}

// ageless returns an error if sel selects by age and the store does not know that
// it has to: it would find everything that is left of sel without it.
func (s *Store) ageless(ctx context.Context, sel store.Selector) error {
	if !sel.ByAge() {
		return nil
	}
	can, err := s.sweepable(ctx)
	if err == nil && !can {
		err = sel.Ageless()
	}
	return err
}

// aware ends selectors with an error at the first that the store would take for one
// without regard to age.
func (s *Store) aware(ctx context.Context, sels iter.Seq2[store.Selector, error]) iter.Seq2[store.Selector, error] {
	return func(yield func(store.Selector, error) bool) {
		for sel, err := range sels {
			if err == nil {
				err = s.ageless(ctx, sel)
			}
			if !yield(sel, err) || err != nil {
				return
			}
		}
	}
}

// Now implements store.Sweepable.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.aging(ctx, func(ctx context.Context, st store.Sweepable) (err error) {
		now, err = st.Now(ctx)
		return err
	})
	return now, err
}

// Span implements store.Sweepable.
func (s *Store) Span(ctx context.Context, sel store.Selector) (oldest, newest time.Time, err error) {
	err = s.aging(ctx, func(ctx context.Context, st store.Sweepable) (err error) {
		oldest, newest, err = st.Span(ctx, sel)
		return err
	})
	return oldest, newest, err
}

// Undated implements store.Sweepable.
func (s *Store) Undated(ctx context.Context, sel store.Selector) (counts map[string]int, err error) {
	err = s.aging(ctx, func(ctx context.Context, st store.Sweepable) (err error) {
		counts, err = st.Undated(ctx, sel)
		return err
	})
	return counts, err
}

// Kept implements store.Sweepable.
func (s *Store) Kept(ctx context.Context, sel store.Selector, ids []store.ID) (kept []store.ID, err error) {
	err = s.aging(ctx, func(ctx context.Context, st store.Sweepable) (err error) {
		kept, err = st.Kept(ctx, sel, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	asked := make(map[store.ID]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	for _, id := range kept {
		if !asked[id] {
			return nil, fmt.Errorf("%w: an ID that was not asked for", errAbsurd)
		}
	}
	return kept, nil
}

// Identifiers implements store.Identifying.
func (s *Store) Identifiers(ctx context.Context) iter.Seq2[store.Identifier, error] {
	return func(yield func(store.Identifier, error) bool) {
		theirs := true // whose panic it would be
		defer func() {
			if p := recover(); p != nil {
				if !theirs {
					panic(p)
				}
				yield(store.Identifier{}, panicked())
			}
		}()
		err := s.within(ctx, func(ctx context.Context, st store.Store) error {
			list, ok := st.(store.Identifying)
			if !ok {
				return fmt.Errorf("%w: the store cannot list who is in it", store.ErrRefused)
			}
			for id, err := range list.Identifiers(ctx) {
				if err != nil {
					return err
				}
				theirs = false
				if !yield(id, nil) {
					return nil
				}
				theirs = true
			}
			return nil
		})
		if err != nil {
			theirs = false
			yield(store.Identifier{}, err)
		}
	}
}

// Rows implements store.Listing.
func (s *Store) Rows(ctx context.Context) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		theirs := true // whose panic it would be
		defer func() {
			if p := recover(); p != nil {
				if !theirs {
					panic(p)
				}
				yield(store.Row{}, panicked())
			}
		}()
		err := s.within(ctx, func(ctx context.Context, st store.Store) error {
			list, ok := st.(store.Listing)
			if !ok {
				return jobs.ErrUnable
			}
			for r, err := range list.Rows(ctx) {
				if err != nil {
					return err
				}
				theirs = false
				if !yield(r, nil) {
					return nil
				}
				theirs = true
			}
			return nil
		})
		if err != nil {
			theirs = false
			yield(store.Row{}, err)
		}
	}
}

package worker

import (
	"context"
	"fmt"
	"iter"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// A request for what has come back names rows: the IDs of another request's plan, as
// it were, and not of whoever asks. No selector says as much, so the store is asked
// by Remaining, which yields exactly those rows.

// An asked is what to ask a store for: a selector, or rows.
type asked struct {
	store.Selector
	rows []store.ID
}

// asks yields what to ask a store for.
func (e *Eraser) asks(ctx context.Context, t jobs.Task) iter.Seq2[asked, error] {
	return func(yield func(asked, error) bool) {
		for sel, err := range e.selectors(ctx, t) {
			a := asked{Selector: sel}
			if err == nil && t.Exact {
				a, err = exactly(sel.IDs)
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

func exactly(texts []string) (a asked, err error) {
	a.rows = make([]store.ID, len(texts))
	for i, text := range texts {
		if a.rows[i], err = store.ParseID(text); err != nil {
			return a, err
		}
	}
	return a, nil
}

// find is Find for what is asked. Of rows it yields those of which anything is left.
func (s *Store) find(ctx context.Context, a asked) iter.Seq2[store.ID, error] {
	if a.rows == nil {
		return s.Find(ctx, a.Selector)
	}
	return func(yield func(store.ID, error) bool) {
		left, err := s.Remaining(ctx, a.rows)
		if err != nil {
			yield(store.ID{}, err)
			return
		}
		for _, id := range left {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// missing counts what was asked for by ID and was not found.
func (a asked) missing(found map[store.ID]bool) int {
	if a.rows != nil {
		return len(a.rows) - len(found)
	}
	keys := make(map[string]bool, len(found))
	for id := range found {
		keys[id.Key] = true
	}
	return missing(a.Selector, keys)
}

// byID reports whether what is asked for is a list.
func (a asked) byID() bool { return a.rows != nil || a.ByID() }

// census counts what a task asks for. Of rows only those that stand on their own are
// counted: what hangs on them goes with them.
func (e *Eraser) census(ctx context.Context, t jobs.Task, s *Store) (store.Census, error) {
	if !t.Exact {
		return s.Count(ctx, e.selectors(ctx, t))
	}
	nothing := store.Selector{CreatedBefore: time.Unix(0, 0)} // how many rows each place has
	census, err := s.Count(ctx, nothing.Only())
	if err != nil {
		return census, err
	}
	found := map[string]int{}
	for a, err := range e.asks(ctx, t) {
		if err != nil {
			return census, err
		}
		for id, err := range s.find(ctx, a) {
			if err != nil {
				return census, fmt.Errorf("count: %w", err)
			}
			found[id.Place]++
		}
	}
	for i, p := range census.Places {
		if census.Places[i].Found = 0; p.With == "" {
			census.Places[i].Found = found[p.Place]
		}
		census.Places[i].Total = max(p.Total, census.Places[i].Found)
	}
	return census, nil
}

var _ jobs.ListedStores = (*Surveyor)(nil)

// Rows implements jobs.ListedStores. A purge, which may move rows, waits.
func (v *Surveyor) Rows(ctx context.Context, storeName string) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		list := v.chosen([]string{storeName})
		if len(list) == 0 {
			yield(store.Row{}, errUnknownStore)
			return
		}
		s := list[0]
		s.reading.RLock()
		defer s.reading.RUnlock()
		life, err := s.life()
		if err != nil {
			yield(store.Row{}, err)
			return
		}
		for r, err := range s.Rows(ctx) {
			if err != nil {
				err = fmt.Errorf("list %s: %w", storeName, err)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
		if now, err := s.life(); err != nil || now != life {
			yield(store.Row{}, errOtherLife)
		}
	}
}

package mem0

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"lethe/store"
	"lethe/store/tables"
)

// Kept implements store.Sweepable. No age selects a row of the log.
func (s *server) Kept(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	if s.logs == nil {
		return s.Postgres.Kept(ctx, sel, ids)
	}
	if err := s.known(ids); err != nil {
		return nil, fmt.Errorf("kept: %w", err)
	}
	logged, rest := divided(ids)
	some, err := s.Postgres.Kept(ctx, sel, rest)
	if err != nil {
		return nil, err
	}
	there, err := s.logs.Remaining(ctx, logged)
	if err != nil {
		return nil, err
	}
	selected := make(map[store.ID]bool)
	if err := s.matchingLogged(ctx, sel, logged, nil, selected); err != nil {
		return nil, fmt.Errorf("kept: %w", err)
	}
	kept := make(map[store.ID]bool)
	for _, id := range some {
		kept[id] = true
	}
	for _, id := range there {
		kept[id] = kept[id] || !selected[id]
	}
	var list []store.ID
	for _, id := range ids {
		if kept[id] {
			list = append(list, id)
			delete(kept, id)
		}
	}
	return list, nil
}

// leave returns what of a batch store.Still does not keep, and notes what it does.
// The log commits first, and what hangs there on a memory that somebody changes
// after this, and that is then kept, is gone.
func (s *server) leave(ctx context.Context, ids []store.ID, outcome map[store.ID]store.Outcome) ([]store.ID, error) {
	sel, ok := store.Still(ctx)
	if !ok {
		return ids, nil
	}
	kept, err := s.Kept(ctx, sel, ids)
	for _, id := range kept {
		outcome[id] = store.Kept
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id store.ID) bool { return outcome[id] == store.Kept }), err
}

// Identifiers implements store.Identifying.
func (s *server) Identifiers(ctx context.Context) iter.Seq2[store.Identifier, error] {
	if s.logs == nil {
		return s.Postgres.Identifiers(ctx)
	}
	return tables.Identifiers(s.sightings(ctx))
}

// Rows implements store.Listing.
func (s *server) Rows(ctx context.Context) iter.Seq2[store.Row, error] {
	if s.logs == nil {
		return s.Postgres.Rows(ctx)
	}
	return tables.Rows(s.sightings(ctx))
}

// sightings yields also the rows of the log that name somebody; none says when it
// was made.
func (s *server) sightings(ctx context.Context) iter.Seq2[tables.Sighting, error] {
	return func(yield func(tables.Sighting, error) bool) {
		for seen, err := range s.Sightings(ctx) {
			if !yield(seen, err) || err != nil {
				return
			}
		}
		for row, err := range s.logs.Texts(ctx, requests, logColumn, false) {
			if err != nil {
				yield(tables.Sighting{}, fmt.Errorf("identifiers: %w", err))
				return
			}
			n, ok := named(row.Text)
			if !ok || n.kind == ofMemory {
				continue
			}
			seen := tables.Sighting{ID: store.ID{Place: requests, Key: row.Key}, Who: []store.Field{{Name: n.kind + "_id", Value: n.id}}}
			if !yield(seen, nil) {
				return
			}
		}
	}
}

var _ store.Listing = (*server)(nil)

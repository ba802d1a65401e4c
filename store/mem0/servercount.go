package mem0

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"lethe/store"
	"lethe/store/tables"
)

const memoriesPlace = "memories"

// Count implements store.Store. Rows of the log whose name may have been cut
// off are unattributable.
func (s *server) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	if s.logs == nil {
		return s.Postgres.Count(ctx, sels)
	}
	whom, memories := make(map[subject]bool), make(map[string]bool)
	census, err := s.Postgres.Count(ctx, func(yield func(store.Selector, error) bool) {
		for sel, err := range sels {
			if err == nil {
				err = s.asked(ctx, sel, whom, memories)
			}
			if !yield(sel, err) {
				return
			}
		}
	})
	if err != nil {
		return census, err
	}
	naming := store.PlaceCount{Place: requests}
	hanging := store.PlaceCount{Place: memoryRequests, With: memoriesPlace}
	for row, err := range s.logs.Texts(ctx, requests, logColumn, false) {
		if err != nil {
			return store.Census{}, fmt.Errorf("count: %w", err)
		}
		naming.Total++
		hanging.Total++
		switch n, _ := named(row.Text); {
		case whom[n]:
			naming.Found++
		case n.kind == ofMemory && memories[n.id]:
			hanging.Found++
		case cut(row.Text):
			census.Unattributable++
		}
	}
	census.Places = append(census.Places, naming, hanging)
	return census, nil
}

// asked notes whom and which memories a selector asks for.
func (s *server) asked(ctx context.Context, sel store.Selector, whom map[subject]bool, memories map[string]bool) error {
	if err := sel.Validate(); err != nil {
		return nil //nolint:nilerr // whoever counts the memories says so
	}
	if e, ok := whole(sel); ok {
		whom[e] = true
	}
	for id := range canonical(sel.IDs) {
		memories[id] = true
	}
	for id, err := range s.Postgres.Find(ctx, sel) {
		if err != nil {
			return err
		}
		if id.Place == memoriesPlace {
			memories[id.Key] = true
		}
	}
	return nil
}

// A rewriter is a server whose purge rewrites the tables of both databases.
type rewriter struct {
	*server
	parts []*tables.Rewriter
}

func (s *server) rewriting(ctx context.Context) (*rewriter, error) {
	r := &rewriter{server: s}
	for _, db := range []*tables.Postgres{s.Postgres, s.logs} {
		if db == nil {
			continue
		}
		part, err := tables.NewRewriter(ctx, db)
		if err != nil {
			return nil, err
		}
		r.parts = append(r.parts, part)
	}
	return r, nil
}

// Purge implements store.Purger. What cannot be seen in one database is no
// reason not to rewrite the other.
func (r *rewriter) Purge(ctx context.Context) error {
	var unseen error
	for _, part := range r.parts {
		err := part.Purge(ctx)
		if err != nil && !errors.Is(err, store.ErrUnseen) {
			return err
		}
		unseen = errors.Join(unseen, err)
	}
	return unseen
}

// Check implements store.Checker.
func (r *rewriter) Check(ctx context.Context) ([]store.Finding, error) {
	var all []store.Finding
	for _, part := range r.parts {
		findings, err := part.Check(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, findings...)
	}
	return all, nil
}

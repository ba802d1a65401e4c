package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Find implements store.Store. It goes through each table by the index of its
// key, 5000 rows a page, and then through the files beside it.
func (s *Postgres) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		fail := func(err error) { yield(store.ID{}, fmt.Errorf("find: %w", err)) }
		if err := sel.Validate(); err != nil {
			fail(err)
			return
		}
		if sel.ByID() {
			ids, err := s.explicit(ctx, sel.IDs)
			if err != nil {
				fail(err)
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
			return
		}
		if s.beside != nil {
			for id, err := range s.beside.Find(ctx, sel) {
				if !yield(id, err) || err != nil {
					return
				}
			}
		}
		for _, p := range s.parts {
			more, err := s.findIn(ctx, p, sel, yield)
			if err != nil {
				fail(err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// findIn yields what sel selects in one part and reports whether the caller
// wants more.
func (s *Postgres) findIn(ctx context.Context, p *pgPart, sel store.Selector, yield func(store.ID, error) bool) (bool, error) {
	if _, ok := p.match(sel, 0); !ok {
		return true, nil
	}
	var from, to *string
	for {
		keys, err := s.page(ctx, p, sel, from, &to)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			if key == "" {
				return false, fmt.Errorf("%w: a selected row of place %s has no usable id", store.ErrRefused, p.Name)
			}
			if !yield(store.ID{Place: p.Name, Key: key}, nil) {
				return false, nil
			}
		}
		if to == nil {
			return true, nil
		}
		from = to
	}
}

// page reads the selected keys after from, which is nil at first, and sets to
// to the last key of the page, or nil for the last page.
func (s *Postgres) page(ctx context.Context, p *pgPart, sel store.Selector, from *string, to **string) (keys []string, err error) {
	err = s.tx(ctx, s.db, func(tx *sqlx.Tx) error {
		if err := s.unchanged(ctx, tx); err != nil {
			return err
		}
		keys, *to = nil, nil // a page may be read twice
		id := "t." + quote(p.ID[0])
		bounds, args := condition{sql: "true"}, []any{}
		if from != nil {
			args = append(args, *from)
			bounds.and(fmt.Sprintf("%s > $%d::text::%s", id, len(args), p.cast()))
		}
		var last string
		err := tx.GetContext(ctx, &last, fmt.Sprintf("SELECT %s::text FROM %s t WHERE %s ORDER BY %[1]s OFFSET %[4]d LIMIT 1",
			id, p.table, bounds.sql, pageRows-1), args...)
		switch {
		case err == nil:
			*to = &last
			args = append(args, last)
			bounds.and(fmt.Sprintf("%s <= $%d::text::%s", id, len(args), p.cast()))
		case !errors.Is(err, sql.ErrNoRows):
			return pgCoded(ctx, err)
		}
		c, _ := p.match(sel, len(args))
		return pgCoded(ctx, tx.SelectContext(ctx, &keys, "SELECT coalesce("+id+"::text, '') FROM "+p.table+" t WHERE "+
			bounds.sql+" AND "+c.sql+" ORDER BY "+id, append(args, c.args...)...))
	})
	return keys, err
}

// explicit returns the IDs that askers may mean by keys and of which anything
// is left, by place.
func (s *Postgres) explicit(ctx context.Context, asked []string) ([]store.ID, error) {
	if len(asked) > store.MaxBatch {
		return nil, fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, len(asked), store.MaxBatch)
	}
	keys := make(map[string][]string)
	for _, p := range s.parts {
		if !p.Explicit || keys[p.Name] != nil {
			continue
		}
		for _, key := range asked {
			if k, ok := p.canonical(key); ok {
				keys[p.Name] = append(keys[p.Name], k)
			}
		}
	}
	left, err := s.present(ctx, keys)
	if err != nil {
		return nil, err
	}
	var ids []store.ID
	for _, p := range s.parts {
		for _, key := range keys[p.Name] {
			if id := (store.ID{Place: p.Name, Key: key}); left[id] {
				ids = append(ids, id)
				delete(left, id)
			}
		}
	}
	return ids, nil
}

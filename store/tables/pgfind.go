package tables

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"

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
		if sel.Orphaned {
			if err := s.findOrphans(ctx, yield); err != nil {
				fail(err)
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
	if err := s.nameless(ctx, p, sel); err != nil {
		return false, err
	}
	evidence := p.evidence(sel)
	last := "" // a key may be several rows'
	return s.rows(ctx, p, p.selecting(sel), evidence, "", func(r pgRow) (bool, error) {
		switch {
		case !p.confirms(sel, evidence, r.rest) || r.key == last:
			return true, nil
		case !p.id.holds(r.key):
			return false, p.unusable()
		}
		last = r.key
		return yield(store.ID{Place: p.Name, Key: r.key}, nil), nil
	})
}

// A pgRow is the key of a row, "" for one with a NULL, and what else was read.
type pgRow struct {
	key  string
	rest []sql.NullString
}

// selecting is match for rows and page, of a part that sel can select rows of.
func (p *pgPart) selecting(sel store.Selector) func(n int) condition {
	return func(n int) condition {
		c, _ := p.match(sel, n)
		return c
	}
}

// rows calls f with each row of a part that match lets through, in the order
// of their keys, until f wants no more, and reports whether it does. It reads
// evidence and, beside it, one more column, if one is given.
func (s *Postgres) rows(ctx context.Context, p *pgPart, match func(n int) condition, evidence pgEvidence, more string, f func(pgRow) (bool, error)) (bool, error) {
	var from, to []string
	for {
		rows, err := s.page(ctx, p, match, evidence, more, from, &to)
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			if want, err := f(r); err != nil || !want {
				return false, err
			}
		}
		if to == nil {
			return true, nil
		}
		from = to
	}
}

func (p *pgPart) unusable() error {
	return fmt.Errorf("%w: a selected row of place %s has no usable id", store.ErrRefused, p.Name)
}

// page reads the rows after from, which is nil at first, and sets to
// to the last key of the page, as texts, or nil for the last page.
func (s *Postgres) page(ctx context.Context, p *pgPart, match func(n int) condition, evidence pgEvidence, more string, from []string, to *[]string) (rows []pgRow, err error) {
	width := evidence.width()
	if more != "" {
		width++
	}
	err = s.tx(ctx, s.db, func(tx *sqlx.Tx) error {
		if err := s.unchanged(ctx, tx); err != nil {
			return err
		}
		rows, *to = nil, nil // a page may be read twice
		bounds := condition{sql: "true"}
		if from != nil {
			p.id.bound(&bounds, ">", from)
		}
		ends, err := p.id.list(ctx, tx, "SELECT "+p.id.texts("t.")+" FROM "+p.table+" t WHERE "+bounds.sql+
			" ORDER BY "+p.id.columns("t.")+fmt.Sprintf(" OFFSET %d LIMIT 1", pageRows-1), bounds.args...)
		if err != nil {
			return err
		}
		if len(ends) == 1 && ends[0] != "" {
			*to, _ = p.id.keying().parse(ends[0])
			p.id.bound(&bounds, "<=", *to)
		}
		c := match(len(bounds.args))
		return p.id.read(ctx, tx, "SELECT "+p.id.texts("t.")+evidence.sql+more+" FROM "+p.table+" t WHERE "+bounds.sql+" AND "+c.sql+
			" ORDER BY "+p.id.columns("t."), append(bounds.args, c.args...), width, func(key string, rest []sql.NullString) {
			rows = append(rows, pgRow{key, slices.Clone(rest)})
		})
	})
	return rows, s.lacking(ctx, err)
}

// bound says that a row's key is on one side of another, whose texts it binds.
func (k pgKey) bound(c *condition, side string, values []string) {
	marks := make([]string, len(k))
	for i, v := range k {
		c.args = append(c.args, values[i])
		marks[i] = fmt.Sprintf("$%d::text::%s", len(c.args), v.cast())
	}
	c.and(k.tuple("t.") + " " + side + " (" + strings.Join(marks, ", ") + ")")
}

// nameless returns an error if sel selects a row whose key has a NULL: it cannot
// be erased, and must not go unnoticed.
func (s *Postgres) nameless(ctx context.Context, p *pgPart, sel store.Selector) error {
	if !p.null {
		return nil
	}
	var nulls []string
	for _, v := range p.id {
		nulls = append(nulls, "t."+quote(v.name)+" IS NULL")
	}
	c, _ := p.match(sel, 0)
	evidence := p.evidence(sel)
	found := false
	err := p.id.read(ctx, s.db, "SELECT "+p.id.texts("t.")+evidence.sql+" FROM "+p.table+" t WHERE ("+strings.Join(nulls, " OR ")+") AND "+c.sql,
		c.args, evidence.width(), func(_ string, rest []sql.NullString) { found = found || p.confirms(sel, evidence, rest) })
	if err == nil && found {
		err = p.unusable()
	}
	return err
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
			if k := p.id.asked(key); p.id.holds(k) {
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

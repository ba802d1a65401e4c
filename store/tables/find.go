package tables

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// pageRows is how many rows one page of Find reads at most: a read lock on a
// file with a rollback journal keeps its application from writing.
const pageRows = 5000

// Find implements store.Store.
func (s *Store) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
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

// explicit returns the IDs that askers may mean by keys and of which anything is
// left, by place.
func (s *Store) explicit(ctx context.Context, asked []string) ([]store.ID, error) {
	if len(asked) > store.MaxBatch {
		return nil, fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, len(asked), store.MaxBatch)
	}
	keys := make(map[string][]string)
	for _, p := range s.parts {
		if p.Explicit {
			keys[p.Name] = asked
		}
	}
	for _, place := range s.m.Elsewhere {
		keys[place] = asked
	}
	left, err := s.present(ctx, keys)
	if err != nil {
		return nil, err
	}
	var ids []store.ID
	for _, place := range s.places() {
		for _, key := range asked {
			if id := (store.ID{Place: place, Key: key}); left[id] {
				ids = append(ids, id)
				delete(left, id)
			}
		}
	}
	return ids, nil
}

// findIn yields what sel selects in one part and reports whether the caller
// wants more.
func (s *Store) findIn(ctx context.Context, p *part, sel store.Selector, yield func(store.ID, error) bool) (bool, error) {
	return s.rows(ctx, p, sel, func(r row) (bool, error) {
		if !p.confirms(sel, r.said) {
			return true, nil
		}
		key, ok := p.id.read(r.Key)
		if !ok {
			return false, fmt.Errorf("%w: a selected row of place %s has no usable id: (%s) must hold what the column types say",
				store.ErrRefused, p.Name, strings.Join(p.ID, ", "))
		}
		return yield(store.ID{Place: p.Name, Key: key}, nil), nil
	})
}

// rows calls f with each row of a part that SQLite lets through for sel, until f
// wants no more, and reports whether it does. See confirms.
func (s *Store) rows(ctx context.Context, p *part, sel store.Selector, f func(row) (bool, error)) (bool, error) {
	c, columns, ok := p.selects(sel)
	if !ok {
		return true, nil
	}
	return scan(ctx, s, p, p.id.text("t.")+" AS key, "+columns, c, f)
}

// A row is what Find reads of one. Key is nil where an ID column is not of its
// type.
type row struct {
	Key *string
	said
}

// scan reads columns of all rows of a part for which a condition holds, page by
// page, and calls f with each until f wants no more. It reports whether it does.
func scan[T any](ctx context.Context, s *Store, p *part, columns string, c condition, f func(T) (bool, error)) (bool, error) {
	pages := s.pages(p)
	for {
		var rows []T
		more, err := pages.next(ctx, func(conn *sqlx.Conn, from, to int64) error {
			rows = rows[:0] // a page may be read twice
			return coded(sqlx.SelectContext(ctx, conn, &rows, statement(p, columns, c), append([]any{from, to}, c.args...)...))
		})
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			if want, err := f(r); err != nil || !want {
				return false, err
			}
		}
		if !more {
			return true, nil
		}
	}
}

// statement reads the rows between two row numbers.
func statement(p *part, columns string, c condition) string {
	return "SELECT " + columns + " FROM " + p.table + " t WHERE t.rowid BETWEEN ? AND ? AND " + c.sql + " ORDER BY t.rowid"
}

// selects is the condition under which sel may select a row, what is to be read of
// it for confirms, and false if it can select none.
func (p *part) selects(sel store.Selector) (c condition, columns string, ok bool) {
	c, columns = condition{sql: "1"}, p.says(!sel.CreatedBefore.IsZero(), !sel.ExpiredBefore.IsZero())
	switch {
	case p.With != "":
		return c, columns, false
	case p.Scope != "":
		return c, columns, p.dates(sel) && !sel.Orphaned
	}
	if c, ok = p.match(sel); ok {
		c.and(p.held())
	}
	return c, columns, ok
}

// A pager goes once through a table in the order of its rows, and holds no
// lock from page to page.
type pager struct {
	s       *Store
	p       *part
	from    int64
	version int64      // of the schema; -1 before the first page
	conn    *sqlx.Conn // or nil for any
}

func (s *Store) pages(p *part) *pager { return &pager{s: s, p: p, from: math.MinInt64, version: -1} }

// next calls read with the row numbers of the next page, inside one
// transaction, and reports whether there may be another page.
func (g *pager) next(ctx context.Context, read func(conn *sqlx.Conn, from, to int64) error) (more bool, err error) {
	conn := g.conn
	if conn == nil {
		if conn, err = g.s.readers.Connx(ctx); err != nil {
			return false, coded(err)
		}
		defer conn.Close()
	}
	err = g.s.read(ctx, conn, func() error {
		if err := g.steady(ctx, conn); err != nil {
			return err
		}
		var to *int64
		err := sqlx.GetContext(ctx, conn, &to, "SELECT max(r) FROM (SELECT rowid AS r FROM "+g.p.table+
			" WHERE rowid >= ? ORDER BY rowid LIMIT ?)", g.from, pageRows)
		if err != nil || to == nil {
			return coded(err)
		}
		if err := read(conn, g.from, *to); err != nil {
			return err
		}
		more = *to < math.MaxInt64
		g.from = *to + 1
		return nil
	})
	return more, err
}

// steady ends a scan whose rows have been renumbered since it began.
func (g *pager) steady(ctx context.Context, conn *sqlx.Conn) error {
	version, err := number(ctx, conn, "PRAGMA "+g.p.schema+".schema_version")
	if err != nil {
		return err
	}
	if g.version == -1 {
		g.version = version
		return g.s.unchanged(ctx, conn)
	}
	if version != g.version {
		return fmt.Errorf("file %s was rewritten meanwhile", g.p.File)
	}
	return nil
}

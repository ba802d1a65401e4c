package tables

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
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
	var from, to []string
	last := "" // a key may be several rows'
	for {
		keys, err := s.page(ctx, p, sel, from, &to)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			if key == last {
				continue
			}
			if !p.id.holds(key) {
				return false, p.unusable()
			}
			if !yield(store.ID{Place: p.Name, Key: key}, nil) {
				return false, nil
			}
			last = key
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

// page reads the selected keys after from, which is nil at first, and sets to
// to the last key of the page, as texts, or nil for the last page.
func (s *Postgres) page(ctx context.Context, p *pgPart, sel store.Selector, from []string, to *[]string) (keys []string, err error) {
	evidence, more := p.evidence()
	err = s.tx(ctx, s.db, func(tx *sqlx.Tx) error {
		if err := s.unchanged(ctx, tx); err != nil {
			return err
		}
		keys, *to = nil, nil // a page may be read twice
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
		c, _ := p.match(sel, len(bounds.args))
		return p.id.read(ctx, tx, "SELECT "+p.id.texts("t.")+more+" FROM "+p.table+" t WHERE "+bounds.sql+" AND "+c.sql+
			" ORDER BY "+p.id.columns("t."), append(bounds.args, c.args...), len(evidence), func(key string, rest []sql.NullString) {
			if p.confirms(sel, evidence, rest) {
				keys = append(keys, key)
			}
		})
	})
	return keys, s.lacking(ctx, err)
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
	evidence, more := p.evidence()
	found := false
	err := p.id.read(ctx, s.db, "SELECT "+p.id.texts("t.")+more+" FROM "+p.table+" t WHERE ("+strings.Join(nulls, " OR ")+") AND "+c.sql,
		c.args, len(evidence), func(_ string, rest []sql.NullString) { found = found || p.confirms(sel, evidence, rest) })
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

package tables

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Matching implements store.Matcher, as [Store.Matching] does.
func (s *Postgres) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	held, err := s.matching(ctx, sel, ids)
	if err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	return inOrder(ids, held), nil
}

func (s *Postgres) matching(ctx context.Context, sel store.Selector, ids []store.ID) (map[store.ID]bool, error) {
	if err := sel.Validate(); err != nil {
		return nil, err
	}
	batch, err := s.group(ids)
	if err != nil {
		return nil, err
	}
	if sel.Orphaned {
		return s.orphaned(ctx, batch.keys)
	}
	m := pgMatching{s: s, sel: sel, asked: make(map[*pgPart]map[string]bool)}
	held, err := m.explicit(ctx, batch.keys)
	if err != nil {
		return nil, err
	}
	err = s.tx(ctx, s.second, func(tx *sqlx.Tx) error {
		m.tx = tx
		now, err := s.moment(ctx, tx, false)
		if err != nil {
			return err
		}
		if _, err := s.seen.refresh(ctx, tx, now); err != nil {
			return err
		}
		for place, keys := range batch.keys {
			found, err := m.in(ctx, place, keys)
			if err != nil {
				return err
			}
			for _, key := range found {
				held[store.ID{Place: place, Key: key}] = true
			}
		}
		return nil
	})
	if err != nil || len(batch.beside) == 0 || sel.ByID() {
		return held, s.lacking(ctx, err)
	}
	more, err := s.beside.Matching(ctx, sel, batch.beside)
	for _, id := range more {
		held[id] = true
	}
	return held, err
}

// A pgMatching is one Matching at work.
type pgMatching struct {
	s     *Postgres
	tx    *sqlx.Tx
	sel   store.Selector
	asked map[*pgPart]map[string]bool // the explicit IDs, as a part writes them
}

// means reports whether the explicit IDs have a key of a part.
func (m pgMatching) means(p *pgPart, key string) bool {
	set := m.asked[p]
	if set == nil {
		set = make(map[string]bool, len(m.sel.IDs))
		for _, id := range m.sel.IDs {
			set[p.id.asked(id)] = true
		}
		m.asked[p] = set
	}
	return set[key]
}

// explicit returns the IDs that the explicit ones mean, and of which anything is
// left, here or beside.
func (m pgMatching) explicit(ctx context.Context, keys map[string][]string) (map[store.ID]bool, error) {
	some := make(map[string][]string)
	for _, p := range m.s.parts {
		if !m.sel.ByID() || !p.Explicit || some[p.Name] != nil {
			continue
		}
		for _, key := range keys[p.Name] {
			if m.means(p, key) {
				some[p.Name] = append(some[p.Name], key)
			}
		}
	}
	if len(some) == 0 {
		return make(map[store.ID]bool), nil
	}
	return m.s.present(ctx, some)
}

// in returns the keys of one place that are held.
func (m pgMatching) in(ctx context.Context, place string, keys []string) ([]string, error) {
	var all []string
	for _, p := range m.s.named(place) {
		found, err := m.rows(ctx, p, p.id, p.kind()+" AND "+p.held(), keys)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	below, err := m.below(ctx, m.s.family(place), keys)
	return append(all, below...), err
}

// rows returns the keys of rows of p, of those that have one of a batch of keys
// in the columns of by, that are selected under any place of their table.
func (m pgMatching) rows(ctx context.Context, p *pgPart, by pgKey, and string, keys []string) ([]string, error) {
	var all []string
	for _, q := range m.s.parts {
		if q.With != "" || q.oid != p.oid {
			continue
		}
		c, ok := m.selects(q, len(by))
		if !ok {
			continue
		}
		evidence := q.evidence(m.sel)
		err := by.read(ctx, m.tx, "SELECT "+by.texts("t.")+", "+q.id.texts("t.")+evidence.sql+" FROM "+p.table+" t WHERE "+by.among("t.", 1)+" AND "+and+" AND "+c.sql,
			append(by.bind(keys), c.args...), len(q.id)+evidence.width(), func(key string, rest []sql.NullString) {
				if m.confirms(q, q.id.of(rest), evidence, rest[len(q.id):]) {
					all = append(all, key)
				}
			})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// of is the key in some columns, "" if one is NULL.
func (k pgKey) of(columns []sql.NullString) string {
	texts := make([]string, len(k))
	for i := range k {
		if !columns[i].Valid {
			return ""
		}
		texts[i] = columns[i].String
	}
	return k.keying().format(texts)
}

func (m pgMatching) selects(q *pgPart, n int) (condition, bool) {
	if m.sel.ByID() {
		return condition{sql: q.kind()}, q.Explicit
	}
	return q.match(m.sel, n)
}

func (m pgMatching) confirms(q *pgPart, key string, e pgEvidence, columns []sql.NullString) bool {
	if m.sel.ByID() {
		return m.means(q, key)
	}
	return q.confirms(m.sel, e, columns)
}

// below returns the keys of a family on whose rows a selected one hangs, however
// far down, or to which one links.
func (m pgMatching) below(ctx context.Context, family string, keys []string) ([]string, error) {
	var all []string
	for _, p := range m.s.kinOf(family) {
		found, err := m.hanging(ctx, p, keys)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	rows, err := m.s.seen.of(ctx, family, keys)
	if err != nil {
		return nil, err
	}
	for _, p := range m.s.linksTo(family) {
		if len(rows[p]) == 0 {
			continue
		}
		found, err := m.linking(ctx, p, keys, rows[p])
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (m pgMatching) hanging(ctx context.Context, p *pgPart, keys []string) ([]string, error) {
	all, err := m.rows(ctx, p, p.by, "true", keys)
	if err != nil || len(m.s.kinOf(p.Name))+len(m.s.linksTo(p.Name)) == 0 {
		return all, err
	}
	above := make(map[string][]string) // by the row's own key
	var own []string
	err = p.by.read(ctx, m.tx, "SELECT "+p.by.texts("t.")+", "+p.id.texts("t.")+" FROM "+p.table+" t WHERE "+p.by.among("t.", 1),
		p.by.bind(keys), len(p.id), func(key string, rest []sql.NullString) {
			if mine := p.id.of(rest); mine != "" {
				above[mine] = append(above[mine], key)
				own = append(own, mine)
			}
		})
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(own, store.MaxBatch) {
		found, err := m.below(ctx, p.Name, chunk)
		if err != nil {
			return nil, err
		}
		for _, key := range found {
			all = append(all, above[key]...)
		}
	}
	return all, nil
}

// linking returns the keys to which selected ones of some rows link.
func (m pgMatching) linking(ctx context.Context, p *pgPart, keys, rows []string) ([]string, error) {
	var all []string
	for chunk := range slices.Chunk(rows, store.MaxBatch) {
		selected, err := m.rows(ctx, p, p.id, p.kind(), chunk)
		if err != nil || len(selected) == 0 {
			if err != nil {
				return nil, err
			}
			continue
		}
		links, err := p.links(ctx, m.tx, keys, selected)
		if err != nil {
			return nil, err
		}
		for _, linked := range links {
			all = append(all, linked...)
		}
	}
	return all, nil
}

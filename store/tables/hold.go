package tables

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Matching implements store.Matcher. A row is held whichever of its ties is meant,
// and under whichever of its places. A row on which a selected one hangs, however
// far down, is held, and one to which a selected one links: it would go, or
// change, with it.
func (s *Store) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	if err := sel.Validate(); err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	b, err := s.group(ids)
	if err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	held := make(map[store.ID]bool)
	err = s.apart(ctx, func() error {
		clear(held) // it may run twice
		if sel.Orphaned {
			held, err = s.orphaned(ctx, b.keys)
			return err
		}
		m := matching{s, sel, setOf(sel.IDs)}
		for place, keys := range b.keys {
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
	if err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	return inOrder(ids, held), nil
}

// inOrder returns those of ids that are held, each once.
func inOrder(ids []store.ID, held map[store.ID]bool) []store.ID {
	var list []store.ID
	for _, id := range ids {
		if held[id] {
			list = append(list, id)
			delete(held, id)
		}
	}
	return list
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// A matching is one Matching at work, in a transaction of the second desk.
type matching struct {
	s     *Store
	sel   store.Selector
	asked map[string]bool // the explicit IDs
}

// in returns the keys of one place that are held.
func (m matching) in(ctx context.Context, place string, keys []string) ([]string, error) {
	all, err := m.explicit(ctx, place, keys)
	if err != nil {
		return nil, err
	}
	for _, p := range m.s.named(place) {
		in := p.idIn() + " AND " + p.kind() + " AND " + p.held()
		found, err := m.rows(ctx, p, p.id, in, keys)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	below, err := m.below(ctx, m.s.family(place), keys)
	return append(all, below...), err
}

// explicit returns the keys that the explicit IDs mean, and of which anything is
// left.
func (m matching) explicit(ctx context.Context, place string, keys []string) ([]string, error) {
	of := slices.ContainsFunc(m.s.named(place), func(p *part) bool { return p.Explicit }) || slices.Contains(m.s.m.Elsewhere, place)
	if !m.sel.ByID() || !of {
		return nil, nil
	}
	some := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !m.asked[key] })
	if len(some) == 0 {
		return nil, nil
	}
	return m.s.look(ctx, place, some)
}

// rows returns the keys of rows of p, of those that in says about a batch of
// keys, that are selected under any place of their table.
func (m matching) rows(ctx context.Context, p *part, by keyed, in string, keys []string) ([]string, error) {
	b, err := by.batch(keys)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, q := range m.s.parts {
		if q.With != "" || q.table != p.table {
			continue
		}
		c, columns, ok := m.selects(q)
		if !ok {
			continue
		}
		var rows []struct {
			row
			Own *string
		}
		err := sqlx.SelectContext(ctx, m.s.second.conn, &rows, "SELECT "+by.text("t.")+" AS key, "+q.id.text("t.")+" AS own, "+columns+
			" FROM "+p.table+" AS t WHERE "+in+" AND "+c.sql, append([]any{b}, c.args...)...)
		if err != nil {
			return nil, coded(err)
		}
		for _, r := range rows {
			own, _ := q.id.read(r.Own)
			if key, known := by.read(r.Key); known && m.confirms(q, own, r.said) {
				all = append(all, key)
			}
		}
	}
	return all, nil
}

// selects is the condition under which a row of q may be selected, and false if
// none can be. confirms has the last word.
func (m matching) selects(q *part) (c condition, columns string, ok bool) {
	if m.sel.ByID() {
		return condition{sql: q.kind()}, q.says(false, false), q.Explicit
	}
	return q.selects(m.sel)
}

func (m matching) confirms(q *part, key string, s said) bool {
	if m.sel.ByID() {
		return m.asked[key]
	}
	return q.confirms(m.sel, s)
}

// below returns the keys of a family on whose rows a selected one hangs, however
// far down, or to which one links.
func (m matching) below(ctx context.Context, family string, keys []string) ([]string, error) {
	var all []string
	for _, k := range m.s.kinOf(family) {
		find := m.hanging
		if k.With == "" {
			find = m.linking
		}
		found, err := find(ctx, k, keys)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (m matching) hanging(ctx context.Context, k kin, keys []string) ([]string, error) {
	all, err := m.rows(ctx, k.part, k.by, k.in(), keys)
	if err != nil || len(m.s.kinOf(k.Name)) == 0 {
		return all, err
	}
	b, err := k.key.batch(keys)
	if err != nil {
		return nil, err
	}
	var rows []struct{ Key, Own *string }
	err = sqlx.SelectContext(ctx, m.s.second.conn, &rows, "SELECT "+k.by.text("t.")+" AS key, "+k.id.text("t.")+" AS own FROM "+k.table+" AS t WHERE "+k.in(), b)
	if err != nil {
		return nil, coded(err)
	}
	above := make(map[string][]string) // by the row's own key
	var own []string
	for _, r := range rows {
		mine, known := k.id.read(r.Own)
		if key, hangs := k.by.read(r.Key); known && hangs {
			above[mine] = append(above[mine], key)
			own = append(own, mine)
		}
	}
	for chunk := range slices.Chunk(own, store.MaxBatch) {
		found, err := m.below(ctx, k.Name, chunk)
		if err != nil {
			return nil, err
		}
		for _, key := range found {
			all = append(all, above[key]...)
		}
	}
	return all, nil
}

func (m matching) linking(ctx context.Context, k kin, keys []string) ([]string, error) {
	c, columns, ok := m.selects(k.part)
	if !ok {
		return nil, nil
	}
	b, err := k.key.batch(keys)
	if err != nil {
		return nil, err
	}
	links, err := k.links(ctx, m.s.second.conn, b)
	if err != nil || len(links) == 0 {
		return nil, err
	}
	numbers := make([]int64, len(links))
	for i, l := range links {
		numbers[i] = l.Row
	}
	batch, err := list(numbers)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Number int64
		row
	}
	err = sqlx.SelectContext(ctx, m.s.second.conn, &rows, "SELECT t.rowid AS number, "+k.id.text("t.")+" AS key, "+columns+" FROM "+k.table+
		" AS t WHERE t.rowid IN (SELECT value FROM json_each(?1)) AND "+c.sql, append([]any{batch}, c.args...)...)
	if err != nil {
		return nil, coded(err)
	}
	selected := make(map[int64]bool, len(rows))
	for _, r := range rows {
		own, _ := k.id.read(r.Key)
		selected[r.Number] = m.confirms(k.part, own, r.said)
	}
	var found []string
	for _, l := range links {
		if selected[l.Row] {
			found = append(found, l.Key)
		}
	}
	return found, nil
}

package tables

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// frees reports whether an erasure changes rows of the part that stay with
// others.
func (p *pgPart) frees() bool {
	return p.tie != "" && (p.Ties.Shared == Unlink || p.Ties.Shared == Redact)
}

// tied compares the columns of a part's ties with the table. Constants for other
// columns are tried by settable.
func (p *pgPart) tied(find func(string) pgColumn) error {
	if p.tie == "" {
		return nil
	}
	p.ties = make(map[string]pgMember)
	for _, column := range p.Ties.Columns {
		var err error
		if p.ties[column], err = p.member(Member{Column: column}, find(column)); err != nil {
			return err
		}
	}
	for _, r := range p.Ties.Redact {
		c := find(r.Column)
		m, tie := p.ties[r.Column]
		if c.Name == "" || tie && r.To != nil && !m.value.holds(*r.To) {
			return p.wrong(r.Column, "that can hold its constant", c)
		}
	}
	if !p.frees() {
		return nil
	}
	for _, set := range p.settings() {
		if c := find(set.Column); set.To == nil && !c.Null {
			c.Type += " NOT NULL"
			c.Base = c.Type
			return p.wrong(set.Column, "to allow NULL, or a constant to redact it with,", c)
		}
	}
	return nil
}

// settable returns an error if the server will never set what the map says: it
// plans the change, of no row.
func (s *Postgres) settable(ctx context.Context, p *pgPart) error {
	if !p.frees() {
		return nil
	}
	_, err := s.db.ExecContext(ctx, "EXPLAIN UPDATE "+p.table+" AS t SET "+p.sets()+" WHERE false")
	if err = pgCoded(ctx, err); pgCodeOf(err) != "" {
		return fmt.Errorf("%w: place %s: columns of table %s cannot be set to what the rule %s says: %w", store.ErrSchema, p.Name, p.Table, p.Ties.Shared, err)
	}
	return err
}

func (p *pgPart) sets() string {
	var set []string
	for _, r := range p.settings() {
		to := "NULL"
		if r.To != nil {
			to = literal(*r.To)
		}
		set = append(set, quote(r.Column)+" = "+to)
	}
	return strings.Join(set, ", ")
}

// held says that the tie of t names someone. Rows without ties are always held.
func (p *pgPart) held() string {
	if p.tie == "" {
		return "true"
	}
	return "NOT " + p.nobody(p.tie)
}

// nobody says that a tie's column of t names nobody, or nobody any more.
func (p *pgPart) nobody(column string) string {
	m := p.ties[column]
	nobody := "(t." + quote(column) + " IS NULL"
	for _, r := range p.Ties.Redact {
		if r.Column == column && r.To != nil {
			nobody += " OR " + m.compared() + " = " + literal(*r.To) + "::" + m.value.cast()
		}
	}
	return nobody + ")"
}

// compared is the column as equals compares it, byte for byte.
func (m pgMember) compared() string {
	if m.value.is == textKey {
		return "t." + quote(m.Column) + ` COLLATE "C"`
	}
	return "t." + quote(m.Column)
}

// whole says that erasing t for its tie leaves it to nobody else. It is never
// NULL. Columns of two types name two people.
func (p *pgPart) whole() string {
	if p.tie == "" || p.Ties.Shared == Delete {
		return p.held()
	}
	c := condition{sql: p.held()}
	own := p.ties[p.tie]
	for _, column := range p.Ties.Columns {
		other := p.ties[column]
		switch {
		case column == p.tie:
		case other.value.is != own.value.is:
			c.and(p.nobody(column))
		default:
			c.and("(" + p.nobody(column) + " OR coalesce(" + other.compared() + " = " + own.compared() + ", false))")
		}
	}
	return "(" + c.sql + ")"
}

// whole returns the keys whose rows go as a whole, with what hangs on them, or
// are gone. The others belong to someone else too, or to someone else alone.
func (s *Postgres) whole(ctx context.Context, q sqlx.QueryerContext, place string, keys []string) ([]string, error) {
	for _, p := range s.named(place) {
		if p.tie == "" || len(keys) == 0 {
			continue
		}
		others, err := p.id.list(ctx, q, "SELECT "+p.id.texts("t.")+" FROM "+p.table+" AS t WHERE "+p.id.among("t.", 1)+" AND NOT "+p.whole(), p.id.bind(keys)...)
		if err != nil {
			return nil, err
		}
		keys = without(keys, others)
	}
	return keys, nil
}

// share does what the map says with rows that belong to others too.
func (e pgErasure) share(ctx context.Context, p *pgPart, keys []string) error {
	if p.tie == "" || p.Ties.Shared == Delete {
		return nil
	}
	shared := p.id.among("t.", 1) + " AND " + p.held() + " AND NOT " + p.whole()
	if p.Ties.Shared == Refuse {
		refused, err := p.id.list(ctx, e.tx, "SELECT "+p.id.texts("t.")+" FROM "+p.table+" AS t WHERE "+shared, p.id.bind(keys)...)
		for _, key := range refused {
			e.refused[store.ID{Place: p.Name, Key: key}] = true
		}
		return err
	}
	freed, err := p.id.list(ctx, e.tx, "UPDATE "+p.table+" AS t SET "+p.sets()+" WHERE "+shared+" RETURNING "+p.id.texts("t."), p.id.bind(keys)...)
	if code := pgCodeOf(err); strings.HasPrefix(code, "23") || strings.HasPrefix(code, "22") {
		return fmt.Errorf("%w: place %s: a constraint of table %s forbids what the rule %s sets", store.ErrRefused, p.Name, p.Table, p.Ties.Shared)
	}
	e.took(p.Name, freed)
	return err
}

// still returns an error wrapping store.ErrBusy if one of the keys whose rows
// should have gone is there: somebody has given the row to someone else since
// it was looked at. What hangs on it stays, since the transaction is undone. Rows
// that an erasure may change are locked before, others cannot be.
func (e pgErasure) still(ctx context.Context, p *pgPart, keys []string) error {
	if p.tie == "" {
		return nil
	}
	left, err := p.id.list(ctx, e.tx, "SELECT "+p.id.texts("t.")+" FROM "+p.table+" AS t WHERE "+p.id.among("t.", 1)+" LIMIT 1", p.id.bind(keys)...)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%w: a row of place %s has changed hands meanwhile", store.ErrBusy, p.Name)
	}
	return err
}

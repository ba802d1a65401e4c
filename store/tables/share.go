package tables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"lethe/store"
)

// held says that the tie of t names someone. Rows without ties are always held.
func (p *part) held() string {
	if p.tie == "" {
		return "1"
	}
	return "NOT " + p.nobody(p.tie)
}

// nobody says that a tie's column of t names nobody, or nobody any more.
func (p *part) nobody(column string) string {
	c := "t." + quote(column)
	nobody := "(" + c + " IS NULL"
	for _, r := range p.Ties.Redact {
		if r.Column == column && r.To != nil {
			nobody += " OR " + c + " = " + literal(*r.To) + " COLLATE BINARY"
		}
	}
	return nobody + ")"
}

// whole says that erasing t for its tie leaves it to nobody else.
func (p *part) whole() string {
	if p.tie == "" || p.Ties.Shared == Delete {
		return p.held()
	}
	c := condition{sql: p.held()}
	own := "t." + quote(p.tie)
	for _, column := range p.Ties.Columns {
		if column != p.tie {
			other := "t." + quote(column)
			c.and("(" + p.nobody(column) + " OR typeof(" + other + ") = typeof(" + own + ") AND " + other + " = " + own + " COLLATE BINARY)")
		}
	}
	return "(" + c.sql + ")"
}

// whole returns the keys whose rows go as a whole, with what hangs on them, or
// are gone. The others belong to someone else too, or to someone else alone.
func (s *Store) whole(ctx context.Context, q sqlx.QueryerContext, place string, keys []string) ([]string, error) {
	for _, p := range s.named(place) {
		if p.tie == "" {
			continue
		}
		b, err := p.id.batch(keys)
		if err != nil {
			return nil, err
		}
		others, err := p.id.keys(ctx, q, "SELECT "+p.id.text("t.")+" FROM "+p.table+" AS t WHERE "+p.idIn()+" AND NOT "+p.whole(), b)
		if err != nil {
			return nil, err
		}
		keys = without(keys, others)
	}
	return keys, nil
}

// without returns keys less others.
func without(keys, others []string) []string {
	theirs := make(map[string]bool, len(others))
	for _, key := range others {
		theirs[key] = true
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return theirs[key] })
}

// share does what the map says with rows that belong to others too.
func (e erasure) share(ctx context.Context, p *part, keys []string) error {
	if p.tie == "" || p.Ties.Shared == Delete {
		return nil
	}
	b, err := p.id.batch(keys)
	if err != nil {
		return err
	}
	shared := p.idIn() + " AND " + p.held() + " AND NOT " + p.whole()
	if p.Ties.Shared == Refuse {
		refused, err := p.id.keys(ctx, e.conn, "SELECT "+p.id.text("t.")+" FROM "+p.table+" AS t WHERE "+shared, b)
		for _, key := range refused {
			e.refused[store.ID{Place: p.Name, Key: key}] = true
		}
		return err
	}
	var set []string
	for _, r := range p.settings() {
		to := "NULL"
		if r.To != nil {
			to = literal(*r.To)
		}
		set = append(set, quote(r.Column)+" = "+to)
	}
	freed, err := p.id.keys(ctx, e.conn, "UPDATE "+p.table+" AS t SET "+strings.Join(set, ", ")+" WHERE "+shared+" RETURNING "+p.id.text(""), b)
	var c codeError
	if errors.As(err, &c) && c.code == sqlite3.ErrConstraint {
		return fmt.Errorf("%w: place %s: a constraint of table %s forbids what the rule %s sets", store.ErrRefused, p.Name, p.Table, p.Ties.Shared)
	}
	e.took(p.Name, freed)
	return err
}

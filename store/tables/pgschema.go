package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// A pgColumn is a column as the server describes it.
type pgColumn struct {
	Name  string `db:"name"`
	Type  string `db:"type"`
	Exact bool   `db:"exact"` // equal is equal byte for byte
}

const pgColumns = `SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, coalesce(c.collisdeterministic, true) AS exact
	FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
	WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// suits compares a place with its table, and returns an error wrapping
// store.ErrSchema that says what is wrong, or which GRANT is missing.
func (s *Postgres) suits(ctx context.Context, p Place) (*pgPart, error) {
	part := &pgPart{Place: p, table: quote(p.Table)}
	err := s.db.GetContext(ctx, &part.oid, `SELECT c.oid FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')`, part.table)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, s.unseen(ctx, p)
	}
	if err != nil {
		return nil, pgCoded(ctx, err)
	}
	var columns []pgColumn
	if err := s.db.SelectContext(ctx, &columns, pgColumns, part.oid); err != nil {
		return nil, pgCoded(ctx, err)
	}
	if err := part.fits(columns); err != nil {
		return nil, err
	}
	return part, s.granted(ctx, part)
}

func (p *pgPart) fits(columns []pgColumn) error {
	find := func(name string) (pgColumn, bool) {
		i := slices.IndexFunc(columns, func(c pgColumn) bool { return c.Name == name })
		if i < 0 {
			return pgColumn{}, false
		}
		return columns[i], true
	}
	wrong := func(column, want string) error {
		return fmt.Errorf("%w: place %s: want column %s %s in table %s", store.ErrSchema, p.Name, column, want, p.Table)
	}
	for _, want := range p.Layout {
		if c, ok := find(want.Name); !ok || want.Type != "" && !strings.EqualFold(c.Type, want.Type) {
			return wrong(want.Name, want.Type)
		}
	}
	id, _ := find(p.ID[0])
	p.uuid = id.Type == "uuid"
	if !p.uuid && (!pgTextual(id.Type) || !id.Exact) {
		return wrong(p.ID[0], "uuid or text of a deterministic collation")
	}
	for _, m := range p.Match {
		if c, _ := find(m.Column); !pgTextual(c.Type) {
			return wrong(m.Column, "text")
		}
	}
	if d := p.Document; d != nil {
		if c, _ := find(d.Column); c.Type != "jsonb" {
			return wrong(d.Column, "jsonb")
		}
	}
	return nil
}

// pgTextual reports whether a type keeps text as it is: character(n) pads, and
// citext folds.
func pgTextual(t string) bool { return t == "text" || t == "character varying" }

// layout describes all tables of the map, with their triggers, in one line.
func (s *Postgres) layout(ctx context.Context, q sqlx.QueryerContext) (string, error) {
	var oids []int64
	for _, p := range s.parts {
		oids = append(oids, int64(p.oid))
	}
	var layout string
	err := sqlx.GetContext(ctx, q, &layout, `SELECT coalesce(string_agg(x, ' ' ORDER BY x), '') FROM (
		SELECT attrelid || '.' || attname || ':' || atttypid || ':' || attcollation AS x FROM pg_attribute
			WHERE attrelid = ANY($1) AND attnum > 0 AND NOT attisdropped
		UNION ALL SELECT tgrelid || '!' || tgname FROM pg_trigger WHERE tgrelid = ANY($1)) l`, oids)
	return layout, pgCoded(ctx, err)
}

// unchanged returns an error wrapping store.ErrSchema if the tables are not
// those that were there when the store was opened.
func (s *Postgres) unchanged(ctx context.Context, q sqlx.QueryerContext) error {
	now, err := s.layout(ctx, q)
	if err == nil && now != s.live {
		err = fmt.Errorf("%w: the tables have changed since the store was opened", store.ErrSchema)
	}
	return err
}

package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// A pgColumn is a column as the server describes it.
type pgColumn struct {
	Name  string `db:"name"`
	Type  string `db:"type"`
	Base  string `db:"base"`  // of a domain; else the type itself
	Exact bool   `db:"exact"` // equal is equal byte for byte
	Null  bool   `db:"null"`  // it can hold NULL
}

const pgColumns = `SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, format_type(b.oid, NULL) AS base,
		coalesce(c.collisdeterministic, true) AS exact, NOT a.attnotnull AS null
	FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation CROSS JOIN LATERAL (
		WITH RECURSIVE d AS (
			SELECT oid, typtype, typbasetype FROM pg_type WHERE oid = a.atttypid
			UNION ALL SELECT t.oid, t.typtype, t.typbasetype FROM d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')
		SELECT oid FROM d WHERE typtype <> 'd') b
	WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// fit compares all places with their tables. The error wraps store.ErrSchema
// and says what is wrong, or which GRANTs are missing, all at once.
func (s *Postgres) fit(ctx context.Context) error {
	for _, p := range s.m.Places {
		for _, tie := range p.spread() {
			part := &pgPart{Place: tie, table: quote(p.Table)}
			there, err := s.locate(ctx, part)
			if err != nil {
				return err
			}
			if there {
				s.parts = append(s.parts, part)
			}
		}
	}
	if err := s.granted(ctx); err != nil {
		return err
	}
	for _, p := range s.parts {
		var columns []pgColumn
		if err := s.db.SelectContext(ctx, &columns, pgColumns, p.oid); err != nil {
			return pgCoded(ctx, err)
		}
		if err := p.fits(columns); err != nil {
			return err
		}
		if err := s.identifies(ctx, p); err != nil {
			return err
		}
		if err := s.settable(ctx, p); err != nil {
			return err
		}
	}
	return s.related()
}

const pgUnique = `SELECT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
	AND i.indexprs IS NULL AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey) WITH ORDINALITY k(n, at) JOIN pg_attribute a
		ON a.attrelid = i.indrelid AND a.attnum = k.n WHERE k.at <= i.indnkeyatts AND a.attname <> ALL ($2::text[])))`

// identifies makes sure that the ID of a part says which row is meant: with a
// row of someone, all others of the same ID would go.
func (s *Postgres) identifies(ctx context.Context, p *pgPart) error {
	if !s.m.identified(p.Place) {
		return nil
	}
	var unique bool
	if err := s.db.GetContext(ctx, &unique, pgUnique, p.oid, p.ID); err != nil {
		return pgCoded(ctx, err)
	}
	if !unique {
		columns := strings.Join(p.ID, ", ")
		return fmt.Errorf("%w: place %s: want a primary key or a unique index of no more than (%s) on table %s, or else other rows share a row's ID", store.ErrSchema, p.Name, columns, p.Table)
	}
	return nil
}

// locate finds a part's table and reports whether it is there.
func (s *Postgres) locate(ctx context.Context, p *pgPart) (bool, error) {
	err := s.db.GetContext(ctx, &p.oid, `SELECT c.oid FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')`, p.table)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return false, pgCoded(ctx, err)
	}
	if err := s.unseen(ctx, p.Place); !p.Optional || !errors.Is(err, errNoTable) {
		return false, err
	}
	return false, nil
}

// fits compares a part with its table's columns.
func (p *pgPart) fits(columns []pgColumn) error {
	find := func(name string) pgColumn {
		i := slices.IndexFunc(columns, func(c pgColumn) bool { return c.Name == name })
		if i < 0 {
			return pgColumn{}
		}
		return columns[i]
	}
	for _, want := range p.Layout {
		if c := find(want.Name); c.Name == "" || want.Type != "" && !strings.EqualFold(c.Type, want.Type) {
			return p.wrong(want.Name, want.Type, c)
		}
	}
	var err error
	if p.id, err = p.key(p.ID, find); err != nil {
		return err
	}
	if p.by, err = p.key(p.By, find); err != nil {
		return err
	}
	p.null = slices.ContainsFunc(p.ID, func(name string) bool { return find(name).Null })
	p.members = make(map[string]pgMember)
	for key, m := range p.Match {
		if p.members[key], err = p.member(m, find(m.Column)); err != nil {
			return err
		}
	}
	if p.Metadata != nil {
		m, c := *p.Metadata, find(p.Metadata.Column)
		if c.Base != "json" && c.Base != "jsonb" {
			return p.wrong(m.Column, "json or jsonb", c)
		}
		p.metadata = pgMember{Member: m, json: c.Base}
	}
	if d := p.Document; d != nil {
		if c := find(d.Column); c.Type != "jsonb" {
			return p.wrong(d.Column, "jsonb", c)
		}
	}
	if c := find(p.Scope); p.Scope != "" && c.Base != "text" && c.Base != "character varying" {
		return p.wrong(p.Scope, "text", c)
	}
	if err := p.tied(find); err != nil {
		return err
	}
	return p.dated(find)
}

// wrong says which column is not what the map needs it to be.
func (p *pgPart) wrong(column, want string, found pgColumn) error {
	what := found.Type
	switch {
	case found.Name == "":
		what = "none"
	case found.Base != found.Type:
		what += " of " + found.Base
	case !found.Exact:
		what += " of a collation that is not deterministic"
	}
	if want != "" {
		want = " " + want
	}
	return fmt.Errorf("%w: place %s: want column %s%s in table %s, found %s", store.ErrSchema, p.Name, column, want, p.Table, what)
}

// key is the named columns as a key. Types whose equal values have several
// texts would let one key mean several rows, or none.
func (p *pgPart) key(names []string, find func(string) pgColumn) (pgKey, error) {
	key := make(pgKey, len(names))
	for i, name := range names {
		var ok bool
		if key[i], ok = pgValueOf(find(name)); !ok || !key[i].exact {
			return nil, p.wrong(name, "uuid, text of a deterministic collation, or an integer (or a domain over one; another column that is unique may do)", find(name))
		}
	}
	return key, nil
}

func (p *pgPart) member(m Member, c pgColumn) (pgMember, error) {
	if len(m.Path) > 0 {
		if c.Base != "json" && c.Base != "jsonb" {
			return pgMember{}, p.wrong(m.Column, "json or jsonb", c)
		}
		return pgMember{Member: m, json: c.Base}, nil
	}
	value, ok := pgValueOf(c)
	if !ok {
		return pgMember{}, p.wrong(m.Column, "text, uuid or an integer", c)
	}
	return pgMember{Member: m, value: value}, nil
}

// dated finds the columns that say when a row was made and when it ends.
func (p *pgPart) dated(find func(string) pgColumn) error {
	for m, into := range map[*Member]*pgMember{p.Created: &p.created, p.Expires: &p.expires} {
		if m == nil {
			continue
		}
		c := find(m.Column)
		want := []string{"timestamp with time zone", "timestamp without time zone", "date", "text", "character varying"}
		if len(m.Path) > 0 {
			want = []string{"json", "jsonb"}
		}
		if !slices.Contains(want, c.Base) {
			return p.wrong(m.Column, strings.Join(want, " or "), c)
		}
		*into = pgMember{Member: *m}
		if len(m.Path) > 0 {
			into.json = c.Base
		}
	}
	return nil
}

// related makes sure that what hangs on rows names them by columns of the same
// types: else a comparison could fail, or find more than one.
func (s *Postgres) related() error {
	for _, p := range s.parts {
		for _, q := range s.parts {
			if q.Name == p.Name && !q.id.same(p.id) {
				return fmt.Errorf("%w: place %s: its parts have IDs of different types", store.ErrSchema, p.Name)
			}
			if q.of() == p.With && !q.id.same(p.by) {
				return fmt.Errorf("%w: place %s: want columns (%s) of table %s to be of the types of (%s) of table %s",
					store.ErrSchema, p.Name, strings.Join(p.By, ", "), p.Table, strings.Join(q.ID, ", "), q.Table)
			}
		}
	}
	return nil
}

// layout describes all tables of the map in one line: which ones their names
// mean, since another can take the place of one, or of none, their columns, what
// is unique in them, the triggers and policies on them and on their parts, and
// the keys that refer to them from elsewhere.
//
// It has the numbers of the tables in its text: the server then plans it once.
func (s *Postgres) layout(ctx context.Context, q sqlx.QueryerContext) (string, error) {
	var layout string
	err := sqlx.GetContext(ctx, q, &layout, s.layoutNow())
	return layout, pgCoded(ctx, err)
}

func (s *Postgres) layoutNow() string {
	oids, names := make([]string, 0, len(s.parts)), make([]string, 0, len(s.m.Places))
	for _, p := range s.parts {
		oids = append(oids, strconv.FormatUint(uint64(p.oid), 10))
	}
	for _, p := range s.m.Places {
		names = append(names, quote(p.Table))
	}
	// The names last: what is put in is not looked at again.
	return strings.ReplaceAll(strings.ReplaceAll(pgLayout, "$1", "'{"+strings.Join(oids, ",")+"}'"), "$2", literals(names))
}

const pgLayout = `WITH RECURSIVE tree AS (
		SELECT t AS root, t AS rel FROM unnest($1::oid[]) t
		UNION SELECT tree.root, i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.rel)
	SELECT coalesce(string_agg(x, ' ' ORDER BY x), '') FROM (
		SELECT concat(a.attrelid, '.', a.attname, ':', a.atttypid, ':', a.attcollation, ':', a.attnotnull) AS x FROM pg_attribute a
			WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
		UNION SELECT concat(n, '=', to_regclass(n)::oid) FROM unnest(ARRAY[$2]::text[]) n
		UNION SELECT concat(i.indrelid, '1', i.indkey) FROM pg_index i
			WHERE i.indrelid = ANY($1::oid[]) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
		UNION SELECT concat(tree.root, '!', g.tgname) FROM tree JOIN pg_trigger g ON g.tgrelid = tree.rel WHERE NOT g.tgisinternal
		UNION SELECT concat(c.confrelid, '<', c.conrelid, ':', c.confdeltype) FROM pg_constraint c
			WHERE c.confrelid = ANY($1::oid[]) AND c.contype = 'f' AND c.conparentid = 0
		UNION SELECT concat(c.oid, '#', c.relrowsecurity, c.relforcerowsecurity) FROM pg_class c WHERE c.oid = ANY($1::oid[])) l`

// unchanged returns an error wrapping store.ErrSchema if the tables are not
// those that were there when the store was opened.
func (s *Postgres) unchanged(ctx context.Context, q sqlx.QueryerContext) error {
	now, err := s.layout(ctx, q)
	if err == nil && now != s.live {
		err = errChanged
	}
	return err
}

var errChanged = fmt.Errorf("%w: the tables have changed since the store was opened", store.ErrSchema)

// A pgMoment is what a transaction sees when it begins.
type pgMoment struct {
	at  pgSnapshot
	own uint64 // the transaction's number, 0 for one that only reads
}

// moment is unchanged, and says what the transaction sees.
func (s *Postgres) moment(ctx context.Context, tx *sqlx.Tx, writes bool) (now pgMoment, err error) {
	var row struct {
		Layout, At string
		Own        uint64
	}
	own := "0"
	if writes {
		own = "pg_current_xact_id()::text"
	}
	err = tx.GetContext(ctx, &row, "SELECT ("+s.layoutNow()+") AS layout, pg_current_snapshot()::text AS at, "+own+" AS own")
	switch {
	case err != nil:
		return now, pgCoded(ctx, err)
	case row.Layout != s.live:
		return now, errChanged
	}
	now.own = row.Own
	now.at, err = parsePgSnapshot(row.At)
	return now, err
}

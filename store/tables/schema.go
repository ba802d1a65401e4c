package tables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// A live schema is what one file of the map really has.
type liveFile struct {
	tables  []liveTable
	version int64 // SQLite's schema version
}

type liveTable struct {
	Type    string `db:"type"` // table, view, trigger
	Name    string `db:"name"`
	SQL     string `db:"sql"`
	columns []liveColumn
	unique  [][]string // columns that together tell rows apart; the primary key first
	indexes [][]liveKey
}

type liveColumn struct {
	Name     string `db:"name"`
	Type     string `db:"type"`
	Required bool   `db:"required"` // NOT NULL
	Primary  bool   `db:"pk"`       // part of the primary key
}

// A liveKey is a column of an index.
type liveKey struct {
	Name      string `db:"name"`
	Collation string `db:"coll"`
}

func (l liveFile) table(name string) (liveTable, bool) {
	i := slices.IndexFunc(l.tables, func(t liveTable) bool { return t.Type == "table" && t.Name == name })
	if i < 0 {
		return liveTable{}, false
	}
	return l.tables[i], true
}

func (t liveTable) column(name string) (liveColumn, bool) {
	i := slices.IndexFunc(t.columns, func(c liveColumn) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return liveColumn{}, false
	}
	return t.columns[i], true
}

// String is how errors show a table: its columns and their types.
func (t liveTable) String() string {
	var cols []string
	for _, c := range t.columns {
		cols = append(cols, strings.TrimSpace(c.Name+" "+c.Type))
	}
	return t.Name + "(" + strings.Join(cols, ", ") + ")"
}

// inspect reads the schema of one file.
func inspect(ctx context.Context, q sqlx.QueryerContext, schema string) (liveFile, error) {
	var l liveFile
	if err := sqlx.GetContext(ctx, q, &l.version, "PRAGMA "+schema+".schema_version"); err != nil {
		return l, coded(err)
	}
	err := sqlx.SelectContext(ctx, q, &l.tables, `SELECT type, name, coalesce(sql, '') AS sql FROM `+schema+
		`.sqlite_master WHERE type IN ('table', 'view', 'trigger') ORDER BY rowid`)
	if err != nil {
		return l, coded(err)
	}
	for i, t := range l.tables {
		if t.Type != "table" {
			continue
		}
		if err := l.tables[i].inspect(ctx, q, strings.Trim(schema, `"`)); err != nil {
			return l, coded(err)
		}
	}
	return l, nil
}

func (t *liveTable) inspect(ctx context.Context, q sqlx.QueryerContext, schema string) error {
	err := sqlx.SelectContext(ctx, q, &t.columns, `SELECT name, type, "notnull" AS required, pk > 0 AS pk
		FROM pragma_table_xinfo(?, ?)`, t.Name, schema)
	if err != nil {
		return err
	}
	var primary []string
	for _, c := range t.columns {
		if c.Primary {
			primary = append(primary, c.Name)
		}
	}
	if len(primary) > 0 {
		t.unique = append(t.unique, primary)
	}
	var indexes []struct {
		Name   string
		Unique bool
	}
	if err := sqlx.SelectContext(ctx, q, &indexes, `SELECT name, "unique" FROM pragma_index_list(?, ?) WHERE NOT partial`, t.Name, schema); err != nil {
		return err
	}
	for _, index := range indexes {
		var columns []liveKey // an expression has no name
		if err := sqlx.SelectContext(ctx, q, &columns, `SELECT coalesce(name, '') AS name, coll FROM pragma_index_xinfo(?, ?) WHERE key ORDER BY seqno`, index.Name, schema); err != nil {
			return err
		}
		t.indexes = append(t.indexes, columns)
		if index.Unique {
			var names []string
			for _, c := range columns {
				names = append(names, c.Name)
			}
			t.unique = append(t.unique, names)
		}
	}
	return nil
}

// finds reports whether an index, or the row number, leads to the rows that
// have exact values in columns.
func (t liveTable) finds(columns []string) bool {
	if len(columns) == 1 {
		c, _ := t.column(columns[0])
		if c.Primary && strings.EqualFold(c.Type, "INTEGER") && len(t.unique[0]) == 1 {
			return true
		}
	}
	return slices.ContainsFunc(t.indexes, func(index []liveKey) bool {
		return len(index) >= len(columns) && !slices.ContainsFunc(index[:len(columns)], func(k liveKey) bool {
			return k.Collation != "BINARY" || !slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, k.Name) })
		})
	})
}

// identifies reports whether no two rows can have the same values in columns.
func (t liveTable) identifies(columns []string) bool {
	has := func(c string) bool {
		return slices.ContainsFunc(columns, func(d string) bool { return strings.EqualFold(c, d) })
	}
	return slices.ContainsFunc(t.unique, func(u []string) bool {
		return !slices.ContainsFunc(u, func(c string) bool { return !has(c) })
	})
}

// suits returns an error wrapping store.ErrSchema unless a file has what place
// p expects.
func (m Map) suits(p Place, l liveFile) error {
	t, ok := l.table(p.Table)
	if !ok {
		var names []string
		for _, t := range l.tables {
			if t.Type == "table" {
				names = append(names, t.Name)
			}
		}
		return fmt.Errorf("%w: place %s: want table %s in file %s, found tables [%s]",
			store.ErrSchema, p.Name, p.Table, p.File, strings.Join(names, " "))
	}
	if p := m.problem(p, t); p != "" {
		return fmt.Errorf("%w: %s, found %s", store.ErrSchema, p, t)
	}
	return nil
}

// problem says in what table t is not what place p expects.
func (m Map) problem(p Place, t liveTable) string {
	wrong := func(format string, args ...any) string {
		return fmt.Sprintf("place %s: ", p.Name) + fmt.Sprintf(format, args...) + " in table " + p.Table
	}
	for _, want := range p.Layout {
		if c, ok := t.column(want.Name); !ok || !strings.EqualFold(c.Type, want.Type) {
			return wrong("want column %s %s", want.Name, want.Type)
		}
	}
	for _, name := range p.names()[1:] {
		if _, ok := t.column(name); !ok {
			return wrong("want column %s", name)
		}
	}
	for _, name := range m.keyColumns(p) {
		if c, _ := t.column(name); !isKey(c) {
			return wrong("want column %s to be TEXT or INTEGER, since %s changes or hides what is put into it,", name, c.Type)
		}
	}
	for _, member := range p.Match {
		if c, _ := t.column(member.Column); len(member.Path) == 0 && !isKey(c) {
			return wrong("want column %s to be TEXT or INTEGER, since %s changes or hides what is put into it,", c.Name, c.Type)
		}
	}
	if text := p.unsetting(t); text != "" {
		return wrong("%s", text)
	}
	if m.identified(p) && !t.identifies(p.ID) {
		return wrong("want a primary key or a unique index of no more than (%s), or else other rows share a row's ID,", strings.Join(p.ID, ", "))
	}
	if _, ok := t.column("rowid"); ok {
		return fmt.Sprintf("place %s: want table %s without a column named rowid", p.Name, p.Table)
	}
	upper := strings.ToUpper(t.SQL)
	if strings.Contains(upper, "WITHOUT ROWID") || strings.HasPrefix(upper, "CREATE VIRTUAL") {
		return fmt.Sprintf("place %s: want an ordinary table %s with row numbers, neither virtual nor WITHOUT ROWID", p.Name, p.Table)
	}
	return ""
}

func isKey(c liveColumn) bool {
	_, ok := keyTypeOf(c)
	return ok
}

// identified reports whether a place's ID says which rows to erase, of its own
// or of others that hang on it.
func (m Map) identified(p Place) bool {
	return p.With == "" || slices.ContainsFunc(m.Places, func(k Place) bool { return k.With == p.of() })
}

// keyColumns are the columns of p that keys are read from.
func (m Map) keyColumns(p Place) []string {
	columns := slices.Clone(p.By)
	if m.identified(p) {
		columns = append(columns, p.ID...)
	}
	if p.Ties != nil {
		columns = append(columns, p.Ties.Columns...)
	}
	return columns
}

// unsetting says which column must be NULL one day and cannot.
func (p Place) unsetting(t liveTable) string {
	if p.Ties == nil || p.Ties.Shared != Unlink && p.Ties.Shared != Redact {
		return ""
	}
	for _, set := range p.settings() {
		if c, _ := t.column(set.Column); set.To == nil && (c.Required || c.Primary) {
			return fmt.Sprintf("want column %s to allow NULL, or a constant to redact it with,", set.Column)
		}
	}
	return ""
}

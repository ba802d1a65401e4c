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
}

type liveColumn struct {
	Name string `db:"name"`
	Type string `db:"type"`
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
		err := sqlx.SelectContext(ctx, q, &l.tables[i].columns,
			"SELECT name, type FROM pragma_table_xinfo(?, ?)", t.Name, strings.Trim(schema, `"`))
		if err != nil {
			return l, coded(err)
		}
	}
	return l, nil
}

// suits returns an error wrapping store.ErrSchema unless table t is what place
// p expects.
func suits(p Place, l liveFile) error {
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
	if p := problem(p, t); p != "" {
		return fmt.Errorf("%w: %s, found %s", store.ErrSchema, p, t)
	}
	return nil
}

// problem says in what table t is not what place p expects.
func problem(p Place, t liveTable) string {
	for _, want := range p.Layout {
		if c, ok := t.column(want.Name); !ok || !strings.EqualFold(c.Type, want.Type) {
			return fmt.Sprintf("place %s: want column %s %s in table %s", p.Name, want.Name, want.Type, p.Table)
		}
	}
	for _, name := range p.names()[1:] {
		if _, ok := t.column(name); !ok {
			return fmt.Sprintf("place %s: want column %s in table %s", p.Name, name, p.Table)
		}
	}
	// A numeric column would take '07' for 7.
	if c, _ := t.column(p.ID[0]); p.With == "" && !textual(c.Type) {
		return fmt.Sprintf("place %s: want column %s in table %s to be TEXT", p.Name, p.ID[0], p.Table)
	}
	if _, ok := t.column("rowid"); ok {
		return fmt.Sprintf("place %s: want table %s without a column named rowid", p.Name, p.Table)
	}
	upper := strings.ToUpper(t.SQL)
	if strings.Contains(upper, "WITHOUT ROWID") || strings.HasPrefix(upper, "CREATE VIRTUAL") {
		return fmt.Sprintf("place %s: want an ordinary table %s with row numbers", p.Name, p.Table)
	}
	return ""
}

// textual reports whether SQLite leaves text as it is in a column of this
// declared type: https://www.sqlite.org/datatype3.html, section 3.1.
func textual(declared string) bool {
	d := strings.ToUpper(declared)
	return !strings.Contains(d, "INT") &&
		(d == "" || strings.Contains(d, "CHAR") || strings.Contains(d, "CLOB") || strings.Contains(d, "TEXT") || strings.Contains(d, "BLOB"))
}

package tables

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"
)

// A keyed is the columns of a SQLite table that hold the key of a row, or of
// the row that it hangs on.
type keyed struct {
	columns []string
	types   keying // textKey or integerKey
}

// text is the key as SQLite writes it, NULL for a row without one. read turns
// it into ours. The prefix is "t." or empty.
func (k keyed) text(prefix string) string {
	if len(k.columns) == 1 {
		c := prefix + quote(k.columns[0])
		if k.types[0] == integerKey {
			return "CASE typeof(" + c + ") WHEN 'integer' THEN CAST(" + c + " AS TEXT) END"
		}
		return "CASE typeof(" + c + ") WHEN 'text' THEN " + c + " END"
	}
	var types, values []string
	for i, column := range k.columns {
		c := prefix + quote(column)
		if k.types[i] == integerKey {
			types = append(types, "typeof("+c+") = 'integer'")
			values = append(values, "CAST("+c+" AS TEXT)")
			continue
		}
		types = append(types, "typeof("+c+") = 'text'")
		values = append(values, c)
	}
	return "CASE WHEN " + strings.Join(types, " AND ") + " THEN json_array(" + strings.Join(values, ", ") + ") END"
}

// read returns the key that SQLite has written, and false for none.
func (k keyed) read(text *string) (string, bool) {
	if text == nil || *text == "" || !utf8.ValidString(*text) {
		return "", false
	}
	if len(k.columns) == 1 {
		return *text, true
	}
	var values []string
	if err := json.Unmarshal([]byte(*text), &values); err != nil {
		return "", false
	}
	return k.types.format(values), true
}

// keys runs a query whose only column is a key, and passes over rows that have
// none.
func (k keyed) keys(ctx context.Context, q sqlx.QueryerContext, sql string, args ...any) ([]string, error) {
	var found []*string
	if err := sqlx.SelectContext(ctx, q, &found, sql, args...); err != nil {
		return nil, coded(err)
	}
	keys := make([]string, 0, len(found))
	for _, text := range found {
		if key, ok := k.read(text); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// batch is how keys are bound: one JSON array for json_each, of values or, for
// several columns, of arrays of values. Keys that no row can have are left out.
func (k keyed) batch(keys []string) (string, error) {
	if len(k.types) == 1 && k.types[0] == textKey {
		return list(slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !utf8.ValidString(key) }))
	}
	rows := make([]any, 0, len(keys))
	for _, key := range keys {
		values, ok := k.types.parse(key)
		if !ok {
			continue
		}
		row := make([]any, len(values))
		for i, v := range values {
			row[i] = v
			if k.types[i] == integerKey {
				row[i] = json.Number(v)
			}
		}
		if len(row) == 1 {
			rows = append(rows, row[0])
		} else {
			rows = append(rows, row)
		}
	}
	return list(rows)
}

// in says that a row of t has one of the keys of the batch that is bound as
// ?1. It is exact whatever the columns' collations are: the types keep SQLite
// from converting either side.
func (k keyed) in() string {
	columns := make([]string, len(k.columns))
	for i, c := range k.columns {
		columns[i] = "t." + quote(c)
		if k.types[i] == textKey {
			columns[i] += " COLLATE BINARY"
		}
	}
	return among(columns)
}

// find says the same as in, by an index of the columns of any collation that t's
// table must have. SQLite uses none for several columns at once, nor one of
// another collation than it is asked to compare by.
func (k keyed) find(table string) string {
	var c condition
	for i, column := range k.columns {
		own, value := "x."+quote(column), "b.value"
		if len(k.columns) > 1 {
			value += " ->> " + strconv.Itoa(i)
		}
		c.and(own + " = " + value)
		if k.types[i] == textKey {
			c.and(own + " = " + value + " COLLATE BINARY")
		}
	}
	return "t.rowid IN (SELECT x.rowid FROM json_each(?1) b CROSS JOIN " + table + " x WHERE " + c.sql + ")"
}

// among says that the values are one of the rows of the batch bound as ?1.
func among(values []string) string {
	if len(values) == 1 {
		return values[0] + " IN (SELECT value FROM json_each(?1))"
	}
	parts := make([]string, len(values))
	for i := range values {
		parts[i] = "value ->> " + strconv.Itoa(i)
	}
	return "(" + strings.Join(values, ", ") + ") IN (SELECT " + strings.Join(parts, ", ") + " FROM json_each(?1))"
}

// equals says that the key of r, a row of the other columns, is the key of t.
// The first comparison lets the index of r's columns serve, whatever its
// collation.
func (k keyed) equals(r string, other keyed) string {
	var c condition
	for i := range k.columns {
		theirs, ours := r+"."+quote(other.columns[i]), "t."+quote(k.columns[i])
		c.and(theirs + " = " + ours)
		if k.types[i] == textKey {
			c.and(theirs + " = " + ours + " COLLATE BINARY")
		}
	}
	return c.sql
}

// same reports whether keys of both can be equal.
func (k keyed) same(other keyed) bool { return slices.Equal(k.types, other.types) }

package tables

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// A pgValue is a column whose values are compared with those of keys or
// selectors.
type pgValue struct {
	name  string
	is    keyType
	bits  int  // of an integer
	exact bool // equal is equal byte for byte
}

// pgValueOf returns how a column's values compare, and false for types whose
// equal values have several texts, or whose texts the server changes.
func pgValueOf(c pgColumn) (pgValue, bool) {
	v := pgValue{name: c.Name, exact: c.Exact}
	switch c.Base {
	case "text", "character varying":
		v.is = textKey
	case "smallint":
		v.is, v.bits = integerKey, 16
	case "integer":
		v.is, v.bits = integerKey, 32
	case "bigint":
		v.is, v.bits = integerKey, 64
	case "uuid":
		v.is = uuidKey
	default:
		return v, false
	}
	return v, true
}

// cast is the type as which values are bound. Of integers it is the widest: the
// index of a narrow column serves it too.
func (v pgValue) cast() string {
	switch v.is {
	case integerKey:
		return "int8"
	case uuidKey:
		return "uuid"
	default:
		return "text"
	}
}

// holds reports whether the column can hold what a text denotes, and the text
// is how the server writes it.
func (v pgValue) holds(text string) bool {
	switch v.is {
	case integerKey:
		_, err := strconv.ParseInt(text, 10, v.bits)
		return err == nil && v.is.canonical(text)
	case uuidKey: // a million of them are asked for: nothing is allocated
		_, err := uuid.Parse(text)
		return err == nil && len(text) == 36 && strings.ToLower(text) == text
	default:
		return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
	}
}

// array is one column of a batch of keys, ready to be bound.
func (v pgValue) array(texts []string) any {
	switch v.is {
	case integerKey:
		numbers := make([]int64, len(texts))
		for i, t := range texts {
			numbers[i], _ = strconv.ParseInt(t, 10, 64) // canonical: see holds
		}
		return numbers
	case uuidKey:
		ids := make([][16]byte, len(texts))
		for i, t := range texts {
			ids[i] = uuid.MustParse(t) // canonical
		}
		return ids
	default:
		return texts
	}
}

// A pgKey is the columns that make a key, in its order.
type pgKey []pgValue

func (k pgKey) keying() keying {
	types := make(keying, len(k))
	for i, v := range k {
		types[i] = v.is
	}
	return types
}

// holds reports whether a row can have a key.
func (k pgKey) holds(key string) bool {
	if len(k) == 1 {
		return key != "" && k[0].holds(key)
	}
	values, ok := k.keying().parse(key)
	for i := 0; ok && i < len(k); i++ {
		ok = k[i].holds(values[i])
	}
	return ok
}

// asked is the key that an asker means: capitals do not matter in a UUID.
func (k pgKey) asked(key string) string {
	if len(k) == 1 && k[0].is == uuidKey {
		return strings.ToLower(key)
	}
	return key
}

// columns are the columns of a row that is named alias.
func (k pgKey) columns(alias string) string {
	names := make([]string, len(k))
	for i, v := range k {
		names[i] = alias + quote(v.name)
	}
	return strings.Join(names, ", ")
}

// texts are the columns as the texts of a key, NULL for NULL.
func (k pgKey) texts(alias string) string {
	names := make([]string, len(k))
	for i, v := range k {
		names[i] = alias + quote(v.name) + "::text"
	}
	return strings.Join(names, ", ")
}

// tuple is the columns as one value.
func (k pgKey) tuple(alias string) string {
	if len(k) == 1 {
		return k.columns(alias)
	}
	return "(" + k.columns(alias) + ")"
}

// among says that a row has one of a bound batch of keys, whose columns are the
// parameters from the n-th on.
func (k pgKey) among(alias string, n int) string {
	if len(k) == 1 {
		return fmt.Sprintf("%s = ANY($%d::%s[])", k.columns(alias), n, k[0].cast())
	}
	arrays := make([]string, len(k))
	for i, v := range k {
		arrays[i] = fmt.Sprintf("$%d::%s[]", n+i, v.cast())
	}
	return k.tuple(alias) + " IN (SELECT * FROM unnest(" + strings.Join(arrays, ", ") + "))"
}

// with is a table of a bound batch of keys, in the first parameters, beside two
// texts for each in the next two, as one array column.
func (k pgKey) with(texts string) string {
	var arrays, names, columns []string
	for i, v := range k {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, v.cast()))
		names = append(names, fmt.Sprintf("k%d", i))
		columns = append(columns, fmt.Sprintf("k%d AS %s", i, quote(v.name)))
	}
	n := len(k)
	return fmt.Sprintf("(SELECT %s, ARRAY[a, b] AS %s FROM unnest(%s, $%d::text[], $%d::text[]) AS u(%s, a, b))",
		strings.Join(columns, ", "), quote(texts), strings.Join(arrays, ", "), n+1, n+2, strings.Join(names, ", "))
}

// bind returns the parameters for among. Keys that no row can have are left
// out.
func (k pgKey) bind(keys []string) []any {
	columns, types := make([][]string, len(k)), k.keying()
	for i := range columns {
		columns[i] = make([]string, 0, len(keys))
	}
	for _, key := range keys {
		switch {
		case !k.holds(key):
		case len(k) == 1:
			columns[0] = append(columns[0], key)
		default:
			values, _ := types.parse(key)
			for i, text := range values {
				columns[i] = append(columns[i], text)
			}
		}
	}
	args := make([]any, len(k))
	for i, v := range k {
		args[i] = v.array(columns[i])
	}
	return args
}

// same reports whether two keys are made of the same types.
func (k pgKey) same(other pgKey) bool {
	if len(k) != len(other) {
		return false
	}
	for i := range k {
		if k[i].is != other[i].is {
			return false
		}
	}
	return true
}

// read returns the keys that a query yields in its first columns, "" for one
// with a NULL, and hands the columns that follow to each.
func (k pgKey) read(ctx context.Context, q sqlx.QueryerContext, query string, args []any, more int, each func(key string, rest []sql.NullString)) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return pgCoded(ctx, err)
	}
	defer rows.Close()
	values := make([]sql.NullString, len(k)+more)
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	texts, types := make([]string, len(k)), k.keying()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return pgCoded(ctx, err)
		}
		whole := true
		for i := range texts {
			texts[i], whole = values[i].String, whole && values[i].Valid
		}
		if !whole {
			each("", values[len(k):])
			continue
		}
		each(types.format(texts), values[len(k):])
	}
	return pgCoded(ctx, rows.Err())
}

// list is read for a query of keys alone.
func (k pgKey) list(ctx context.Context, q sqlx.QueryerContext, query string, args ...any) (keys []string, err error) {
	err = k.read(ctx, q, query, args, 0, func(key string, _ []sql.NullString) { keys = append(keys, key) })
	return keys, err
}

package tables

import (
	"context"
	"iter"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// WriterPragma reads a setting of the i-th file as the writer has it.
func (s *Store) WriterPragma(ctx context.Context, i int, name string) (int64, error) {
	return number(ctx, s.writer.conn, "PRAGMA "+schemaName(i, s.files[i])+"."+name)
}

// ParseKey parses a key of columns whose types are the letters of types: t for
// text, i for integer, u for uuid.
func ParseKey(types, key string) ([]string, bool) {
	var k keying
	for _, t := range types {
		k = append(k, map[rune]keyType{'t': textKey, 'i': integerKey, 'u': uuidKey}[t])
	}
	return k.parse(key)
}

// FormatKey writes the key of a row of text columns.
func FormatKey(values []string) string { return make(keying, len(values)).format(values) }

// A Statement is the text of one and what it binds beside the numbers of rows.
type Statement struct {
	SQL  string
	Args []any
}

// Statements are those by which Find finds what sel selects.
func (s *Store) Statements(sel store.Selector) []Statement {
	var all []Statement
	for _, p := range s.parts {
		if c, columns, ok := p.selects(sel); ok {
			all = append(all, Statement{statement(p, p.id.text("t.")+" AS key, "+columns, c), c.args})
		}
	}
	return all
}

// Plans returns how SQLite finds, for each place whose rows hang on others, the
// rows below a batch and the rows above one.
func (s *Store) Plans(ctx context.Context) (map[string]string, error) {
	plans := make(map[string]string)
	explain := func(name, sql string) error {
		var steps []struct {
			ID, Parent, Notused int
			Detail              string
		}
		err := sqlx.SelectContext(ctx, s.second.conn, &steps, "EXPLAIN QUERY PLAN "+sql, "[]")
		for _, step := range steps {
			plans[name] += step.Detail + "\n"
		}
		return err
	}
	for _, k := range s.kin {
		if err := explain(k.Name, "SELECT 1 FROM "+k.table+" AS t WHERE "+k.in()); err != nil {
			return nil, err
		}
		for _, p := range s.parts {
			if p.of() == k.parent {
				err := explain(k.Name+" above", "SELECT ?1 FROM "+k.table+" AS t WHERE NOT EXISTS (SELECT 1 FROM "+p.table+" r WHERE "+k.by.equals("r", p.id)+")")
				if err != nil {
					return nil, err
				}
			}
		}
	}
	for _, p := range s.parts {
		if err := explain(p.Name+" itself", "SELECT 1 FROM "+p.table+" AS t WHERE "+p.idIn()); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// LatestMeant is how a text or a number is read as a time.
func LatestMeant(value any) (time.Time, bool) { return latestMeant(value) }

// IdentifiersAtOnce is Identifiers with a limit of its own.
func IdentifiersAtOnce(rows iter.Seq2[Sighting, error], limit int) iter.Seq2[store.Identifier, error] {
	return identifiers(rows, limit)
}

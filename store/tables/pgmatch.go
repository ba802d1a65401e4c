package tables

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"lethe/store"
)

// match returns the condition under which sel selects a row of the part, named
// t, with parameters numbered after the first n, and false if it can select
// none. Its text depends on which keys sel has, never on what they are.
func (p *pgPart) match(sel store.Selector, n int) (condition, bool) {
	var c condition
	if sel.ByID() || p.Document == nil && len(sel.Metadata) > 0 || p.Document != nil && !p.Document.Metadata && len(sel.Metadata) > 0 {
		return c, false
	}
	for _, f := range sel.Identity() {
		n++
		if p.Document == nil {
			m, ok := p.Match[f.Name]
			if !ok {
				return c, false
			}
			c.and(fmt.Sprintf(`t.%s COLLATE "C" = $%d::text`, quote(m.Column), n), f.Value)
			continue
		}
		names := p.Document.Keys[f.Name]
		if len(names) == 0 {
			return c, false
		}
		// The first name that is present counts, whatever it holds.
		var cases strings.Builder
		for _, name := range names {
			fmt.Fprintf(&cases, " WHEN %s ? %s THEN %[1]s -> %[2]s", p.doc(), literal(name))
		}
		c.and(fmt.Sprintf("(CASE%s END) = to_jsonb($%d::text)", cases.String(), n), f.Value)
	}
	for _, k := range sel.MetadataKeys() {
		v := sel.Metadata[k]
		n += 2
		c.and(fmt.Sprintf("%s -> $%d::text = %s", p.doc(), n-1, pgScalar(v, n)), k, v.Literal())
	}
	if c.sql == "" {
		return c, false
	}
	if p.Document != nil {
		// CASE, since ? asks the elements of an array too.
		c.sql = "CASE WHEN " + p.wellFormed() + " THEN " + c.sql + " ELSE false END AND " + p.kind()
	}
	return c, true
}

func pgScalar(v store.Value, n int) string {
	if v.Kind() == store.KindString {
		return fmt.Sprintf("to_jsonb($%d::text)", n)
	}
	return fmt.Sprintf("$%d::text::jsonb", n)
}

func (p *pgPart) doc() string { return "t." + quote(p.Document.Column) }

// wellFormed says that the document is a JSON object.
func (p *pgPart) wellFormed() string {
	return "coalesce(jsonb_typeof(" + p.doc() + ") = 'object', false)"
}

// kind says that a row is of this part and not of another that shares its
// table. A document that is not an object has no shape.
func (p *pgPart) kind() string {
	d := p.Document
	if d == nil || len(d.Only)+len(d.Except) == 0 {
		return "true"
	}
	var c condition
	if len(d.Only) > 0 {
		c.and(p.shaped(d.Only))
	}
	if len(d.Except) > 0 {
		c.and("NOT " + p.shaped(d.Except))
	}
	return "(" + c.sql + ")"
}

func (p *pgPart) shaped(s Shape) string {
	c := condition{sql: p.wellFormed()}
	for _, group := range s {
		c.and(p.doc() + " ?| ARRAY[" + literals(group) + "]")
	}
	return "(" + c.sql + ")"
}

// cast is the type of the part's keys, and keyIn says that a row's key is in a
// bound batch: of its own type, so that the index of the key serves.
func (p *pgPart) cast() string {
	if p.uuid {
		return "uuid"
	}
	return "text"
}

func (p *pgPart) keyIn() string {
	return "t." + quote(p.ID[0]) + " = ANY($1::text[]::" + p.cast() + "[])"
}

// canonical returns a key as the database writes it, and false for one that
// cannot be in this part.
func (p *pgPart) canonical(key string) (string, bool) {
	if !p.uuid {
		return key, utf8.ValidString(key) && !strings.ContainsRune(key, 0)
	}
	id, err := uuid.Parse(key)
	return id.String(), err == nil && len(key) == len(id.String())
}

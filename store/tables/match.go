package tables

import (
	"fmt"
	"slices"
	"strings"

	"lethe/store"
)

// A condition is an SQL expression with the values it binds.
type condition struct {
	sql  string
	args []any
}

func (c *condition) and(sql string, args ...any) {
	if c.sql != "" {
		c.sql += " AND "
	}
	c.sql += sql
	c.args = append(c.args, args...)
}

// match returns the condition under which sel selects a row of the part, named
// t, and false if it can select none. Its text depends on which keys sel has,
// never on what they are. How old a row is it leaves open: see confirms.
func (p *part) match(sel store.Selector) (condition, bool) {
	var c condition
	if sel.ByID() || sel.Orphaned || !p.dates(sel) {
		return c, false
	}
	if p.Document != nil {
		return p.matchDocument(sel)
	}
	for _, f := range sel.Identity() {
		m, ok := p.Match[f.Name]
		if !ok {
			return c, false
		}
		c.and(p.holds(m), f.Value)
	}
	for _, k := range sel.MetadataKeys() {
		if p.Metadata == nil {
			return c, false
		}
		test, arg := scalar(sel.Metadata[k])
		c.and("(SELECT "+test+" FROM json_each("+p.Metadata.object(p.Metadata.Path)+") e WHERE e.key = ? ORDER BY e.id DESC LIMIT 1)", arg, k)
	}
	if c.sql == "" && sel.ByAge() {
		c.sql = "1"
	}
	return c, c.sql != ""
}

// holds is the test that a member of t is the bound text. CASE keeps the column's
// affinity from turning '07' into 7.
func (p *part) holds(m Member) string { return p.text(m) + " = ? COLLATE BINARY" }

// object is the JSON object at a path of the member's document, an empty one or
// NULL where there is none.
func (m Member) object(path []string) string {
	column := "t." + quote(m.Column)
	at := "CASE WHEN " + wellFormed(column) + " THEN " + column + " ELSE '{}' END"
	for _, name := range path {
		at = "(SELECT CASE e.type WHEN 'object' THEN e.value ELSE '{}' END FROM json_each(" + at +
			") e WHERE e.key = " + literal(name) + " ORDER BY e.id DESC LIMIT 1)"
	}
	return at
}

// documents are the columns in which Match and Metadata look for members.
func (p *part) documents() []string {
	var columns []string
	for _, m := range p.Match {
		if len(m.Path) > 0 {
			columns = append(columns, m.Column)
		}
	}
	if p.Metadata != nil {
		columns = append(columns, p.Metadata.Column)
	}
	slices.Sort(columns)
	return slices.Compact(columns)
}

func (p *part) matchDocument(sel store.Selector) (condition, bool) {
	var c condition
	for _, f := range sel.Identity() {
		names := p.Document.Keys[f.Name]
		if len(names) == 0 {
			return c, false
		}
		c.and(member(p.doc(), names, "e.type = 'text' AND e.value = ? COLLATE BINARY"), f.Value)
	}
	for _, k := range sel.MetadataKeys() {
		if !p.Document.Metadata {
			return c, false
		}
		test, arg := scalar(sel.Metadata[k])
		c.and("(SELECT "+test+" FROM json_each("+p.doc()+") e WHERE e.key = ? ORDER BY e.id DESC LIMIT 1)", arg, k)
	}
	if c.sql == "" && sel.ByAge() {
		c.sql = "1"
	}
	if c.sql == "" {
		return c, false
	}
	// CASE, and not AND, since SQLite may evaluate the operands of AND in any
	// order and ends the statement at the first document that does not parse.
	c.sql = "CASE WHEN " + wellFormed(p.doc()) + " THEN " + c.sql + " ELSE 0 END AND " + p.kind()
	return c, true
}

// member is the test of the first present one of names, of its last
// occurrence; NULL if there is none.
func member(doc string, names []string, test string) string {
	var in, order []string
	for i, n := range names {
		in = append(in, literal(n))
		order = append(order, fmt.Sprintf("WHEN %s THEN %d", literal(n), i))
	}
	return "(SELECT " + test + " FROM json_each(" + doc + ") e WHERE e.key IN (" + strings.Join(in, ", ") +
		") ORDER BY CASE e.key " + strings.Join(order, " ") + " END, e.id DESC LIMIT 1)"
}

func scalar(v store.Value) (test string, arg any) {
	switch v.Kind() {
	case store.KindBool:
		return "e.type = ?", v.Literal()
	case store.KindNumber:
		return "e.type IN ('integer', 'real') AND e.value = ?", v.Any()
	default:
		return "e.type = 'text' AND e.value = ? COLLATE BINARY", v.Any()
	}
}

func (p *part) doc() string { return "t." + quote(p.Document.Column) }

// wellFormed says that a document is a JSON object.
func wellFormed(doc string) string {
	return "CASE WHEN typeof(" + doc + ") = 'text' AND json_valid(" + doc + ") THEN json_type(" + doc + ") = 'object' ELSE 0 END"
}

// object is the document, or an empty object where it is not well formed.
func (p *part) object() string {
	return "CASE WHEN " + wellFormed(p.doc()) + " THEN " + p.doc() + " ELSE '{}' END"
}

// kind says that a row is of this part and not of another that shares its
// table. A document that is not well formed has no shape.
func (p *part) kind() string {
	d := p.Document
	if d == nil || len(d.Only)+len(d.Except) == 0 {
		return "1"
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

func (p *part) shaped(s Shape) string {
	var c condition
	for _, group := range s {
		c.and("EXISTS (SELECT 1 FROM json_each(" + p.doc() + ") e WHERE e.key IN (" + literals(group) + "))")
	}
	return "CASE WHEN " + wellFormed(p.doc()) + " THEN " + c.sql + " ELSE 0 END"
}

func literals(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = literal(n)
	}
	return strings.Join(quoted, ", ")
}

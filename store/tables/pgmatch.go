package tables

import (
	"fmt"
	"strings"

	"lethe/store"
)

// match returns the condition under which sel selects a row of the part, named
// t, with parameters numbered after the first n, and false if it can select
// none. Its text depends on which keys sel has, never on what they are. Session
// scopes, doubtful documents and rows of any age it lets through: see
// pgPart.confirms.
func (p *pgPart) match(sel store.Selector, n int) (condition, bool) {
	var c condition
	switch {
	case sel.ByID() || sel.Orphaned || p.With != "" || !p.dates(sel):
		return c, false
	case p.Scope != "":
		return condition{sql: "true"}, sel.AppID == "" && len(sel.Metadata) == 0
	case p.Document != nil:
		return p.matchDocument(sel, n)
	case p.Metadata == nil && len(sel.Metadata) > 0:
		return c, false
	}
	for _, f := range sel.Identity() {
		n++
		m, ok := p.members[f.Name]
		if !ok {
			return c, false
		}
		c.and(m.equals(n, f.Value))
	}
	for _, k := range sel.MetadataKeys() {
		v := sel.Metadata[k]
		n += 2
		c.and(p.metadata.unless(fmt.Sprintf("%s -> $%d::text = %s", p.metadata.document(), n-1, pgScalar(v, n))), k, v.Literal())
	}
	if c.sql == "" && sel.ByAge() {
		c.sql = "true"
	}
	if c.sql == "" {
		return c, false
	}
	if p.tie != "" {
		c.and(p.held())
	}
	return c, true
}

func (p *pgPart) matchDocument(sel store.Selector, n int) (condition, bool) {
	var c condition
	if !p.Document.Metadata && len(sel.Metadata) > 0 {
		return c, false
	}
	for _, f := range sel.Identity() {
		n++
		names := p.Document.Keys[f.Name]
		if len(names) == 0 {
			return c, false
		}
		c.and(fmt.Sprintf("%s = to_jsonb($%d::text)", p.first(names), n), f.Value)
	}
	for _, k := range sel.MetadataKeys() {
		v := sel.Metadata[k]
		n += 2
		c.and(fmt.Sprintf("%s -> $%d::text = %s", p.doc(), n-1, pgScalar(v, n)), k, v.Literal())
	}
	if c.sql == "" && sel.ByAge() {
		c.sql = "true"
	}
	if c.sql == "" {
		return c, false
	}
	// CASE, since ? asks the elements of an array too.
	c.sql = "CASE WHEN " + p.wellFormed() + " THEN " + c.sql + " ELSE false END AND " + p.kind()
	return c, true
}

// first is what the first of some members holds that is present, whatever it is.
func (p *pgPart) first(names []string) string {
	var cases strings.Builder
	for _, name := range names {
		fmt.Fprintf(&cases, " WHEN %s ? %s THEN %[1]s -> %[2]s", p.doc(), literal(name))
	}
	return "(CASE" + cases.String() + " END)"
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

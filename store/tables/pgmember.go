package tables

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"lethe/store"
)

// A pgMember is a Member as PostgreSQL's statements see it.
type pgMember struct {
	Member
	value pgValue // of a column that is compared itself
	json  string  // json or jsonb, for a member of a document
}

// equals says that the member is a text, bound as the n-th parameter. A text
// that is not how the server writes a value of the column equals none: it is
// bound as NULL, so that nothing is cast and no statement fails.
func (m pgMember) equals(n int, text string) (string, any) {
	column := "t." + quote(m.Column)
	switch {
	case m.json != "":
		return m.unless(fmt.Sprintf("%s = to_jsonb($%d::text)", m.document(), n)), text
	case m.value.is == textKey:
		return fmt.Sprintf(`%s COLLATE "C" = $%d::text`, column, n), text
	case !m.value.holds(text):
		return fmt.Sprintf("%s = $%d::%s", column, n, m.value.cast()), nil
	default:
		return fmt.Sprintf("%s = $%d::%s", column, n, m.value.cast()), text
	}
}

// document is what the member holds as jsonb, NULL where there is no such
// member: an arrow with a name finds nothing in an array or a scalar.
func (m pgMember) document() string {
	doc := "t." + quote(m.Column)
	if m.json == "json" {
		doc = "(CASE WHEN " + m.doubtful() + " THEN NULL ELSE " + doc + "::jsonb END)"
	}
	for _, name := range m.Path {
		doc += " -> " + literal(name) + "::text"
	}
	return doc
}

// pgDoubt matches the text of json that jsonb may not take: NUL characters,
// halves of surrogate pairs, numbers out of its range. The cast to jsonb keeps
// the last of repeated names.
const pgDoubt = `\\u0000|\\u[dD][89a-fA-F]|[0-9][eE][+-]?[0-9]{4}|[0-9]{255}`

// doubtful says that a column of type json cannot be read by the server for
// sure. Such a document is read here.
func (m pgMember) doubtful() string {
	return "t." + quote(m.Column) + "::text ~ " + literal(pgDoubt)
}

// unless is a condition that lets doubtful documents through.
func (m pgMember) unless(condition string) string {
	if m.json != "json" {
		return condition
	}
	return "(coalesce(" + m.doubtful() + ", false) OR " + condition + ")"
}

// evidence are the columns that Find reads beside the key: the session scope,
// or the documents that are doubtful.
func (p *pgPart) evidence() (columns []string, sql string) {
	if p.Scope != "" {
		return []string{p.Scope}, ", t." + quote(p.Scope)
	}
	for _, m := range p.documents() {
		if !slices.Contains(columns, m.Column) {
			columns = append(columns, m.Column)
			sql += ", CASE WHEN " + m.doubtful() + " THEN t." + quote(m.Column) + "::text END"
		}
	}
	return columns, sql
}

// documents are the members inside columns of type json.
func (p *pgPart) documents() []pgMember {
	var all []pgMember
	for _, m := range p.members {
		all = append(all, m)
	}
	all = append(all, p.metadata)
	all = slices.DeleteFunc(all, func(m pgMember) bool { return m.json != "json" })
	slices.SortFunc(all, func(a, b pgMember) int { return bytes.Compare([]byte(a.Column), []byte(b.Column)) })
	return all
}

// confirms decides about a row that match has let through for its evidence.
func (p *pgPart) confirms(sel store.Selector, columns []string, evidence []sql.NullString) bool {
	if p.Scope != "" {
		return inScope(evidence[0].String, sel)
	}
	for i, column := range columns {
		if !evidence[i].Valid {
			continue
		}
		for _, f := range sel.Identity() {
			m := p.members[f.Name]
			if m.Column == column && m.json == "json" && !equal(m.read(evidence[i].String), store.StringValue(f.Value)) {
				return false
			}
		}
		for _, k := range sel.MetadataKeys() {
			object, _ := p.metadata.read(evidence[i].String).(map[string]any)
			if p.metadata.Column == column && !equal(object[k], sel.Metadata[k]) {
				return false
			}
		}
	}
	return true
}

// read returns what the member holds in a document, nil if there is none. Of
// repeated names the last counts.
func (m pgMember) read(text string) any {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil
	}
	for _, name := range m.Path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// equal reports whether a value of a document is want, type for type.
func equal(value any, want store.Value) bool {
	switch v := value.(type) {
	case string:
		return store.StringValue(v) == want
	case bool:
		return store.BoolValue(v) == want
	case json.Number:
		n, err := store.NumberValue(v.String())
		return err == nil && n == want
	default:
		return false
	}
}

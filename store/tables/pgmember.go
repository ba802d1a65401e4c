package tables

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// A pgEvidence is what Find reads beside the key, as columns of a statement: the
// session scope, the documents that are doubtful, and what a row says about the
// times that were asked for. See confirms.
type pgEvidence struct {
	sql              string
	scope            bool
	documents        []string
	created, expires bool
}

// width is the number of columns, of which the last times are those of times.
func (e pgEvidence) width() int {
	if e.scope {
		return 1 + len(e.documents) + e.times()
	}
	return len(e.documents) + e.times()
}

func (e pgEvidence) times() int {
	n := 0
	if e.created {
		n++
	}
	if e.expires {
		n++
	}
	return n
}

// evidence is what is to be read to decide about sel.
func (p *pgPart) evidence(sel store.Selector) pgEvidence {
	return p.evidenceOf(!sel.CreatedBefore.IsZero(), !sel.ExpiredBefore.IsZero())
}

func (p *pgPart) evidenceOf(created, expires bool) pgEvidence {
	e := pgEvidence{scope: p.Scope != "", created: created, expires: expires}
	if e.scope {
		e.sql = ", t." + quote(p.Scope)
	}
	members := p.documents()
	for _, m := range []pgMember{p.created, p.expires} {
		if m.json == "json" {
			members = append(members, m)
		}
	}
	for _, m := range members {
		if !slices.Contains(e.documents, m.Column) {
			e.documents = append(e.documents, m.Column)
			e.sql += ", CASE WHEN " + m.doubtful() + " THEN t." + quote(m.Column) + "::text END"
		}
	}
	if created {
		e.sql += ", " + p.time(p.created, func(d *Document) []string { return d.Created })
	}
	if expires {
		e.sql += ", " + p.time(p.expires, func(d *Document) []string { return d.Expires })
	}
	return e
}

// time is what t says about a time, as readTime reads it. The server writes a
// time of its own as ISO 8601 has it, whatever its settings are.
func (p *pgPart) time(m pgMember, names func(*Document) []string) string {
	var all []string
	switch {
	case p.Document != nil:
		for _, name := range names(p.Document) {
			all = append(all, "CASE WHEN "+p.wellFormed()+" THEN "+p.doc()+" -> "+literal(name)+" END")
		}
	case m.json != "":
		all = append(all, m.document())
	case m.Column != "":
		all = append(all, "t."+quote(m.Column))
	}
	return "jsonb_build_array(" + strings.Join(all, ", ") + ")::text"
}

// ages are what a row says about its times, of the columns that were read.
func (p *pgPart) ages(e pgEvidence, columns []sql.NullString) ages {
	var a ages
	times := columns[e.width()-e.times() : e.width()]
	if e.created {
		a.Created, times = p.said(p.created, e, columns, times[0]), times[1:]
	}
	if e.expires {
		a.Expires = p.said(p.expires, e, columns, times[0])
	}
	return a
}

// said is what a row says about one time: what the server has read, unless the
// document is doubtful.
func (p *pgPart) said(m pgMember, e pgEvidence, columns []sql.NullString, read sql.NullString) sql.NullString {
	i := slices.Index(e.documents, m.Column)
	if e.scope {
		columns = columns[1:]
	}
	if m.json != "json" || i < 0 || !columns[i].Valid {
		return read
	}
	text, err := json.Marshal([]any{m.read(columns[i].String)})
	return sql.NullString{String: string(text), Valid: err == nil}
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
func (p *pgPart) confirms(sel store.Selector, e pgEvidence, columns []sql.NullString) bool {
	return p.means(sel, e, columns) && p.ages(e, columns).old(sel)
}

// means decides about whom it is of, without regard to its age.
func (p *pgPart) means(sel store.Selector, e pgEvidence, columns []sql.NullString) bool {
	if e.scope {
		return inScope(columns[0].String, sel)
	}
	for i, column := range e.documents {
		if !columns[i].Valid {
			continue
		}
		for _, f := range sel.Identity() {
			m := p.members[f.Name]
			if m.Column == column && m.json == "json" && !equal(m.read(columns[i].String), store.StringValue(f.Value)) {
				return false
			}
		}
		for _, k := range sel.MetadataKeys() {
			object, _ := p.metadata.read(columns[i].String).(map[string]any)
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

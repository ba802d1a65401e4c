package tables

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lethe/store"
)

// A sight is what a database says of one of its tables, in words that both
// engines share.
type sight struct {
	name     string
	kind     string // what it is, if no ordinary table: "view", "virtual table", …
	keeps    string // what it keeps, if nobody wrote that there: such as samples
	harmless string // why it holds nothing to erase, if that is known
	of       string // for what belongs to another table: that one's name
	columns  []sightColumn
	triggers []string
	finds    func(columns []string) bool // an index finds rows by them
	refers   []reference
	notes    []string
}

type sightColumn struct {
	name  string
	text  bool // it can hold words or a document: not only numbers and times
	folds bool // its collation takes different texts for equal
	note  string
}

// A reference is a foreign key.
type reference struct {
	Table  string `db:"tbl"`
	Column string `db:"col"` // the first
	To     string `db:"ref"`
	Action string `db:"action"` // ON DELETE
}

// A coverage compares the sights of one database with the places that a map
// has in it.
type coverage struct {
	places   []Place
	waived   []Waiver
	prefix   string // of the database, with its dot, if there are several
	same     func(a, b string) bool
	enforced bool   // foreign keys hold for Lethe's connections too
	unfound  string // what it costs that no index finds rows by what they hang on
}

const (
	mapOrWaive = "map it as a place, or waive it with the reason"
	triggerRun = "a trigger or rule can copy what is erased: see what it does, then waive it as TABLE.TRIGGER"
)

// findings says something about every table, column and trigger.
func (c coverage) findings(all []sight) []store.Finding {
	var findings []store.Finding
	for _, t := range all {
		findings = append(findings, c.table(t, all)...)
	}
	return append(findings, c.stale(all)...)
}

func (c coverage) table(t sight, all []sight) []store.Finding {
	places := c.in(t.name)
	head := store.Finding{Place: names(places), Table: c.prefix + t.name, Role: t.kind}
	head.Waived = cmp.Or(c.waiver(t.name), t.harmless)
	if head.Waived == "" && t.of != "" {
		head.Waived = c.waiver(t.of)
	}
	if len(places) > 0 {
		head.Waived = ""
	}
	findings := []store.Finding{head}
	var texts []string
	for _, col := range t.columns {
		f := c.column(t, col, places)
		f.Place, f.Table, f.Waived = head.Place, head.Table, cmp.Or(head.Waived, f.Waived)
		if len(places) == 0 && f.Waived == "" {
			f.Unmapped = true
			if col.text {
				f.Problem = "not in the data map: nothing in it would be erased"
				texts = append(texts, col.name)
			}
		}
		findings[0].Unmapped = findings[0].Unmapped || f.Unmapped
		findings = append(findings, f)
	}
	if len(places) == 0 && head.Waived == "" {
		findings[0].Problem = unmapped(t, texts)
		findings[0].Unmapped = findings[0].Unmapped || t.keeps != ""
	}
	notes := slices.Concat(t.notes, c.references(t, all, &findings[0]))
	findings[0].Note = strings.Join(notes, "; ")
	return append(findings, c.triggers(t, places)...)
}

// unmapped words the problem of a table that is neither mapped nor waived.
func unmapped(t sight, texts []string) string {
	switch {
	case t.keeps != "":
		return t.keeps
	case len(texts) == 0:
		return ""
	}
	return fmt.Sprintf("not in the data map, and can hold texts (%s): %s", strings.Join(texts, ", "), mapOrWaive)
}

func (c coverage) column(t sight, col sightColumn, places []Place) store.Finding {
	f := store.Finding{Column: col.name, Note: col.note}
	if len(places) == 0 {
		f.Waived = c.waiver(t.name + "." + col.name)
		return f
	}
	var roles []string
	for _, p := range places {
		for _, r := range c.roles(p, col.name) {
			if !slices.Contains(roles, r) {
				roles = append(roles, r)
			}
		}
		if len(p.By) > 0 && c.same(p.By[0], col.name) && !t.finds(p.By) {
			f.Note = c.unfound
		}
	}
	if col.folds && len(roles) > 0 {
		f.Note = "its collation takes some different texts for equal; Lethe does not"
	}
	f.Role = cmp.Or(strings.Join(roles, ", "), "content")
	return f
}

// roles are what a place does with a column. Whatever it does, the column goes
// with its row.
func (c coverage) roles(p Place, column string) []string {
	var roles []string
	is := func(role string, columns ...string) {
		if c.holds(columns, column) {
			roles = append(roles, role)
		}
	}
	is("id", p.ID...)
	is("parent", p.By...)
	for _, key := range slices.Sorted(maps.Keys(p.Match)) {
		is("match "+key, p.Match[key].Column)
	}
	for i, m := range []*Member{p.Metadata, p.Created, p.Expires} {
		if m != nil {
			is([]string{"match metadata", "created", "expires"}[i], m.Column)
		}
	}
	if p.Document != nil {
		is("match", p.Document.Column)
	}
	is("match", p.Scope)
	return roles
}

func (c coverage) triggers(t sight, places []Place) []store.Finding {
	var findings []store.Finding
	for _, name := range t.triggers {
		f := store.Finding{Place: names(places), Table: c.prefix + t.name, Column: name, Role: "trigger", Waived: c.waiver(t.name + "." + name)}
		if f.Waived == "" && len(places) > 0 {
			f.Problem = triggerRun
		}
		findings = append(findings, f)
	}
	return findings
}

// references notes what happens to rows that refer to mapped ones by a foreign
// key that the map does not know. If that keeps those from being erased, it is
// a problem.
func (c coverage) references(t sight, all []sight, head *store.Finding) []string {
	var notes []string
	for _, r := range t.refers {
		to := c.in(r.To)
		known := slices.ContainsFunc(c.in(t.name), func(p Place) bool {
			return c.holds(p.By, r.Column) && slices.ContainsFunc(to, func(up Place) bool { return up.Name == p.With })
		})
		if len(to) == 0 || known {
			continue
		}
		says := fmt.Sprintf("refers to %s by %s (ON DELETE %s)", r.To, r.Column, r.Action)
		what, harm := "rows there wait until these are erased", "its rows keep those from being erased"
		switch {
		case !c.enforced:
			what, harm = "it will name rows that are gone, since Lethe takes along only what the map says", "it will name rows that are gone"
		case r.Action == "CASCADE":
			what = "the database takes its rows along, uncounted and unverified"
			harm = what
		case strings.HasPrefix(r.Action, "SET"):
			what, harm = "its rows stay", ""
		}
		keeps := c.enforced && r.Action != "CASCADE" && harm != "" // which no waiver mends
		if harm == "" || head.Place != "" || head.Waived != "" && !keeps {
			notes = append(notes, says+": "+what)
			continue
		}
		harm = says + ": " + harm + "; map it with this parent"
		if !keeps {
			harm += ", or waive it"
		}
		head.Problem = strings.TrimPrefix(head.Problem+"; "+harm, "; ")
	}
	return notes
}

// stale notes waivers of what is not there.
func (c coverage) stale(all []sight) []store.Finding {
	live := map[string]bool{}
	for _, t := range all {
		live[t.name] = true
		for _, col := range t.columns {
			live[t.name+"."+col.name] = true
		}
		for _, trigger := range t.triggers {
			live[t.name+"."+trigger] = true
		}
	}
	var findings []store.Finding
	for _, w := range c.waived {
		if !live[w.Table] && !w.Optional {
			findings = append(findings, store.Finding{Table: c.prefix + w.Table, Waived: w.Reason, Note: "there is no such table, column or trigger"})
		}
	}
	return findings
}

func (c coverage) in(table string) []Place {
	var in []Place
	for _, p := range c.places {
		if c.same(p.Table, table) {
			in = append(in, p)
		}
	}
	return in
}

func (c coverage) waiver(of string) string {
	for _, w := range c.waived {
		if w.Table == of {
			return w.Reason
		}
	}
	return ""
}

func (c coverage) holds(columns []string, name string) bool {
	return slices.ContainsFunc(columns, func(x string) bool { return x != "" && c.same(x, name) })
}

func names(places []Place) string {
	var all []string
	for _, p := range places {
		if !slices.Contains(all, p.Name) {
			all = append(all, p.Name)
		}
	}
	return strings.Join(all, ",")
}

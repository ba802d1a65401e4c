package tables

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lethe/store"
)

// A Map says where in some database files personal data is.
type Map struct {
	// Files are committed in this order where SQLite cannot commit them at
	// once. Put those first whose rows hang on rows of others.
	Files  []File
	Places []Place // in the order in which Find yields them
	Waived []Waiver

	// Elsewhere names places whose rows another database keeps. What hangs on
	// them here is erased by their IDs, and counted by whoever knows them all.
	Elsewhere []string
}

// A File is a SQLite database file under the name by which places refer to it.
type File struct{ Name, Path string }

// A Waiver says why a table holds nothing to erase; or, as TABLE.COLUMN or
// TABLE.TRIGGER, a column or trigger of it; or, as SCHEMA.*, another schema of
// a PostgreSQL database.
type Waiver struct {
	Table, Reason string
	Optional      bool // there may be no such table
}

// A Place is one kind of row in one table. Places of the same Name are parts
// of one place: an ID of it may be in any of them.
//
// A row's key is its ID column as text: an integer in decimal, a uuid in lower
// case. Of several columns it is a JSON array of such texts, without spaces. A
// key that is written otherwise is nobody's: Find passes it over and Erase
// refuses it, alone.
type Place struct {
	Name     string
	File     string   // of Map.Files
	Table    string   //
	ID       []string // the columns that identify a row, in the order of its key
	Layout   []Column // columns the table must have; it may have more
	Optional bool     // the table may be missing

	// How a selector's keys are found in a row: in members of its columns, in a
	// Document of Mem0's kind, or in a session scope (see ParseScope). None of
	// them for rows that hang on others.
	Match    map[string]Member // such as "user_id": {Column: "owner"}
	Metadata *Member           // beside Match: a JSON object, any member of which is metadata
	Document *Document
	Scope    string

	// Rows that hang on those of the place With, whose ID the columns By hold,
	// in the same order. Those may hang on others in turn.
	With string
	By   []string

	// Ties are beside Match, for rows that belong to several people.
	Ties *Ties

	// Created and Expires are when a row was made and when it ends, for
	// retention policies. Nil where the table does not say: no age selects its
	// rows then. A Document has its own. See the package comment for what can be
	// read as a time.
	Created, Expires *Member

	// Explicit is set where IDs are the memory IDs that askers know.
	Explicit bool

	rows, tie string // of a place that spread made: the place's name and the tie's column
}

// A Member is a column, or what a JSON document in a column holds under the
// names of Path, each a member of the object before.
type Member struct {
	Column string
	Path   []string
}

// A Column is a column's name and declared type, compared without regard to
// case.
type Column struct{ Name, Type string }

// A Document is a column that holds a JSON object.
type Document struct {
	Column string

	// Keys are the members' names for each key of a selector's identity. The
	// first that is present counts.
	Keys map[string][]string

	// Metadata says that any member can be asked for as metadata.
	Metadata bool

	// Only and Except tell the kinds of rows apart that share a table.
	Only, Except Shape

	// Links are members that hold an array of IDs of the place LinksTo.
	Links   []string
	LinksTo string

	// Created and Expires are the members' names for when a row was made and when
	// it ends. Of several that are present the latest counts.
	Created, Expires []string
}

// A Shape is a list of groups of member names. A document has the shape if it
// has at least one member of every group. The zero Shape fits nothing.
type Shape [][]string

func (m Map) place(name string) bool {
	return slices.Contains(m.Elsewhere, name) || slices.ContainsFunc(m.Places, func(p Place) bool { return p.Name == name })
}

// stands reports whether the rows of a place stand on their own.
func (m Map) stands(name string) bool {
	return slices.Contains(m.Elsewhere, name) || slices.ContainsFunc(m.Places, func(p Place) bool {
		return p.With == "" && slices.ContainsFunc(p.spread(), func(p Place) bool { return p.Name == name })
	})
}

// circular reports whether the rows of a place hang on themselves.
func (m Map) circular(name string, above ...string) bool {
	return slices.Contains(above, name) || slices.ContainsFunc(m.Places, func(p Place) bool {
		return p.Name == name && p.With != "" && m.circular(p.With, append(above, name)...)
	})
}

// Validate returns an error wrapping store.ErrRefused for a Map that
// contradicts itself. It does not look at the database.
func (m Map) Validate() error {
	if len(m.Files) == 0 || len(m.Places) == 0 {
		return fmt.Errorf("%w: a data map needs files and places", store.ErrRefused)
	}
	for _, f := range m.Files {
		if !plain(f.Name) || f.Name == "main" || f.Name == "temp" {
			return fmt.Errorf("%w: file name %q", store.ErrRefused, f.Name)
		}
	}
	for _, p := range m.Places {
		if err := m.check(p); err != nil {
			return fmt.Errorf("%w: place %q: %w", store.ErrRefused, p.Name, err)
		}
	}
	return nil
}

func (m Map) check(p Place) error {
	ways := 0
	for _, way := range []bool{len(p.Match) > 0 || p.Metadata != nil || p.Ties != nil, p.Document != nil, p.Scope != "", p.With != ""} {
		if way {
			ways++
		}
	}
	switch {
	case len(p.ID) == 0:
		return fmt.Errorf("needs a column that identifies a row")
	case !m.nameable(p):
		return fmt.Errorf("needs a name of at most 54 lower-case letters, digits, dots, dashes and underscores, with what is added to it, that no other kind of row has")
	case !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == p.File }):
		return fmt.Errorf("names no file of the map")
	case ways != 1:
		return fmt.Errorf("needs one of match, document, scope, with")
	case (p.With == "") != (len(p.By) == 0):
		return fmt.Errorf("needs both with and by")
	case p.With != "" && (p.With == p.Name || !m.place(p.With)):
		return fmt.Errorf("hangs on no place of the map")
	case m.circular(p.Name):
		return fmt.Errorf("hangs on itself")
	case slices.ContainsFunc(m.Places, func(parent Place) bool { return parent.Name == p.With && len(parent.ID) != len(p.By) }):
		return fmt.Errorf("needs as many columns in by as the place it hangs on has in its ID")
	case p.Document != nil && p.Document.LinksTo != "" && !m.place(p.Document.LinksTo):
		return fmt.Errorf("links to no place of the map")
	}
	if err := p.matches(); err != nil {
		return err
	}
	if err := p.ties(); err != nil {
		return err
	}
	for _, name := range p.names() {
		if name == "" || strings.IndexFunc(name, unicode.IsControl) >= 0 {
			return fmt.Errorf("has a table or column without a proper name")
		}
	}
	for _, name := range p.members() {
		if !plain(name) {
			return fmt.Errorf("member %q: only letters, digits and underscores", name)
		}
	}
	return nil
}

// identifies reports whether a selector has a key of this name.
func identifies(key string) bool {
	return slices.Contains([]string{"agent_id", "app_id", "run_id", "user_id"}, key)
}

// matches checks how the keys of a selector are found.
func (p Place) matches() error {
	members := slices.Collect(maps.Values(p.Match))
	for key := range p.Match {
		if !identifies(key) {
			return fmt.Errorf("matches %q, which is none of user_id, agent_id, app_id, run_id", key)
		}
	}
	for _, m := range []*Member{p.Metadata, p.Created, p.Expires} {
		if m != nil {
			members = append(members, *m)
		}
	}
	for _, m := range members {
		for _, name := range m.Path {
			if name == "" || !utf8.ValidString(name) || strings.IndexFunc(name, unicode.IsControl) >= 0 {
				return fmt.Errorf("has a member without a proper name in column %q", m.Column)
			}
		}
	}
	return nil
}

// names are the table and the columns that statements will mention.
func (p Place) names() []string {
	names := slices.Concat([]string{p.Table}, p.ID, p.By)
	for _, m := range p.Match {
		names = append(names, m.Column)
	}
	for _, m := range []*Member{p.Metadata, p.Created, p.Expires} {
		if m != nil {
			names = append(names, m.Column)
		}
	}
	if p.Ties != nil {
		names = append(names, p.Ties.Columns...)
		for _, r := range p.Ties.Redact {
			names = append(names, r.Column)
		}
	}
	if p.Document != nil {
		names = append(names, p.Document.Column)
	}
	if p.Scope != "" {
		names = append(names, p.Scope)
	}
	return names
}

// members are the document's member names that statements will mention.
func (p Place) members() []string {
	if p.Document == nil {
		return nil
	}
	names := slices.Concat(p.Document.Links, p.Document.Created, p.Document.Expires)
	for _, k := range p.Document.Keys {
		names = append(names, k...)
	}
	for _, g := range slices.Concat(p.Document.Only, p.Document.Except) {
		names = append(names, g...)
	}
	return names
}

func plain(name string) bool {
	return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name)
}

package tables

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

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

// A Waiver says why a table holds nothing to erase.
type Waiver struct{ Table, Reason string }

// A Place is one kind of row in one table. Places of the same Name are parts
// of one place: an ID of it may be in any of them.
type Place struct {
	Name     string
	File     string   // of Map.Files
	Table    string   //
	ID       string   // the column that identifies a row; for a hanging row, any
	Layout   []Column // columns the table must have; it may have more
	Optional bool     // the table may be missing

	// How a selector's keys are found in a row: in columns of their own, in a
	// JSON document, or in a session scope (see ParseScope). None of them for
	// rows that hang on others.
	Columns  map[string]string // such as "user_id": "owner"
	Document *Document
	Scope    string

	// Rows that hang on those of the place With, whose ID the column By holds.
	With, By string

	// Explicit is set where IDs are the memory IDs that askers know.
	Explicit bool
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
}

// A Shape is a list of groups of member names. A document has the shape if it
// has at least one member of every group. The zero Shape fits nothing.
type Shape [][]string

func (m Map) place(name string) bool {
	return slices.Contains(m.Elsewhere, name) || slices.ContainsFunc(m.Places, func(p Place) bool { return p.Name == name })
}

// stands reports whether the rows of a place stand on their own.
func (m Map) stands(name string) bool {
	return slices.Contains(m.Elsewhere, name) || slices.ContainsFunc(m.Places, func(p Place) bool { return p.Name == name && p.With == "" })
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
	for _, way := range []bool{len(p.Columns) > 0, p.Document != nil, p.Scope != "", p.With != ""} {
		if way {
			ways++
		}
	}
	switch {
	case p.Name == "" || strings.ContainsAny(p.Name, "/ "):
		return fmt.Errorf("needs a name without slash or space")
	case !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == p.File }):
		return fmt.Errorf("names no file of the map")
	case ways != 1:
		return fmt.Errorf("needs one of columns, document, scope, with")
	case (p.With == "") != (p.By == ""):
		return fmt.Errorf("needs both with and by")
	case p.With != "" && (p.With == p.Name || !m.place(p.With)):
		return fmt.Errorf("hangs on no place of the map")
	case p.Document != nil && p.Document.LinksTo != "" && !m.place(p.Document.LinksTo):
		return fmt.Errorf("links to no place of the map")
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

// names are the table and the columns that statements will mention.
func (p Place) names() []string {
	names := []string{p.Table, p.ID}
	for _, c := range p.Columns {
		names = append(names, c)
	}
	if p.Document != nil {
		names = append(names, p.Document.Column)
	}
	if p.Scope != "" {
		names = append(names, p.Scope)
	}
	if p.By != "" {
		names = append(names, p.By)
	}
	return names
}

// members are the document's member names that statements will mention.
func (p Place) members() []string {
	if p.Document == nil {
		return nil
	}
	names := slices.Clone(p.Document.Links)
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

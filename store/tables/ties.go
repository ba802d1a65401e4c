package tables

import (
	"fmt"
	"maps"
	"slices"
)

// Ties are the columns of a table that each name one of the people a row belongs
// to, such as the sender and the recipient of a message. Each of them is
// matched as if it alone were the Key's column, in a place of its own that is
// named place.column, in lower case. An ID of that place means what the row is
// to this person.
//
// Erasing it erases the row with all that hangs on it if no other of the Columns
// names anyone else. If one does, the Shared rule says what becomes of the row;
// what hangs on it stays unless the row goes.
type Ties struct {
	Key     string   // of a selector, such as user_id
	Columns []string // two or more
	Shared  Sharing
	Redact  []Redaction // for the rule Redact: what else is set
}

// A Sharing is a rule for rows that belong to several people.
type Sharing string

// The rules. All but Delete leave the row to those it names in other columns.
const (
	Refuse Sharing = ""       // the ID is store.Refused, and the row untouched
	Delete Sharing = "delete" // the row goes for everyone
	Unlink Sharing = "unlink" // the tie's own column becomes NULL
	Redact Sharing = "redact" // that, and the Redactions
)

// A Redaction sets a column to a constant, or to NULL if there is none. One of
// a tie's column counts for that tie alone, and the constant then names nobody.
type Redaction struct {
	Column string
	To     *string
}

// spread returns a place for each of the place's ties, or the place itself if
// it has none.
func (p Place) spread() []Place {
	if p.Ties == nil {
		return []Place{p}
	}
	var all []Place
	for _, column := range p.Ties.Columns {
		t := p
		t.Name += "." + named(column)
		t.rows, t.tie = p.Name, column
		t.Match = maps.Clone(p.Match)
		if t.Match == nil {
			t.Match = make(map[string]Member)
		}
		t.Match[p.Ties.Key] = Member{Column: column}
		all = append(all, t)
	}
	return all
}

// of is the name under which others hang on the place's rows.
func (p Place) of() string {
	if p.tie != "" {
		return p.rows
	}
	return p.Name
}

// settings are what the rules Unlink and Redact set, for this tie or, of a place
// that has not been spread, for all of them.
func (p Place) settings() []Redaction {
	var all []Redaction
	if p.Ties.Shared == Redact {
		for _, r := range p.Ties.Redact {
			if r.Column == p.tie || p.tie == "" || !slices.Contains(p.Ties.Columns, r.Column) {
				all = append(all, r)
			}
		}
	}
	for _, column := range p.Ties.Columns {
		set := slices.ContainsFunc(all, func(r Redaction) bool { return r.Column == column })
		if (column == p.tie || p.tie == "") && !set {
			all = append(all, Redaction{Column: column})
		}
	}
	return all
}

// ties checks the Ties.
func (p Place) ties() error {
	t := p.Ties
	if t == nil {
		return nil
	}
	_, matched := p.Match[t.Key]
	isID := func(column string) bool { return slices.Contains(p.ID, column) }
	switch {
	case !identifies(t.Key):
		return fmt.Errorf("ties %q, which is none of user_id, agent_id, app_id, run_id", t.Key)
	case matched:
		return fmt.Errorf("both matches and ties %s", t.Key)
	case len(t.Columns) < 2 || len(slices.Compact(slices.Sorted(slices.Values(t.Columns)))) < len(t.Columns):
		return fmt.Errorf("needs two or more different columns to tie")
	case !slices.Contains([]Sharing{Refuse, Delete, Unlink, Redact}, t.Shared):
		return fmt.Errorf("has a rule for shared rows that is none of delete, unlink, redact, nor empty to refuse them")
	case len(t.Redact) > 0 != (t.Shared == Redact):
		return fmt.Errorf("needs redactions with the rule redact, and with no other")
	case slices.ContainsFunc(t.Columns, isID), slices.ContainsFunc(t.Redact, func(r Redaction) bool { return isID(r.Column) }):
		return fmt.Errorf("ties or redacts a column of its ID")
	}
	return nil
}

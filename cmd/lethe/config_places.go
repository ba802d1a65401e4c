package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A PlaceConfig is one table with personal data, of a store of kind tables. Its
// rows either stand on their own (match), or hang on those of another place
// (parent) and go with them, children first, at any depth.
type PlaceConfig struct {
	// name: how plans and certificates call the place. Default: its table's
	// name, if that has the form of a name: lower-case letters, digits, dots,
	// dashes and underscores, at most 54.
	Name string `yaml:"name"`

	// table: the table, exactly as the database writes it. Each table has one
	// place.
	Table string `yaml:"table"`

	// id: the column that identifies a row, or a list of them. Integer, text or
	// uuid.
	ID Names `yaml:"id"`

	// match: in which column a selector's keys are found. A request erases the
	// rows in which all of its keys are equal; a place that has no column for
	// one of them is not reached by it, and certificates say so.
	Match *MatchConfig `yaml:"match"`

	// parent: the mapped table whose rows these hang on, and the column (or list
	// of columns) that holds its id, in the same order.
	Parent *ParentConfig `yaml:"parent"`

	// shared: what becomes of a row that names several people, if one of them is
	// to be forgotten: where match has a list of columns for a key, such as
	// {user_id: [sender, recipient]}, and another of them names someone else.
	// "refuse" leaves the row, and the request stays open until someone decides;
	// "delete" erases it for everyone; "unlink" empties the column that names
	// the person; "redact" does that and sets the columns of redact. Default
	// refuse.
	Shared string `yaml:"shared"`

	// redact: the columns to set, each to a text or to nothing (~):
	// {body: ~, title: "removed"}.
	Redact Redactions `yaml:"redact"`

	// created, expires: the columns that say when a row was made and when it
	// ends, for retention policies. Of a place that has none, or a row in which
	// it cannot be read, nothing is erased by age.
	Created MemberConfig `yaml:"created"`
	Expires MemberConfig `yaml:"expires"`

	// explicit: whether requests that list IDs mean the ids of this place.
	// Default: true for the only place with match, false where there are
	// several, since 7 may be a row of each, or where rows are shared.
	Explicit *bool `yaml:"explicit"`
}

// A MatchConfig says where the keys of a selector stand in a row: each in a
// column, or in a member of a JSON document in a column, written
// column->name->name. Equality is exact, by bytes and by type. One key may have
// a list of columns, for rows that belong to several people: see shared.
type MatchConfig struct {
	UserID  MemberConfig `yaml:"user_id"`
	AgentID MemberConfig `yaml:"agent_id"`
	AppID   MemberConfig `yaml:"app_id"`
	RunID   MemberConfig `yaml:"run_id"`

	// metadata: a JSON object, any member of which can be asked for.
	Metadata MemberConfig `yaml:"metadata"`
}

// A ParentConfig says on what the rows of a place hang.
type ParentConfig struct {
	Table  string `yaml:"table"`  // of another place
	Column Names  `yaml:"column"` // of this place's table
}

// Names is a name or a list of names.
type Names []string

// UnmarshalYAML reads the text or the list at node.
func (n *Names) UnmarshalYAML(node ast.Node) error {
	items := []ast.Node{node}
	if list, ok := node.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		name, ok := item.(*ast.StringNode)
		if !ok || !proper(name.Value) || slices.Contains(*n, name.Value) {
			return faultAt(item, "must be the name of a column, or a list of different ones; quote what looks like a number")
		}
		*n = append(*n, name.Value)
	}
	return nil
}

// proper reports whether a name can be that of a table or column.
func proper(name string) bool {
	return strings.TrimSpace(name) == name && name != "" && len(name) <= 128 && regexp.MustCompile(`^[^\x00-\x1f\x7f]*$`).MatchString(name)
}

// A MemberConfig is a column, or a member of a JSON document in it, or several
// columns.
type MemberConfig struct {
	Column string
	Path   []string
	Tied   Names // instead: two columns or more
}

// UnmarshalYAML reads the scalar or the list at node.
func (m *MemberConfig) UnmarshalYAML(node ast.Node) error {
	if _, ok := node.(*ast.SequenceNode); ok {
		return m.Tied.UnmarshalYAML(node)
	}
	text, ok := node.(*ast.StringNode)
	if !ok {
		return faultAt(node, "must be the name of a column; quote what looks like a number")
	}
	var err error
	if *m, err = parseMember(text.Value); err != nil {
		return faultAt(node, err.Error())
	}
	return nil
}

// parseMember reads "column" or "column->name->name". What could be meant as an
// expression, or as a path of another language, is refused.
func parseMember(s string) (MemberConfig, error) {
	parts := strings.Split(s, "->")
	for _, p := range parts {
		if !regexp.MustCompile(`^[\pL_][\pL\pN_-]*$`).MatchString(p) || strings.HasSuffix(p, "-") {
			return MemberConfig{}, errors.New("must be a column, or column->name->name for a member of the JSON document in it: letters, digits, underscores and dashes, without quotes or spaces")
		}
	}
	return MemberConfig{Column: parts[0], Path: parts[1:]}, nil
}

// Waivers say why something is not erased, in the order of the file.
type Waivers []WaiverConfig

// A WaiverConfig is one of them.
type WaiverConfig struct{ Of, Reason string }

// UnmarshalYAML reads the mapping at node.
func (w *Waivers) UnmarshalYAML(node ast.Node) error {
	pairs, ok := node.(*ast.MappingNode)
	if !ok {
		return faultAt(node, "must be a mapping of tables to reasons")
	}
	for _, pair := range pairs.Values {
		of, reason := scalar(pair.Key), ""
		if text, ok := pair.Value.(*ast.StringNode); ok {
			reason = strings.TrimSpace(text.Value)
		}
		switch {
		case !proper(of):
			return faultAt(pair.Key, "must be a table, TABLE.COLUMN, TABLE.TRIGGER or SCHEMA.*")
		case reason == "":
			return faultAt(pair.Value, "must say why, in words that an auditor may read")
		}
		*w = append(*w, WaiverConfig{of, reason})
	}
	return nil
}

// Redactions are columns and what they are set to, in the order of the file.
type Redactions []RedactionConfig

// A RedactionConfig is one of them. To is nil for NULL.
type RedactionConfig struct {
	Column string
	To     *string
}

// UnmarshalYAML reads the mapping at node.
func (r *Redactions) UnmarshalYAML(node ast.Node) error {
	pairs, ok := node.(*ast.MappingNode)
	if !ok {
		return faultAt(node, "must be a mapping of columns to texts, or to ~ for NULL")
	}
	for _, pair := range pairs.Values {
		one := RedactionConfig{Column: scalar(pair.Key)}
		switch value := pair.Value.(type) {
		case *ast.NullNode:
		case *ast.StringNode:
			one.To = &value.Value
		default:
			return faultAt(pair.Value, "must be a text, or ~ for NULL; quote what looks like a number")
		}
		if !proper(one.Column) {
			return faultAt(pair.Key, "must be the name of a column")
		}
		*r = append(*r, one)
	}
	return nil
}

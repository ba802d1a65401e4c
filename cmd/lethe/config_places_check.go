package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	driverSQLite   = "sqlite3"
	driverPostgres = "postgres"
)

// forTablesAlone refuses the keys of a store of kind tables in any other.
func (s *StoreConfig) forTablesAlone(add func(field, problem string)) {
	for field, given := range map[string]bool{"driver": s.Driver != "", "file": s.File != "", "places": s.Places != nil, "waived": s.Waived != nil} {
		if given {
			add(field, "is for "+KindTables+" alone")
		}
	}
}

func (s *StoreConfig) checkTables(add func(field, problem string)) {
	for field, given := range map[string]bool{"vectors": s.Vectors != "", "entities": s.Entities != "", "history": s.History != "", "table": s.Table != "", "app_dsn_file": s.AppDSNFile != ""} {
		if given {
			add(field, "is not for "+KindTables+"; the tables are in places")
		}
	}
	switch s.Driver {
	case driverSQLite:
		if s.Purge.Rewrite() {
			add("purge", "rewrite is for PostgreSQL; here the file is always rewritten: say always, off, or a window such as 02:00-05:00")
		}
		if s.WALUntil > 0 {
			add("wal_until", "is for PostgreSQL alone")
		}
		if (s.File == "") == (s.DSNFile == "") {
			add("file", "must be the path of the database file (or dsn_file, a file that holds the path; not both)")
		}
	case driverPostgres:
		if s.File != "" {
			add("file", "is for driver "+driverSQLite+" alone")
		}
		if s.DSNFile == "" || s.DSNFile == fileNone {
			add("dsn_file", "must be the path of a file that holds the address of the database")
		}
		if s.Purge != (PurgeRule{}) && !s.Purge.Off() && !s.Purge.Rewrite() {
			add("purge", "must be off, rewrite, or rewrite with a window such as rewrite 02:00-05:00: it locks the tables")
		}
	default:
		add("driver", "must be "+driverSQLite+" or "+driverPostgres)
	}
	if len(s.Places) == 0 {
		add("places", "must list the tables with personal data, each with table, id, and match or parent")
	}
	for i := range s.Places {
		at := fmt.Sprintf("places[%d].", i)
		s.checkPlace(i, func(field, problem string) { add(strings.TrimSuffix(at+field, "."), problem) })
	}
	for _, w := range s.Waived {
		if s.mapped(w.Of) != nil {
			add("waived.'"+w.Of+"'", "is mapped as a place: either erase it or waive it")
		}
	}
}

func (s *StoreConfig) checkPlace(i int, add func(field, problem string)) {
	p := &s.Places[i]
	switch {
	case !proper(p.Table):
		add("table", "must be the name of a table")
		return
	case s.mapped(p.Table) != p:
		add("table", "is the table of another place already: a table has one place")
	}
	field := "name"
	if p.Name == "" {
		field = "table"
	}
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,53}$`).MatchString(p.name()) {
		add(field, "cannot name the place in certificates: give it a name of 1 to 54 of a-z, 0-9, dot, dash and underscore")
	}
	if slices.ContainsFunc(s.Places[:i], func(o PlaceConfig) bool { return o.name() == p.name() }) {
		add(field, "is the name of another place: give each its own name")
	}
	if len(p.ID) == 0 {
		add("id", "must be the column that identifies a row, or a list of columns")
	}
	switch {
	case p.Match == nil && p.Parent == nil:
		add("", "needs match (how its rows are found) or parent (what they hang on)")
	case p.Match != nil && p.Parent != nil:
		add("parent", "cannot be given beside match: rows that hang on others go with them, and with nothing else")
	case p.Match != nil && p.Match.tied() == "" && len(p.Match.keys())+len(p.Match.Metadata.Column) == 0:
		add("match", "must name at least one of user_id, agent_id, app_id, run_id, metadata")
	case p.Parent != nil:
		s.checkParent(p, add)
	}
	p.checkShared(add)
}

// checkShared checks what is said about rows that belong to several people.
func (p *PlaceConfig) checkShared(add func(field, problem string)) {
	single := []string{"created", "expires"}
	members := []MemberConfig{p.Created, p.Expires}
	var lists []string
	if p.Match != nil {
		single, members = append(single, "match.metadata"), append(members, p.Match.Metadata)
		for _, key := range identityKeys() {
			if tied := p.Match.of(key).Tied; tied != nil {
				lists = append(lists, key)
				p.checkTied("match."+key, tied, add)
			}
		}
	}
	for i, m := range members {
		if m.Tied != nil {
			add(single[i], "must be one column")
		}
	}
	switch {
	case len(lists) > 1:
		add("match."+lists[1], "must be one column: one key of a place may have a list")
	case len(lists) == 0 && p.Shared != "":
		add("shared", "is for places whose match has a list of columns for a key")
	case !slices.Contains([]string{"", "refuse", "delete", "unlink", "redact"}, p.Shared):
		add("shared", "must be refuse, delete, unlink or redact")
	}
	if (p.Shared == "redact") != (len(p.Redact) > 0) {
		add("redact", "must list the columns to set where shared is redact, and is for nothing else")
	}
}

func (p *PlaceConfig) checkTied(field string, tied Names, add func(field, problem string)) {
	if len(tied) < 2 {
		add(field, "must be one column, or a list of two or more")
	}
	for _, column := range tied {
		if !regexp.MustCompile(`^[a-z0-9._-]+$`).MatchString(column) || len(p.name())+len(column) > 53 {
			add(field, "must be columns of lower-case letters, digits, dots, dashes and underscores: certificates name each as PLACE.COLUMN, at most 54")
		}
	}
}

func (s *StoreConfig) checkParent(p *PlaceConfig, add func(field, problem string)) {
	if p.Explicit != nil && *p.Explicit {
		add("explicit", "is for places with match alone: rows that hang on others go with them")
	}
	if len(p.Parent.Column) == 0 {
		add("parent.column", "must be the column that holds the parent's id, or a list of columns")
	}
	up := s.mapped(p.Parent.Table)
	switch {
	case up == nil:
		add("parent.table", "must be the table of another place")
		return
	case up == p:
		add("parent.table", "is the place's own table: rows that hang on rows of one table cannot be mapped yet")
		return
	case len(p.Parent.Column) > 0 && len(up.ID) > 0 && len(p.Parent.Column) != len(up.ID):
		add("parent.column", fmt.Sprintf("must have as many columns as the parent's id: %d", len(up.ID)))
	}
	for range s.Places {
		if up == nil || up.Parent == nil {
			return
		}
		up = s.mapped(up.Parent.Table)
	}
	add("parent.table", "leads back to this place: no place at the top has match")
}

// mapped returns the first place of a table.
func (s *StoreConfig) mapped(table string) *PlaceConfig {
	i := slices.IndexFunc(s.Places, func(p PlaceConfig) bool { return p.Table == table })
	if i < 0 {
		return nil
	}
	return &s.Places[i]
}

func (p *PlaceConfig) name() string {
	if p.Name != "" {
		return p.Name
	}
	return p.Table
}

package tables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lethe/store"
)

// Check implements store.Checker. It reports every table and column of every
// file.
func (s *Store) Check(ctx context.Context) ([]store.Finding, error) {
	var findings []store.Finding
	for i, f := range s.files {
		l, err := inspect(ctx, s.readers, schemaName(i, f))
		if err != nil {
			return nil, fmt.Errorf("check: file %s: %w", f.Name, err)
		}
		for _, t := range l.tables {
			findings = append(findings, s.findings(f, t)...)
		}
		findings = append(findings, s.missing(f, l)...)
	}
	return findings, nil
}

func (s *Store) findings(f File, t liveTable) []store.Finding {
	places := s.placesIn(f, t)
	head := store.Finding{Place: names(places), Table: f.Name + "." + t.Name}
	switch {
	case t.Type == "trigger":
		head.Problem = "a trigger can copy what is erased"
	case t.Type == "view":
		head.Waived = "a view holds nothing itself"
	case len(places) == 0:
		if head.Waived = s.waiver(t.Name); head.Waived == "" {
			head.Problem = fmt.Sprintf("not in the data map: %s", t)
		}
		if to := s.dangling(f, t); to != "" && head.Waived != "" {
			head.Waived += "; its foreign key will name rows of " + to + " that are gone"
		} else if to != "" {
			head.Problem += ", whose foreign key will name rows of " + to + " that are gone"
		}
	}
	findings := []store.Finding{head}
	for _, c := range t.columns {
		finding := store.Finding{Place: head.Place, Table: head.Table, Column: c.Name, Waived: head.Waived}
		if head.Problem != "" {
			finding.Problem = "its table is not in the data map"
		}
		findings = append(findings, finding)
	}
	for _, p := range places {
		if text := s.m.problem(p, t); text != "" {
			findings[0].Problem = fmt.Sprintf("%s, found %s", text, t)
		}
	}
	return findings
}

// dangling returns the mapped table that a foreign key of an unmapped table leads
// to, or "".
func (s *Store) dangling(f File, t liveTable) string {
	for _, to := range t.foreign {
		for _, p := range s.m.Places {
			if p.File == f.Name && strings.EqualFold(p.Table, to) {
				return p.Table
			}
		}
	}
	return ""
}

// missing reports the tables that the map wants and the file has not.
func (s *Store) missing(f File, l liveFile) []store.Finding {
	var findings []store.Finding
	for _, p := range s.m.Places {
		if _, ok := l.table(p.Table); ok || p.File != f.Name {
			continue
		}
		finding := store.Finding{Place: p.Name, Table: f.Name + "." + p.Table}
		if p.Optional {
			finding.Waived = "not there, which is allowed"
		} else {
			finding.Problem = "missing"
		}
		findings = append(findings, finding)
	}
	return findings
}

func (s *Store) placesIn(f File, t liveTable) []Place {
	if t.Type != "table" {
		return nil
	}
	var in []Place
	for _, p := range s.m.Places {
		if p.File == f.Name && p.Table == t.Name {
			in = append(in, p)
		}
	}
	return in
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

func (s *Store) waiver(table string) string {
	switch table {
	case "sqlite_sequence":
		return "the last row number of each table"
	case "sqlite_stat1":
		return "row counts"
	}
	for _, w := range s.m.Waived {
		if w.Table == table {
			return w.Reason
		}
	}
	return ""
}

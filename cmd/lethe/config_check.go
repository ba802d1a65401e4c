package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// check returns all that is wrong with c, each with its place in the file, or
// with its flag.
func (c *Config) check(doc document, flags Overrides) error {
	var faults []error
	add := func(field, problem string) {
		switch {
		case problem == "":
		case flags.given(field):
			faults = append(faults, &fault{text: "--" + field + " " + problem})
		default:
			faults = append(faults, doc.at(field, problem))
		}
	}
	c.checkDoor(add)
	for _, u := range c.urls() {
		switch {
		case *u.file == "":
			add(u.name, u.problem(u.url.Reveal()))
		case doc.has(u.name):
			add(u.name+"_file", "give either "+u.name+" or "+u.name+"_file, not both")
		default:
			add(u.name+"_file", u.problem(u.url.Reveal()))
		}
	}
	add("roles", c.rolesProblem())
	add("approval", approvalProblem(c.Approval))
	c.Limits.check(func(field, problem string) { add("limits."+field, problem) })
	add("log_origin", originProblem(c.LogOrigin))
	c.checkOutside(add)
	c.checkClock(add)
	c.checkPolicies(add)
	c.Suppression.check(add)
	c.checkOIDC(add)
	c.checkWebhooks(add)
	c.checkTraces(add)
	c.checkRetention(add)
	c.checkRedis(add)
	c.Rate.check(add)
	names := make(map[string]bool)
	for i := range c.Stores {
		s := &c.Stores[i]
		at := fmt.Sprintf("stores[%d].", i)
		s.check(func(field, problem string) { add(at+field, problem) })
		s.Limits.check(func(field, problem string) { add(at+"limits."+field, problem) })
		add(at+"undated", undatedProblem(s.Undated))
		if s.Name != "" && names[s.Name] {
			add(at+"name", "is taken by another store; give each its own")
		}
		names[s.Name] = true
	}
	return errors.Join(faults...)
}

func (s *StoreConfig) check(add func(field, problem string)) {
	name := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	if !name.MatchString(s.Name) {
		add("name", "must be 1 to 63 of a-z, 0-9, dot, dash and underscore, and start with a letter or digit")
	}
	const kinds = KindMem0SQLite + ", " + KindMem0Postgres + ", " + KindMem0Server + ", " + KindMem0Platform + " or " + KindTables
	switch s.Kind {
	case KindMem0Server, KindMem0Platform:
		s.checkAPI(add)
		return
	case KindTables:
		s.forAPIsAlone(add)
		s.checkTables(add)
		return
	case KindMem0SQLite:
	case KindMem0Postgres:
		s.forAPIsAlone(add)
		s.checkPostgres(add)
		return
	default:
		add("kind", "must be "+kinds)
		return
	}
	s.forTablesAlone(add)
	s.forAPIsAlone(add)
	if s.Purge.Rewrite() {
		add("purge", "rewrite is for PostgreSQL; here the files are always rewritten: say always, off, or a window such as 02:00-05:00")
	}
	if s.WALUntil > 0 {
		add("wal_until", "is for "+KindMem0Postgres+" alone")
	}
	for _, f := range [][2]string{{"dsn_file", s.DSNFile}, {"app_dsn_file", s.AppDSNFile}, {"table", s.Table}} {
		if f[1] != "" {
			add(f[0], "is for "+KindMem0Postgres+" alone")
		}
	}
	if s.Vectors == "" || s.Vectors == fileNone {
		add("vectors", "must be the path of Mem0's vector store file")
	}
	if s.Entities == "" {
		add("entities", "must be the path of the entity store file, or none if there is none")
	}
	if s.History == "" {
		add("history", "must be the path of the history file, or none if there is none")
	}
}

func (s *StoreConfig) checkPostgres(add func(field, problem string)) {
	s.forTablesAlone(add)
	if s.DSNFile == "" || s.DSNFile == fileNone {
		add("dsn_file", "must be the path of a file that holds the address of the database")
	}
	if s.History == "" {
		add("history", "must be the path of the history file, or none if there is none")
	}
	if s.Vectors != "" {
		add("vectors", "is for "+KindMem0SQLite+" alone; the memories are in table")
	}
	if s.Entities == s.Table {
		add("entities", "must be another table than table, or none")
	}
	if s.Purge != (PurgeRule{}) && !s.Purge.Off() && !s.Purge.Rewrite() {
		add("purge", "must be off, rewrite, or rewrite with a window such as rewrite 02:00-05:00: it locks the tables")
	}
}

// dropNone turns the word none into an empty path, once all are checked.
func (s *StoreConfig) dropNone() {
	for _, p := range []*string{&s.Entities, &s.History} {
		if *p == fileNone {
			*p = ""
		}
	}
}

func ledgerProblem(s string) string {
	switch {
	case s == ledgerSQLite:
		return ""
	case isPostgres(s):
		if _, err := url.Parse(s); err == nil {
			return ""
		}
	}
	return "must be sqlite, or the URL of a PostgreSQL database such as postgres://user@host/database; special characters of a password are written as %XX"
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// originProblem follows C2SP tlog-checkpoint and signed-note: no scheme, no
// spaces, no plus.
func originProblem(s string) string {
	if len(s) > 200 || strings.Contains(s, "://") || strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '+'
	}) >= 0 {
		return "must be a URL without its scheme, such as erasure.example.com/log"
	}
	return ""
}

package tables

import (
	"context"
	"fmt"
	"slices"

	"lethe/store"
)

// pgRelations are what the schemas of the mapped tables hold, extensions'
// relations and parts of partitioned tables aside.
const pgRelations = `SELECT c.oid, c.relname AS name, c.relkind::text AS kind
	FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
		AND c.relnamespace IN (SELECT relnamespace FROM pg_class WHERE oid = ANY($1))
		AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
	ORDER BY c.relname`

// pgSeenColumns tell by the category of a type whether it can hold words: not
// booleans, numbers, times and enumerations. A domain has its base's category.
const pgSeenColumns = `SELECT a.attrelid AS rel, a.attname AS name, t.typcategory NOT IN ('B', 'N', 'D', 'T', 'E') AS text,
		NOT coalesce(c.collisdeterministic, true) OR t.typname = 'citext' AS folds, t.typname IN ('oid', 'lo') AS large
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation c ON c.oid = a.attcollation
	WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`

// pgSeen lists what else there is of the relations: triggers and rules, the
// first column of each index, and the publications that copy a table.
const pgSeen = `SELECT tgrelid AS rel, 'trigger' AS what, tgname AS name FROM pg_trigger WHERE tgrelid = ANY($1) AND NOT tgisinternal
	UNION ALL SELECT ev_class, 'trigger', rulename FROM pg_rewrite WHERE ev_class = ANY($1) AND ev_type <> '1'
	UNION ALL SELECT i.indrelid, 'index', a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = ANY($1) AND i.indisvalid AND i.indpred IS NULL
	UNION ALL SELECT c.oid, 'publication', p.pubname FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
		JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE c.oid = ANY($1)
	ORDER BY 1, 2, 3`

const pgReferences = `SELECT f.conrelid AS rel, a.attname AS col, f.confrelid AS refrel,
		CASE f.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END AS action
	FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
	WHERE f.contype = 'f' AND f.confrelid = ANY($1) AND f.conparentid = 0 ORDER BY f.conname`

type pgRelation struct {
	OID  int64  `db:"oid"`
	Name string `db:"name"`
	Kind string `db:"kind"`
}

// A pgAside is what pgSeenColumns, pgSeen and pgReferences say of a relation.
type pgAside struct {
	Rel    int64  `db:"rel"`
	What   string `db:"what"`
	Name   string `db:"name"`
	Text   bool   `db:"text"`
	Folds  bool   `db:"folds"`
	Large  bool   `db:"large"`
	Column string `db:"col"`
	RefRel int64  `db:"refrel"`
	Action string `db:"action"`
}

// Check implements store.Checker. It reports every table, column and trigger
// of the schemas in which the map has tables, the other schemas by name, and
// the files beside.
func (s *Postgres) Check(ctx context.Context) ([]store.Finding, error) {
	findings, err := s.check(ctx)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if s.beside != nil {
		more, err := s.beside.Check(ctx)
		if err != nil {
			return nil, err
		}
		findings = append(findings, more...)
	}
	return findings, nil
}

func (s *Postgres) check(ctx context.Context) ([]store.Finding, error) {
	c := coverage{places: s.m.Places, waived: s.m.Waived, same: func(a, b string) bool { return a == b }, enforced: true, unfound: "no index begins with it: each batch reads the whole table"}
	if s.beside != nil {
		c.prefix = s.m.Files[0].Name + "."
	}
	mapped := make([]int64, len(s.parts))
	for i, p := range s.parts {
		mapped[i] = int64(p.oid)
	}
	var relations []pgRelation
	if err := s.second.SelectContext(ctx, &relations, pgRelations, mapped); err != nil {
		return nil, pgCoded(ctx, err)
	}
	sights, err := s.sights(ctx, relations)
	if err != nil {
		return nil, err
	}
	schemas, err := s.schemas(ctx, mapped)
	if err != nil {
		return nil, err
	}
	findings := append(c.findings(append(sights, schemas...)), s.vanished(relations, c.prefix)...)
	samples, err := s.samples(ctx, mapped)
	return append(findings, samples...), err
}

// vanished reports the mapped tables that are no longer there.
func (s *Postgres) vanished(relations []pgRelation, prefix string) (findings []store.Finding) {
	live := map[int64]bool{}
	for _, r := range relations {
		live[r.OID] = true
	}
	for _, p := range s.parts {
		if !live[int64(p.oid)] && (p.tie == "" || p.tie == p.Ties.Columns[0]) {
			findings = append(findings, store.Finding{Place: p.of(), Table: prefix + p.Table, Problem: "missing"})
		}
	}
	return findings
}

func (s *Postgres) sights(ctx context.Context, relations []pgRelation) ([]sight, error) {
	oids := make([]int64, len(relations))
	names := map[int64]string{}
	for i, r := range relations {
		oids[i], names[r.OID] = r.OID, r.Name
	}
	var columns, seen, refers []pgAside
	for _, ask := range []struct {
		into *[]pgAside
		sql  string
	}{{&columns, pgSeenColumns}, {&seen, pgSeen}, {&refers, pgReferences}} {
		if err := s.second.SelectContext(ctx, ask.into, ask.sql, oids); err != nil {
			return nil, pgCoded(ctx, err)
		}
	}
	sights := make([]sight, len(relations))
	for i, r := range relations {
		var first []string // columns of indexes
		t := sight{name: r.Name}
		t.finds = func(columns []string) bool {
			return slices.ContainsFunc(first, func(c string) bool { return slices.Contains(columns, c) })
		}
		t.relation(r.Kind)
		for _, c := range of(r.OID, columns) {
			col := sightColumn{name: c.Name, text: c.Text, folds: c.Folds}
			if c.Large {
				col.note = "a large object that it names is not erased"
			}
			t.columns = append(t.columns, col)
		}
		for _, x := range of(r.OID, seen) {
			switch x.What {
			case "trigger":
				t.triggers = append(t.triggers, x.Name)
			case "index":
				first = append(first, x.Name)
			case "publication":
				t.notes = append(t.notes, "is published as "+x.Name+": subscribers keep copies")
			}
		}
		for _, f := range of(r.OID, refers) {
			t.refers = append(t.refers, reference{Table: r.Name, Column: f.Column, To: names[f.RefRel], Action: f.Action})
		}
		sights[i] = t
	}
	return sights, nil
}

func of(oid int64, all []pgAside) (its []pgAside) {
	for _, x := range all {
		if x.Rel == oid {
			its = append(its, x)
		}
	}
	return its
}

// relation says what is peculiar to a kind of relation.
func (t *sight) relation(kind string) {
	switch kind {
	case "v":
		t.kind, t.harmless = "view", "a view holds nothing itself"
	case "m":
		t.kind, t.keeps = "materialized view", "a materialized view keeps copies until it is refreshed: refresh it after erasures, and waive it"
	case "f":
		t.kind = "foreign table"
	}
}

// schemas are the other ones of the database, of which only the number of
// tables is told.
func (s *Postgres) schemas(ctx context.Context, mapped []int64) ([]sight, error) {
	var others []struct {
		Name   string `db:"name"`
		Tables int    `db:"tables"`
	}
	err := s.second.SelectContext(ctx, &others, `SELECT n.nspname AS name, count(*) AS tables FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
			AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
			AND n.oid NOT IN (SELECT relnamespace FROM pg_class WHERE oid = ANY($1))
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
		GROUP BY n.nspname ORDER BY n.nspname`, mapped)
	sights := make([]sight, len(others))
	for i, o := range others {
		sights[i] = sight{name: o.Name + ".*", kind: "schema", notes: []string{fmt.Sprintf("another schema, with %d tables that lethe does not look at", o.Tables)}}
	}
	return sights, pgCoded(ctx, err)
}

// samples notes that the planner's statistics hold values of mapped tables.
func (s *Postgres) samples(ctx context.Context, mapped []int64) ([]store.Finding, error) {
	var n int
	err := s.second.GetContext(ctx, &n, `SELECT count(DISTINCT (s.schemaname, s.tablename)) FROM pg_stats s
		JOIN pg_namespace n ON n.nspname = s.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
		WHERE c.oid = ANY($1) AND (s.most_common_vals IS NOT NULL OR s.histogram_bounds IS NOT NULL)`, mapped)
	if err != nil || n == 0 {
		return nil, pgCoded(ctx, err)
	}
	return []store.Finding{{
		Table: "pg_statistic", Role: "statistics", Waived: "the planner's own",
		Note: fmt.Sprintf("keeps samples of values of %d mapped tables until they are analyzed again: run ANALYZE after erasures", n),
	}}, nil
}

package tables

import (
	"context"
	"fmt"
	"slices"

	"lethe/store"
)

// pgRelations are what the schemas of the mapped tables hold, extensions'
// relations and parts of partitioned tables aside.
const pgRelations = `SELECT c.oid, c.relname AS name, c.relkind::text AS kind,
		(SELECT coalesce(min(t.tgname), '') FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS trigger
	FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
		AND c.relnamespace IN (SELECT relnamespace FROM pg_class WHERE oid = ANY($1))
		AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
	ORDER BY c.relname`

type pgRelation struct {
	OID     uint32 `db:"oid"`
	Name    string `db:"name"`
	Kind    string `db:"kind"`
	Trigger string `db:"trigger"`
}

// Check implements store.Checker. It reports every table and column of the
// schemas in which the map has tables, and the files beside.
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
	var oids []int64
	for _, p := range s.parts {
		oids = append(oids, int64(p.oid))
	}
	var relations []pgRelation
	if err := s.second.SelectContext(ctx, &relations, pgRelations, oids); err != nil {
		return nil, pgCoded(ctx, err)
	}
	var findings []store.Finding
	for _, r := range relations {
		head := s.finding(r)
		findings = append(findings, head)
		var columns []pgColumn
		if err := s.second.SelectContext(ctx, &columns, pgColumns, r.OID); err != nil {
			return nil, pgCoded(ctx, err)
		}
		for _, c := range columns {
			f := store.Finding{Place: head.Place, Table: head.Table, Column: c.Name, Waived: head.Waived}
			if head.Problem != "" {
				f.Problem = "its table: " + head.Problem
			}
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// finding says what there is to say about one relation as a whole.
func (s *Postgres) finding(r pgRelation) store.Finding {
	var places []Place
	for _, p := range s.parts {
		if p.oid == r.OID {
			place := p.Place
			place.Name = p.of()
			places = append(places, place)
		}
	}
	f := store.Finding{Place: names(places), Table: s.m.Files[0].Name + "." + r.Name}
	i := slices.IndexFunc(s.m.Waived, func(w Waiver) bool { return w.Table == r.Name })
	switch {
	case r.Trigger != "":
		f.Problem = "a trigger can copy what is erased"
	case len(places) > 0:
	case i >= 0:
		f.Waived = s.m.Waived[i].Reason
	case r.Kind == "v":
		f.Waived = "a view holds nothing itself"
	default:
		f.Problem = "not in the data map"
	}
	return f
}

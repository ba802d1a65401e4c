package tables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lethe/store"
)

// granted returns an error wrapping store.ErrSchema that names every privilege
// that is missing, and every table of which the server hides rows.
func (s *Postgres) granted(ctx context.Context) error {
	var fixes []string
	for _, p := range s.tables() {
		var missing []string
		for _, need := range s.needs(p) {
			var has bool
			if err := s.db.GetContext(ctx, &has, `SELECT has_table_privilege($1::oid, $2)`, p.oid, need); err != nil {
				return pgCoded(ctx, err)
			}
			if !has {
				missing = append(missing, need)
			}
		}
		if len(missing) > 0 {
			fixes = append(fixes, "GRANT "+strings.Join(missing, ", ")+" ON "+p.table+" TO the user of this store")
		}
		var hides bool
		if err := s.db.GetContext(ctx, &hides, `SELECT row_security_active($1::oid)`, p.oid); err != nil {
			return pgCoded(ctx, err)
		}
		if hides {
			fixes = append(fixes, "row security can hide rows of "+p.table+": ALTER ROLE the user of this store BYPASSRLS")
		}
	}
	if len(fixes) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", store.ErrSchema, strings.Join(fixes, "; "))
}

// tables returns one part of each table.
func (s *Postgres) tables() []*pgPart {
	var parts []*pgPart
	for _, p := range s.parts {
		if !slices.ContainsFunc(parts, func(q *pgPart) bool { return q.oid == p.oid }) {
			parts = append(parts, p)
		}
	}
	return parts
}

// needs are the privileges on a part's table.
func (s *Postgres) needs(p *pgPart) []string {
	if slices.ContainsFunc(s.parts, func(q *pgPart) bool { return q.oid == p.oid && (q.changes() || q.frees()) }) {
		return []string{"SELECT", "DELETE", "UPDATE"}
	}
	return []string{"SELECT", "DELETE"}
}

// changes reports whether an erasure changes rows of the part, and not only
// deletes them.
func (p *pgPart) changes() bool { return p.Document != nil && p.Document.LinksTo != "" }

// lacking is err, unless a privilege is missing: then it says which, as far as
// the server can still be asked.
func (s *Postgres) lacking(ctx context.Context, err error) error {
	if pgCodeOf(err) != "42501" {
		return err
	}
	if found := s.granted(ctx); found != nil {
		return found
	}
	return err
}

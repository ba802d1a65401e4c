package tables

import (
	"context"
	"errors"
	"strconv"
	"time"

	"lethe/store"
)

// pgStatistics are the catalogs in which the planner keeps values from rows.
const pgStatistics = `SELECT c.oid, 'pg_catalog' AS schema, c.relname AS name, c.relkind::text AS kind,
		(pg_has_role(d.datdba, 'USAGE') OR pg_has_role(c.relowner, 'USAGE')) AND has_table_privilege(c.oid, 'SELECT') AS may
	FROM pg_class c JOIN pg_database d ON d.datname = current_database()
	WHERE c.oid IN ('pg_catalog.pg_statistic'::regclass, 'pg_catalog.pg_statistic_ext_data'::regclass) ORDER BY c.oid`

var errStatistics = errors.New("to be superuser, for the statistics of tables that have no rows any more")

// pgStale are the statistics of tables and their indexes that are older than a
// transaction: ANALYZE leaves those of a table that has no rows any more.
const (
	pgStaleOf = `WITH RECURSIVE tree AS (
			SELECT unnest($1::bigint[]::oid[]) AS oid
			UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
		`
	pgStale = `WHERE age(s.xmin) > age($2::text::xid) AND s.starelid IN (
			SELECT oid FROM tree UNION SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM tree))`
	pgStaleExt = `WHERE age(s.xmin) > age($2::text::xid) AND s.stxoid IN (
			SELECT oid FROM pg_catalog.pg_statistic_ext WHERE stxrelid IN (SELECT oid FROM tree))`
)

// forgetStatistics makes the planner's statistics of the tables anew, from the
// rows that there are, and rewrites the catalogs that keep them, if the user
// may. What nobody but a superuser may is errStatistics.
func (w *pgSession) forgetStatistics(ctx context.Context, parts []*pgPart) (done []pgRewritten, err error) {
	since, err := w.horizon(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.analyze(ctx, parts); err != nil {
		return nil, err
	}
	var catalogs []pgLeaf
	if err := w.db.SelectContext(ctx, &catalogs, pgStatistics); err != nil {
		return nil, pgCoded(ctx, err)
	}
	for _, c := range catalogs {
		if !c.May {
			return nil, nil // which blind has said
		}
	}
	clean, err := w.dropStale(ctx, roots(parts), since)
	if err != nil {
		return nil, err
	}
	if !clean {
		return nil, errStatistics
	}
	for _, c := range catalogs {
		one, err := w.outlive(ctx, c)
		if err != nil {
			return nil, err
		}
		done = append(done, one)
	}
	return done, nil
}

// outlive rewrites a catalog, and again while the server keeps rows of it that
// have just been replaced: for a moment somebody's transaction still sees them.
func (w *pgSession) outlive(ctx context.Context, catalog pgLeaf) (pgRewritten, error) {
	const tries = 4
	for try := 1; ; try++ {
		one, err := w.rewrite(ctx, catalog)
		if err != nil || one.kept <= 0 || try == tries {
			return one, err
		}
		select {
		case <-ctx.Done():
			return one, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// analyze takes the names from the map, which finds the tables as every other
// statement does.
func (w *pgSession) analyze(ctx context.Context, parts []*pgPart) error {
	seen := make(map[uint32]bool)
	for _, p := range parts {
		if seen[p.oid] {
			continue
		}
		seen[p.oid] = true
		if _, err := w.db.ExecContext(ctx, "ANALYZE "+p.table); err != nil {
			return pgCoded(ctx, err)
		}
	}
	return nil
}

// dropStale deletes what ANALYZE left, which a superuser may, and reports
// whether nothing is left.
func (w *pgSession) dropStale(ctx context.Context, roots []int64, since uint32) (clean bool, err error) {
	next := strconv.FormatUint(uint64(since), 10)
	for _, from := range []string{"pg_catalog.pg_statistic s " + pgStale, "pg_catalog.pg_statistic_ext_data s " + pgStaleExt} {
		var n int
		if err := w.db.GetContext(ctx, &n, pgStaleOf+"SELECT count(*) FROM "+from, roots, next); err != nil {
			return false, pgCoded(ctx, err)
		}
		if n == 0 {
			continue
		}
		var super bool
		if err := w.db.GetContext(ctx, &super, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`); err != nil || !super {
			return false, pgCoded(ctx, err)
		}
		if _, err := w.db.ExecContext(ctx, pgStaleOf+"DELETE FROM "+from, roots, next); err != nil {
			return false, pgCoded(ctx, err)
		}
	}
	return true, nil
}

var _ store.Purger = (*Rewriter)(nil)

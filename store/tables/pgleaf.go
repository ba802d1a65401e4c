package tables

import (
	"context"
	"fmt"
	"strings"

	"lethe/store"
)

// A pgLeaf is a mapped table or a part of it.
type pgLeaf struct {
	OID    uint32 `db:"oid"`
	Schema string `db:"schema"`
	Table  string `db:"name"`
	Kind   string `db:"kind"` // p if it has no files of its own
	May    bool   `db:"may"`  // the user may rewrite it
}

// quoted is the table as a statement names it.
func (l pgLeaf) quoted() string { return quote(l.Schema) + "." + quote(l.Table) }

// pgLeaves are tables with all that inherits from them. A rewrite is the right
// of the owner of the table or of the database, and, from PostgreSQL 17, of
// whoever was granted MAINTAIN.
const pgLeaves = `WITH RECURSIVE tree AS (
		SELECT unnest($1::bigint[]::oid[]) AS oid
		UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
	SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
		pg_has_role(c.relowner, 'USAGE') OR pg_has_role(d.datdba, 'USAGE')
			OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS may
	FROM pg_class c JOIN tree ON tree.oid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_database d ON d.datname = current_database()
	WHERE c.relkind IN ('r', 'p', 'f') ORDER BY c.oid`

func (r *Rewriter) leaves(ctx context.Context) ([]pgLeaf, error) {
	var leaves []pgLeaf
	err := r.db.SelectContext(ctx, &leaves, pgLeaves, roots(r.parts))
	return leaves, pgCoded(ctx, err)
}

// permitted returns an error wrapping store.ErrSchema that names every table
// which could not be rewritten.
func (r *Rewriter) permitted(_ context.Context, leaves []pgLeaf) error {
	var missing []string
	for _, l := range leaves {
		if l.Kind == "f" {
			return fmt.Errorf("%w: table %s is on another server, whose files nobody here can rewrite", store.ErrSchema, l.quoted())
		}
		if !l.May {
			missing = append(missing, ownership(l.quoted()))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: the user of this store may not rewrite its tables: %s", store.ErrSchema, strings.Join(missing, "; "))
	}
	return nil
}

// ownership says what lets a user rewrite a table.
func ownership(table string) string {
	return fmt.Sprintf("ALTER TABLE %s OWNER TO that user, or from PostgreSQL 17 GRANT MAINTAIN ON %s TO it", table, table)
}

// A pgFile is one file of a table, or several segments of it.
type pgFile struct {
	Path string `db:"path"` // below the server's data folder
	Rows bool   `db:"rows"` // it holds rows, else an index of them
	Size int64  `db:"size"`
}

// pgFiles are the files of a table, its TOAST table, and the indexes of both.
const pgFiles = `WITH heap AS (
		SELECT oid FROM pg_class WHERE oid = $1
		UNION SELECT reltoastrelid FROM pg_class WHERE oid = $1 AND reltoastrelid <> 0),
	every AS (SELECT oid, true AS rows FROM heap UNION SELECT indexrelid, false FROM pg_index WHERE indrelid IN (SELECT oid FROM heap))
	SELECT pg_relation_filepath(oid) AS path, rows, pg_relation_size(oid) AS size FROM every
	WHERE pg_relation_filepath(oid) IS NOT NULL`

func (w *pgSession) files(ctx context.Context, leaf pgLeaf) ([]pgFile, error) {
	var files []pgFile
	err := w.db.SelectContext(ctx, &files, pgFiles, leaf.OID)
	return files, pgCoded(ctx, err)
}

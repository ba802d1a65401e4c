package tables

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lethe/store"
)

const (
	pgLookBytes = 4 << 20 // read at once; a multiple of every page size
	pgLookAgain = 5       // a page that is read while it is being written
)

// blind returns what the user of the store is not granted and would need to
// look into the server's files. It is short: whoever may do that may read
// everything.
func (r *Rewriter) blind(ctx context.Context) (grants []string, err error) {
	var may struct{ Read, Checkpoint, Statistics bool }
	err = r.db.GetContext(ctx, &may, `SELECT has_function_privilege('pg_read_binary_file(text, bigint, bigint, boolean)', 'EXECUTE') AS read,
		(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR coalesce(pg_has_role(to_regrole('pg_checkpoint')::oid, 'USAGE'), false) AS checkpoint,
		(SELECT bool_and(may) FROM (`+pgStatistics+`) s) AS statistics`)
	if err != nil {
		return nil, pgCoded(ctx, err)
	}
	if !may.Read {
		grants = append(grants, "GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean)")
	}
	if !may.Checkpoint {
		grants = append(grants, "GRANT pg_checkpoint (before PostgreSQL 15: superuser)")
	}
	if !may.Statistics {
		grants = append(grants, "ALTER DATABASE OWNER TO, and GRANT SELECT ON pg_statistic, pg_statistic_ext_data")
	}
	return grants, nil
}

// shown looks at rewritten tables, or, if that is not granted, believes what
// the server says to have kept.
func (w *pgSession) shown(ctx context.Context, done []pgRewritten, blind bool) error {
	if !blind {
		return w.look(ctx, done)
	}
	for _, r := range done {
		if r.kept > 0 {
			return r.residue(fmt.Errorf("%d %w", r.kept, errResidue))
		}
	}
	return nil
}

// blindness is the error of a purge that rewrote all and could not look.
func blindness(grants []string) error {
	return fmt.Errorf("%w: the user of this store would need: %s", store.ErrUnseen, strings.Join(grants, "; "))
}

// look reads the files of rewritten tables from end to end. It returns an error
// wrapping store.ErrBusy if a file from before the rewrite still holds
// anything, or a new one more than rows.
func (w *pgSession) look(ctx context.Context, done []pgRewritten) error {
	// Files that were given up are removed by a checkpoint, and what is in
	// memory comes into the files.
	if _, err := w.db.ExecContext(ctx, "CHECKPOINT"); err != nil {
		return pgCoded(ctx, err)
	}
	var size struct{ Page, Segment int64 }
	err := w.db.GetContext(ctx, &size, `SELECT current_setting('block_size')::bigint AS page,
		(SELECT setting::bigint * current_setting('block_size')::bigint FROM pg_settings WHERE name = 'segment_size') AS segment`)
	if err != nil {
		return pgCoded(ctx, err)
	}
	for _, r := range done {
		if err := w.lookFor(ctx, r.old, size.Segment); err != nil {
			return r.residue(err)
		}
		check := pageCheck{horizon: r.horizon, end: r.end, kept: r.kept}
		for _, f := range r.files {
			if !f.Rows {
				continue // made from the rows, and new: see the package comment
			}
			if err := w.lookInto(ctx, f, int(size.Page), check); err != nil {
				return r.residue(err)
			}
		}
	}
	return nil
}

// residue says of which table err is, and what may be in the way.
func (r *pgRewritten) residue(err error) error {
	if errors.Is(err, errResidue) {
		return fmt.Errorf("%w: table %s after its rewrite: %w; somebody writes, or an older transaction, a prepared one or a replication slot still sees them", store.ErrBusy, r.quoted(), err)
	}
	return fmt.Errorf("table %s after its rewrite: %w", r.quoted(), err)
}

// lookFor returns an error if any segment of the files is there and not empty.
func (w *pgSession) lookFor(ctx context.Context, old []pgFile, segment int64) error {
	for _, f := range old {
		var left int
		err := w.db.GetContext(ctx, &left, `SELECT count(*) FROM generate_series(0, $2::bigint) i
			WHERE length(pg_read_binary_file($1 || CASE i WHEN 0 THEN '' ELSE '.' || i END, 0, 1, true)) > 0`, f.Path, f.Size/segment)
		if err != nil {
			return pgCoded(ctx, err)
		}
		if left > 0 {
			return fmt.Errorf("a file from before is still there: %w", errResidue)
		}
	}
	return nil
}

// lookInto reads all segments of a file.
func (w *pgSession) lookInto(ctx context.Context, f pgFile, page int, check pageCheck) error {
	for n := 0; ; n++ {
		path := f.Path
		if n > 0 {
			path = fmt.Sprintf("%s.%d", f.Path, n)
		}
		there, err := w.segment(ctx, path, page, check)
		if err != nil {
			return err
		}
		if !there && n == 0 {
			return fmt.Errorf("%w: it was rewritten again", store.ErrBusy)
		}
		if !there {
			return nil
		}
	}
}

func (w *pgSession) segment(ctx context.Context, path string, page int, check pageCheck) (there bool, err error) {
	for off := int64(0); ; off += pgLookBytes {
		b, err := w.read(ctx, path, off, pgLookBytes)
		if err != nil || b == nil {
			return false, err
		}
		for i := 0; i+page <= len(b); i += page {
			if err := check.page(b[i : i+page]); err != nil {
				err = w.again(ctx, path, off+int64(i), page, check)
				if err != nil {
					return true, err
				}
			}
		}
		if len(b) < pgLookBytes {
			return true, nil
		}
	}
}

// again reads one page anew: the first time it may have been torn.
func (w *pgSession) again(ctx context.Context, path string, off int64, page int, check pageCheck) error {
	var bad error
	for range pgLookAgain {
		b, err := w.read(ctx, path, off, int64(page))
		if err != nil {
			return err
		}
		if len(b) < page {
			return nil // cut off since
		}
		if bad = check.page(b); bad == nil {
			return nil
		}
	}
	return bad
}

// read returns nil if there is no such file.
func (w *pgSession) read(ctx context.Context, path string, off, n int64) (b []byte, err error) {
	err = w.db.GetContext(ctx, &b, `SELECT pg_read_binary_file($1, $2, $3, true)`, path, off, n)
	return b, pgCoded(ctx, err)
}

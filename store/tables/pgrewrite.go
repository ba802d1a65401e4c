package tables

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// pgRewriteLock is how long a rewrite waits for its table, and how long those
// who come after may wait behind it. It is longer than the second after which
// PostgreSQL sends its own vacuum away.
const pgRewriteLock = "2s"

// A Rewriter is a Postgres that is also a store.Purger: it rewrites the mapped
// tables with VACUUM (FULL), and looks whether anything is left. See the
// package comment for what that costs and shows.
type Rewriter struct{ *Postgres }

// NewRewriter returns s as a store that rewrites its tables. The error wraps
// store.ErrSchema if the user of the store may not rewrite one of them, and
// says what is to be granted. What s has open is closed with either.
func NewRewriter(ctx context.Context, s *Postgres) (*Rewriter, error) {
	r := &Rewriter{s}
	leaves, err := r.leaves(ctx)
	if err == nil {
		err = r.permitted(ctx, leaves)
	}
	if err != nil {
		return nil, fmt.Errorf("purge: %w", err)
	}
	return r, nil
}

// Purge implements store.Purger. The error wraps store.ErrBusy if a table could
// not be had for long, or if the server kept erased rows for somebody's older
// transaction, and store.ErrUnseen if all was rewritten and the server does not
// let us look; its text names what is to be granted.
func (r *Rewriter) Purge(ctx context.Context) error {
	if r.beside != nil {
		if err := r.beside.Purge(ctx); err != nil {
			return fmt.Errorf("beside the database: %w", err)
		}
	}
	if err := r.purge(ctx); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

func (r *Rewriter) purge(ctx context.Context) (err error) {
	w, err := r.session(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.db.Close()) }()
	leaves, err := r.leaves(ctx)
	if err != nil {
		return err
	}
	blind, err := r.blind(ctx)
	if err != nil {
		return err
	}
	var done []pgRewritten
	for _, leaf := range leaves {
		if leaf.Kind == "p" {
			continue
		}
		one, err := w.rewrite(ctx, leaf)
		if err != nil {
			return err
		}
		done = append(done, one)
	}
	if err := w.shown(ctx, done, len(blind) > 0); err != nil {
		return err
	}
	statistics, err := w.forgetStatistics(ctx, r.parts)
	if errors.Is(err, errStatistics) {
		blind, err = append(blind, err.Error()), nil
	}
	if err != nil {
		return err
	}
	if len(blind) > 0 {
		return blindness(blind)
	}
	return w.look(ctx, statistics)
}

// Check implements store.Checker. It also says if a purge will not be able to
// look.
func (r *Rewriter) Check(ctx context.Context) ([]store.Finding, error) {
	findings, err := r.Postgres.Check(ctx)
	if err != nil {
		return nil, err
	}
	blind, err := r.blind(ctx)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if len(blind) > 0 {
		findings = append(findings, store.Finding{
			Table: r.m.Files[0].Name,
			Note:  "rewritten, but its files cannot be read, so that evidence stays verified; for purged the user of this store would need: " + strings.Join(blind, "; "),
		})
	}
	return findings, nil
}

// roots are the mapped tables, each once.
func roots(parts []*pgPart) (oids []int64) {
	seen := make(map[uint32]bool)
	for _, p := range parts {
		if !seen[p.oid] {
			seen[p.oid] = true
			oids = append(oids, int64(p.oid))
		}
	}
	return oids
}

// A pgSession is one connection on which a statement may take as long as it
// takes, as a rewrite does.
type pgSession struct {
	db   *sqlx.DB
	kept int64 // what the last rewrite said that it had to keep; -1 if it said nothing
}

func (s *Postgres) session(ctx context.Context) (*pgSession, error) {
	conn, err := s.db.Connx(ctx)
	if err != nil {
		return nil, pgCoded(ctx, err)
	}
	var config *pgx.ConnConfig
	err = conn.Raw(func(c any) error {
		config = c.(*stdlib.Conn).Conn().Config()
		return nil
	})
	if err := errors.Join(err, conn.Close()); err != nil {
		return nil, pgCoded(ctx, err)
	}
	w := &pgSession{}
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = pgRewriteLock
	config.OnNotice = w.notice
	w.db = sqlx.NewDb(stdlib.OpenDB(*config), "pgx")
	w.db.SetMaxOpenConns(1)
	return w, nil
}

// notice listens for how many dead rows a rewrite copied because a transaction
// can still see them. The text may be in any language; the number comes first.
func (w *pgSession) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	number := regexp.MustCompile(`^\D*(\d+)`).FindStringSubmatch(n.Detail)
	if n.Routine == "copy_table_data" && number != nil {
		if kept, err := strconv.ParseInt(number[1], 10, 64); err == nil {
			w.kept = kept
		}
	}
}

// A pgRewritten is a table after its rewrite.
type pgRewritten struct {
	pgLeaf
	old, files []pgFile
	horizon    uint32 // transactions before it had ended before the rewrite began, or erased nothing
	end        uint64 // position of the write-ahead log when the rewrite had ended
	kept       int64  // as in pgSession
}

// rewrite rewrites one table with its TOAST table and its indexes.
func (w *pgSession) rewrite(ctx context.Context, leaf pgLeaf) (r pgRewritten, err error) {
	r.pgLeaf = leaf
	if r.old, err = w.files(ctx, leaf); err != nil {
		return r, err
	}
	if r.horizon, err = w.horizon(ctx); err != nil {
		return r, err
	}
	w.kept = -1
	// VACUUM binds no parameters, and a partition's name is in no map: the
	// server's own name of it is quoted.
	if _, err := w.db.ExecContext(ctx, "VACUUM (FULL, VERBOSE) "+leaf.quoted()); err != nil {
		return r, fmt.Errorf("rewrite table %s: %w", leaf.quoted(), pgCoded(ctx, err))
	}
	r.kept = w.kept
	if err := w.db.GetContext(ctx, &r.end, `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint`); err != nil {
		return r, pgCoded(ctx, err)
	}
	if r.files, err = w.files(ctx, leaf); err != nil {
		return r, err
	}
	return r, r.renewed()
}

// horizon is the number of the next transaction, of which pages keep 32 bits.
func (w *pgSession) horizon(ctx context.Context) (uint32, error) {
	var next int64
	err := w.db.GetContext(ctx, &next, `SELECT txid_snapshot_xmax(txid_current_snapshot())`)
	return uint32(next & 0xffffffff), pgCoded(ctx, err)
}

// renewed returns an error if any file of the table is still the one from
// before: the server skips, with a warning, what a user may not rewrite.
func (r *pgRewritten) renewed() error {
	before := make(map[string]bool)
	for _, f := range r.old {
		before[f.Path] = true
	}
	if len(r.files) == 0 {
		return fmt.Errorf("%w: table %s is gone", store.ErrSchema, r.quoted())
	}
	for _, f := range r.files {
		if before[f.Path] {
			return fmt.Errorf("%w: table %s was not rewritten: %s", store.ErrSchema, r.quoted(), ownership(r.quoted()))
		}
	}
	return nil
}

package tables

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"lethe/store"
)

var errNoTable = errors.New("found none")

// Ping implements store.Pinger.
func (s *Postgres) Ping(ctx context.Context) error {
	err := s.primary(ctx)
	if err == nil {
		err = s.unchanged(ctx, s.db)
	}
	if err == nil && s.beside != nil {
		err = s.beside.Ping(ctx)
	}
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// primary refuses a server that would verify what it only copies, and one that
// erases nothing now.
func (s *Postgres) primary(ctx context.Context) error {
	var is struct{ Copies, ReadOnly bool }
	err := s.db.GetContext(ctx, &is, `SELECT pg_is_in_recovery() AS copies, current_setting('transaction_read_only')::boolean AS readonly`)
	var e *pgconn.PgError
	switch {
	case errors.As(err, &e) && e.Code == "42501": // nothing else of this can be forbidden
		return fmt.Errorf("%w: GRANT CONNECT ON DATABASE … TO the user of this store", store.ErrSchema)
	case err != nil:
		return pgCoded(ctx, err)
	case is.Copies:
		return fmt.Errorf("%w: the server is a replica; give the address of the primary", store.ErrUnavailable)
	case is.ReadOnly:
		return fmt.Errorf("%w: the database is read only (default_transaction_read_only)", store.ErrUnavailable)
	}
	return nil
}

// unseen says why a place's table is not found: it is not there, or its schema
// is closed to the user, which PostgreSQL answers alike.
func (s *Postgres) unseen(ctx context.Context, p Place) error {
	var closed []string
	err := s.db.SelectContext(ctx, &closed, `SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND NOT has_schema_privilege(n.oid, 'USAGE')
			AND n.nspname = ANY (SELECT trim(both ' "' FROM x) FROM unnest(string_to_array(current_setting('search_path'), ',')) AS x)
		ORDER BY n.nspname`, p.Table)
	if err != nil {
		return pgCoded(ctx, err)
	}
	if len(closed) > 0 {
		return fmt.Errorf("%w: place %s: GRANT USAGE ON SCHEMA %s TO the user of this store", store.ErrSchema, p.Name, quote(closed[0]))
	}
	return fmt.Errorf("%w: place %s: want table %s, %w", store.ErrSchema, p.Name, p.Table, errNoTable)
}

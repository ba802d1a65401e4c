package tables

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"lethe/store"
)

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

package audit

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// Migrate creates the log's tables, or brings them up to date. Its versions
// stand in a table of their own, audit_migrations. goose has no lock on
// SQLite, so two processes must not migrate at once: the caller holds whatever
// lock guards the ledger's own migrations. There are none for Postgres yet.
func Migrate(ctx context.Context, db *sqlx.DB) error {
	if !isSQLite(db) {
		return errors.New("migrate log: no migrations for this database")
	}
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return fmt.Errorf("migrate log: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.DB, files,
		goose.WithTableName("audit_migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate log: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate log: %w", err)
	}
	return nil
}

// isSQLite asks for the placeholders that the driver takes. A driver
// registered under a name that sqlx does not know counts as SQLite.
func isSQLite(db *sqlx.DB) bool { return sqlx.BindType(db.DriverName()) != sqlx.DOLLAR }

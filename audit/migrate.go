package audit

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// migrating is the advisory lock of processes that migrate; any number will do
// that nobody else uses.
const migrating = 0x6c657468_6d696772 // "leth" "migr"

// Migrate creates the log's tables, or brings them up to date. Its versions
// stand in a table of their own, audit_migrations. On PostgreSQL processes that
// migrate at once wait for each other, for up to a minute; the lock is the
// session's, so db must reach the server itself and not through a pooler of
// transactions. On SQLite goose has no lock, so the caller holds whatever lock
// guards the ledger's own migrations.
func Migrate(ctx context.Context, db *sqlx.DB) error {
	if err := migrate(ctx, db); err != nil {
		return fmt.Errorf("migrate log: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, db *sqlx.DB) error {
	dialect, dir := goose.DialectSQLite3, "migrations/sqlite"
	options := []goose.ProviderOption{goose.WithTableName("audit_migrations"), goose.WithDisableGlobalRegistry(true)}
	if !isSQLite(db) {
		dialect, dir = goose.DialectPostgres, "migrations/postgres"
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrating), lock.WithLockTimeout(1, 60))
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db.DB, files, options...)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// isSQLite asks for the placeholders that the driver takes. A driver
// registered under a name that sqlx does not know counts as SQLite.
func isSQLite(db *sqlx.DB) bool { return sqlx.BindType(db.DriverName()) != sqlx.DOLLAR }

package ledger

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"lethe/audit"
)

//go:embed migration
var migrations embed.FS

// migrating is the advisory lock of processes that migrate the book; any number
// will do that nobody else uses.
const migrating = 0x6c657468_626f6f6b // "leth" "book"

// migrate brings the tables of the book and of its log up to date. On
// PostgreSQL processes that start at once wait for each other.
func (l *Ledger) migrate(ctx context.Context) error {
	if err := l.migrateBook(ctx); err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	if err := audit.Migrate(ctx, l.db); err != nil {
		return fmt.Errorf("migrate log: %w", err)
	}
	return nil
}

func (l *Ledger) migrateBook(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migration/"+l.sql.folder)
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true)}
	if l.sql.versions != "" {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrating), lock.WithLockTimeout(1, 60))
		if err != nil {
			return err
		}
		options = append(options, goose.WithTableName(l.sql.versions), goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(l.sql.goose, l.db.DB, dir, options...)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

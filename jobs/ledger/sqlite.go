package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3" // the ledger's database driver

	"lethe/audit/fault"
)

// openSQLite takes the folder's lock and opens the database in it.
func (l *Ledger) openSQLite(ctx context.Context, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make ledger folder: %w", err)
	}
	if l.lock, err = lockFile(filepath.Join(dir, "ledger.lock")); err != nil {
		return err
	}
	path := filepath.Join(dir, "ledger.db")
	if l.db, err = connect(ctx, path, "immediate", 1); err != nil {
		return err
	}
	if err := l.migrate(ctx); err != nil {
		return err
	}
	l.read, err = connect(ctx, path, "deferred", 4)
	return err
}

// connect opens one pool and asserts on each of its connections what
// durability rests on: go-sqlite3 forces synchronous=NORMAL unless it is told
// otherwise, and NORMAL loses acknowledged commits at a power cut.
func connect(ctx context.Context, path, lock string, conns int) (*sqlx.DB, error) {
	q := url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_secure_delete": {"on"}, "_busy_timeout": {"10000"},
		"_foreign_keys": {"on"}, "_txlock": {lock}, "_cache_size": {"-16384"}, "_stmt_cache_size": {"128"}, // nearly all statements that there are
	}
	if fault.Bug("ledger/any-durability") || fault.Bug("ledger/sync-normal") {
		q.Set("_synchronous", "NORMAL")
	}
	db, err := sqlx.Open("sqlite3", dsn(path, q))
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxLifetime(0)
	if err := assertDurable(ctx, db, conns); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

func assertDurable(ctx context.Context, db *sqlx.DB, conns int) error {
	held := make([]*sqlx.Conn, 0, conns)
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	for range conns { // held together, so that each is another connection
		c, err := db.Connx(ctx)
		if err != nil {
			return fmt.Errorf("open ledger: %w", err)
		}
		held = append(held, c)
		var mode string
		var sync int
		if err := errors.Join(c.GetContext(ctx, &mode, "PRAGMA journal_mode"), c.GetContext(ctx, &sync, "PRAGMA synchronous")); err != nil {
			return fmt.Errorf("open ledger: %w", err)
		}
		if fault.Bug("ledger/any-durability") || fault.Bug("ledger/sync-normal") {
			continue
		}
		if mode != "wal" || sync != 2 {
			return fmt.Errorf("%w: journal_mode=%s synchronous=%d, want wal and 2 (FULL)", ErrUnsafe, mode, sync)
		}
	}
	return nil
}

// lockFile keeps a second process from migrating or serving the same ledger.
// The lock goes with the process, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock ledger: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock ledger: %w", ErrLocked)
	}
	return f, nil
}

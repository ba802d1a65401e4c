package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/jmoiron/sqlx"
	sqlite3 "github.com/mattn/go-sqlite3"
)

// backupPages is how much is copied at once, in pages of 4 KiB: between two such
// steps the copy can be given up.
const backupPages = 1024

// Backup copies the SQLite ledger in a folder to a file, which is empty, also while
// a service runs on it: SQLite's online backup, under one read transaction, so that
// the copy is of one moment whatever is written meanwhile. It is marked as a backup,
// see Restored. tell, if not nil, is told how many of how many pages are there.
//
// The copy has neither the log's key nor those of requests: what is sealed in it
// cannot be read without the folder of keys.
func Backup(ctx context.Context, dir, to string, tell func(done, total int)) (err error) {
	from, err := sqlx.Open("sqlite3", dsn(filepath.Join(dir, "ledger.db"), url.Values{"mode": {"ro"}, "_busy_timeout": {"10000"}, "_query_only": {"on"}}))
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	// Without a journal: what is left of a copy that fails is thrown away.
	copied, err := sqlx.Open("sqlite3", dsn(to, url.Values{"_journal_mode": {"OFF"}, "_synchronous": {"FULL"}, "_secure_delete": {"on"}}))
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	src, err := from.Connx(ctx)
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := copied.Connx(ctx)
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := snapshotInto(ctx, dst, src, tell); err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	return mark(ctx, dst)
}

func dsn(path string, q url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// snapshotInto copies while one transaction reads: a copy of a database that others
// change would begin anew each time, and never end under load.
func snapshotInto(ctx context.Context, dst, src *sqlx.Conn, tell func(done, total int)) error {
	tx, err := src.BeginTxx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has read
	var tables int
	if err := tx.GetContext(ctx, &tables, `SELECT count(*) FROM sqlite_schema`); err != nil { // here it begins
		return err
	}
	return dst.Raw(func(to any) error {
		return src.Raw(func(from any) error { return copyPages(ctx, to, from, tell) })
	})
}

func copyPages(ctx context.Context, to, from any, tell func(done, total int)) (err error) {
	dst, ok1 := to.(*sqlite3.SQLiteConn)
	src, ok2 := from.(*sqlite3.SQLiteConn)
	if !ok1 || !ok2 {
		return errors.New("not a connection of the SQLite driver")
	}
	b, err := dst.Backup("main", src, "main")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Finish()) }()
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if done, err = b.Step(backupPages); err != nil {
			return err
		}
		if tell != nil {
			tell(b.PageCount()-b.Remaining(), b.PageCount())
		}
	}
	return nil
}

// mark makes of a copy one file, without a write-ahead log, that says of itself that
// it is a backup.
func mark(ctx context.Context, dst *sqlx.Conn) error {
	var mode string
	if err := dst.GetContext(ctx, &mode, `PRAGMA journal_mode = DELETE`); err != nil {
		return fmt.Errorf("mark backup: %w", err)
	}
	if mode != "delete" {
		return fmt.Errorf("mark backup: the copy keeps the journal mode %s", mode)
	}
	if _, err := dst.ExecContext(ctx, `PRAGMA application_id = 1819568226`); err != nil {
		return fmt.Errorf("mark backup: %w", err)
	}
	return nil
}

// BackupMark is the SQLite application ID (bytes 68 to 71 of the file) of a copy that
// Backup has made and nobody has put back.
const BackupMark = 1819568226 // "lthb"

// Restored reports whether a database is a backup that was put back, and nothing has
// shown since that the log did not go on after it: see audit.Options.Restored. On
// PostgreSQL it is never known.
func Restored(ctx context.Context, db *sqlx.DB) (bool, error) {
	if db.DriverName() != "sqlite3" {
		return false, nil
	}
	var id int64
	if err := db.GetContext(ctx, &id, `PRAGMA application_id`); err != nil {
		return false, fmt.Errorf("open ledger: %w", err)
	}
	return id == BackupMark, nil
}

// unmark takes the mark of a backup away: what the ledger holds is known to be the
// newest, or another log has begun in it.
func unmark(ctx context.Context, tx *sqlx.Tx) error {
	if tx.DriverName() != "sqlite3" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `PRAGMA application_id = 0`)
	return err
}

// Settled is Write, with what is written taking the mark of a backup away.
func (l *Ledger) Settled(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error {
	return l.Write(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return unmark(ctx, tx)
	})
}

// believe takes the mark away if the log appends, so if an anchor has vouched for it.
func (l *Ledger) believe(ctx context.Context, restored bool) error {
	if !restored || l.log.Refusal() != nil {
		return nil
	}
	return l.Settled(ctx, func(context.Context, *sqlx.Tx) error { return nil })
}

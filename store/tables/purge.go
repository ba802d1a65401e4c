package tables

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Purge implements store.Purger: it rewrites every file without its free
// space, empties its write-ahead log, and looks whether that is so. Blocks that
// the file system has freed, backups and snapshots are beyond it.
func (s *Store) Purge(ctx context.Context) error {
	for _, f := range s.files {
		if err := purge(ctx, f); err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			if locked(err) {
				err = fmt.Errorf("%w: %w", store.ErrBusy, err)
			}
			return fmt.Errorf("purge: file %s: %w", f.Name, err)
		}
	}
	return nil
}

func purge(ctx context.Context, f File) (err error) {
	d, err := sit(ctx, connector{[]File{f}, "rw", waitMS})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	mode, err := texts(ctx, d.conn, "PRAGMA journal_mode")
	if err != nil {
		return err
	}
	wal := len(mode) == 1 && mode[0] == "wal"
	// Before, so that the log need not hold the file twice; and after.
	if err := checkpoint(ctx, d.conn, wal); err != nil {
		return err
	}
	if err := exec(ctx, d.conn, "VACUUM"); err != nil {
		return err
	}
	if err := checkpoint(ctx, d.conn, wal); err != nil {
		return err
	}
	return clean(ctx, d.conn, f)
}

// checkpoint moves the write-ahead log into the file and empties it, which
// another connection in the midst of reading prevents.
func checkpoint(ctx context.Context, conn *sqlx.Conn, wal bool) error {
	if !wal {
		return nil
	}
	var r struct{ Busy, Log, Checkpointed int }
	if err := sqlx.GetContext(ctx, conn, &r, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return coded(err)
	}
	if r.Busy != 0 {
		return fmt.Errorf("%w: the write-ahead log is in use", store.ErrBusy)
	}
	return nil
}

// clean returns an error wrapping store.ErrBusy if the file has free pages, or
// a journal or a log with anything in it: another process has written since.
func clean(ctx context.Context, conn *sqlx.Conn, f File) error {
	free, err := number(ctx, conn, "PRAGMA freelist_count")
	if err != nil {
		return err
	}
	if free != 0 {
		return fmt.Errorf("%w: %d free pages after VACUUM", store.ErrBusy, free)
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		info, err := os.Stat(f.Path + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at the journal: %w", err)
		}
		if info.Size() != 0 {
			return fmt.Errorf("%w: a journal of %d bytes after VACUUM", store.ErrBusy, info.Size())
		}
	}
	return nil
}

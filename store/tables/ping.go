package tables

import (
	"context"
	"fmt"
	"os"
	"slices"

	"lethe/store"
)

// standing looks at the files as their configured paths lead to them.
func (s *Store) standing() ([]os.FileInfo, error) {
	var there []os.FileInfo
	for _, f := range s.m.Files {
		info, err := os.Stat(f.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: %s file: %w", store.ErrUnavailable, f.Name, err)
		}
		there = append(there, info)
	}
	return there, nil
}

// inPlace returns an error if a path no longer leads to the file that was
// opened. SQLite goes on with a file that was moved away or replaced, and would
// erase from it, and verify, what nobody uses any more.
func (s *Store) inPlace() error {
	now, err := s.standing()
	if err != nil {
		return err
	}
	for i, f := range s.m.Files {
		if !os.SameFile(now[i], s.there[i]) {
			return fmt.Errorf("%w: %s file: it is another one than was opened", store.ErrUnavailable, f.Name)
		}
	}
	return nil
}

// writable begins to write to each file and takes it back. SQLite opens a file
// that may not be written to without a word. A file that others are just
// writing to is not asked.
func (s *Store) writable(ctx context.Context) error {
	var asked []string
	for _, p := range s.parts {
		if slices.Contains(asked, p.schema) {
			continue
		}
		asked = append(asked, p.schema)
		err := exec(ctx, s.writer.conn, "BEGIN")
		if err != nil {
			return err
		}
		err = exec(ctx, s.writer.conn, "DELETE FROM "+p.table+" WHERE 0")
		_ = exec(context.WithoutCancel(ctx), s.writer.conn, "ROLLBACK") // after some errors it has been
		if err != nil && !locked(err) {
			return fmt.Errorf("write to %s file: %w", p.File, err)
		}
	}
	return s.inPlace()
}

// Ping implements store.Pinger. It only looks whether the files are in place: to
// read them it would have to wait for who writes, or for a purge.
func (s *Store) Ping(context.Context) error {
	if err := s.inPlace(); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

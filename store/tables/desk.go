package tables

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"lethe/store"
)

// A desk is one connection that serves one caller at a time and lives as long
// as the store, so that its temporary tables do too.
type desk struct {
	turn chan struct{}
	db   *sqlx.DB
	conn *sqlx.Conn
}

func sit(ctx context.Context, c connector) (*desk, error) {
	db := c.open()
	conn, err := db.Connx(ctx)
	if err != nil {
		return nil, errors.Join(coded(err), db.Close())
	}
	return &desk{turn: make(chan struct{}, 1), db: db, conn: conn}, nil
}

func (d *desk) close() error {
	if d == nil {
		return nil
	}
	return errors.Join(d.conn.Close(), d.db.Close())
}

// take waits for the desk's turn.
func (d *desk) take(ctx context.Context) (release func(), err error) {
	select {
	case d.turn <- struct{}{}:
		return func() { <-d.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tx runs f between begin and COMMIT, or rolls back.
func tx(ctx context.Context, conn *sqlx.Conn, begin string, f func() error) error {
	if err := patiently(ctx, func() error { return exec(ctx, conn, begin) }); err != nil {
		return err
	}
	// The context must not cut a commit or a rollback short: its outcome
	// would be unknown.
	settled := context.WithoutCancel(ctx)
	err := f()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = patiently(ctx, func() error {
			if err := store.Leave(ctx); err != nil {
				return err
			}
			return exec(settled, conn, "COMMIT")
		})
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // and not the interruption that it caused
		}
		// After some errors SQLite has already rolled back and says so.
		_ = exec(settled, conn, "ROLLBACK")
	}
	return err
}

// read runs f in a transaction that only reads, again if need be: f must bear
// that. A connection that cannot write cannot roll back what a crash of the
// application has left in a journal either; the writer does it by reading.
func (s *Store) read(ctx context.Context, conn *sqlx.Conn, f func() error) error {
	once := func() error { return tx(ctx, conn, "BEGIN", f) }
	err := patiently(ctx, once)
	var c codeError
	if !errors.As(err, &c) || c.code != sqlite3.ErrReadonly && c.code != sqlite3.ErrCantOpen {
		return err
	}
	if _, err := s.changes(ctx); err != nil {
		return err
	}
	return patiently(ctx, once)
}

// patiently repeats f while another connection is in the way.
func patiently(ctx context.Context, f func() error) error {
	for i := 1; ; i++ {
		err := f()
		if err == nil || !locked(err) || i == waits {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func exec(ctx context.Context, conn *sqlx.Conn, sql string, args ...any) error {
	_, err := conn.ExecContext(ctx, sql, args...)
	return coded(err)
}

// texts returns the only column of a query.
func texts(ctx context.Context, q sqlx.QueryerContext, sql string, args ...any) ([]string, error) {
	var out []string
	err := sqlx.SelectContext(ctx, q, &out, sql, args...)
	return out, coded(err)
}

func number(ctx context.Context, q sqlx.QueryerContext, sql string, args ...any) (int64, error) {
	var n int64
	err := sqlx.GetContext(ctx, q, &n, sql, args...)
	return n, coded(err)
}

// list is how a batch of values is bound: one JSON array for json_each.
func list[T any](values []T) (string, error) {
	b, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("encode a batch: %w", err)
	}
	return string(b), nil
}

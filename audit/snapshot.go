package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// A querier reads: a pool, a connection or a transaction.
type querier = sqlx.QueryerContext

// snapshot runs f over one state of the database, whatever is appended
// meanwhile. f must not write.
func (l *Log) snapshot(ctx context.Context, f func(querier) error) (err error) {
	if !isSQLite(l.db) {
		tx, err := l.db.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return fmt.Errorf("begin to read: %w", err)
		}
		return errors.Join(f(tx), tx.Rollback())
	}
	// The pool may be one whose transactions begin with a lock for writing.
	conn, err := l.db.Connx(ctx)
	if err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, `BEGIN DEFERRED`); err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer func() {
		_, end := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		err = errors.Join(err, end)
	}()
	return f(conn)
}

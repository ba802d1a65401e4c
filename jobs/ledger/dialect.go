package ledger

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"

	"lethe/audit/proof"
)

// A dialect is all in which the statements of the two databases differ.
type dialect struct {
	folder   string // of migrations
	goose    goose.Dialect
	versions string // table of migrations; "" for goose's own
	lock     string // ends a SELECT: its rows are the transaction's until it ends
}

// takeOf ends a SELECT: its rows of a table are the transaction's, but for those
// that are another's, which are left out.
func (d dialect) takeOf(table string) string {
	if d.lock == "" {
		return ""
	}
	return d.lock + ` OF ` + table + ` SKIP LOCKED`
}

// sqlite: a transaction that writes has the database to itself.
func sqlite() dialect { return dialect{folder: "sqlite", goose: goose.DialectSQLite3} }

func postgres() dialect {
	return dialect{
		folder: "postgres", goose: goose.DialectPostgres, versions: "ledger_migrations",
		lock: ` FOR UPDATE`,
	}
}

// A querier is a database or a transaction that is asked.
type querier interface {
	sqlx.QueryerContext
	Rebind(query string) string
}

// A txn is a transaction that changes the book. What it logs is kept if, and
// only if, the change is.
type txn struct {
	*sqlx.Tx
	sql dialect
	log func(context.Context, ...proof.Entry) error
}

// lock makes the transaction the only one that changes a request, until it
// ends. It is taken before any other row of the request, so that no two wait
// for each other, and each statement after it sees what was committed before.
// Of a request that is not there nothing is locked.
func (t *txn) lock(ctx context.Context, request string) error {
	if t.sql.lock == "" {
		return nil
	}
	var ids []string
	return t.SelectContext(ctx, &ids, t.Rebind(`SELECT id FROM requests WHERE id = ?`+t.sql.lock), request)
}

// What alone is for; the numbers are the first halves of advisory locks.
const enqueueing = 0x6c657468 // "leth"

// alone makes the transaction the only one that does such a thing for a store.
func (t *txn) alone(ctx context.Context, what int32, store string) error {
	if t.sql.lock == "" {
		return nil
	}
	_, err := t.ExecContext(ctx, t.Rebind(`SELECT pg_advisory_xact_lock(?, hashtext(?))`), what, store)
	return err
}

// collided reports whether PostgreSQL undid a transaction because of another
// one. Nothing of it is left, and it may be tried again.
func collided(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains([]string{"40001", "40P01"}, e.Code)
}

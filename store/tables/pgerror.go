package tables

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"lethe/store"
)

// A pgError is an error of PostgreSQL without its text, which can quote rows
// and, if it is one of a connection, the address.
type pgError struct {
	code string // SQLSTATE
	text string
	kind error // the sentinel it wraps, or nil
}

func (e pgError) Error() string {
	text := fmt.Sprintf("postgres: %s (%s)", e.text, e.code)
	if e.kind != nil {
		return e.kind.Error() + ": " + text
	}
	return text
}

func (e pgError) Unwrap() error { return e.kind }

// pgCodeOf returns the SQLSTATE of what pgCoded made, or "".
func pgCodeOf(err error) string {
	var e pgError
	errors.As(err, &e)
	return e.code
}

// pgCoded reduces an error to what PostgreSQL's code says.
func pgCoded(ctx context.Context, err error) error {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &e):
		return fmt.Errorf("%w: no answer from PostgreSQL", store.ErrUnavailable)
	}
	coded := pgError{code: e.Code}
	switch class := e.Code[:min(2, len(e.Code))]; {
	case e.Code == "40001", e.Code == "40P01", e.Code == "55P03", e.Code == "57014":
		coded.kind, coded.text = store.ErrBusy, "another transaction is in the way or it took too long"
	case class == "08", strings.HasPrefix(e.Code, "57P"), class == "53":
		coded.kind, coded.text = store.ErrUnavailable, "the server is going, starting or full"
	case class == "28":
		coded.kind, coded.text = store.ErrDenied, "the server does not accept the user or the password"
	case e.Code == "3D000":
		coded.kind, coded.text = store.ErrUnavailable, "the server has no such database"
	case e.Code == "42501":
		coded.kind, coded.text = store.ErrSchema, "a permission is missing"
	case e.Code == "25006":
		coded.kind, coded.text = store.ErrUnavailable, "the database is read only"
	case e.Code == "23503":
		coded.text = fmt.Sprintf("rows of table %s still refer to rows that are to go, by its constraint %s: map the table as a child", e.TableName, e.ConstraintName)
	case e.Code == "42P01", e.Code == "42703", e.Code == "3F000":
		coded.kind, coded.text = store.ErrSchema, "a table, a column or a schema of the map is gone"
	default:
		coded.text = "error"
	}
	return coded
}

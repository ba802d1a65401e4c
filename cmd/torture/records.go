//go:build torture

package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // for the ledger in PostgreSQL
)

// records is how the oracle reads a ledger: the tables themselves, in SQLite or
// in PostgreSQL. Queries are written for SQLite.
type records struct {
	*sql.DB
	postgres bool
}

func (h *house) records() (*records, error) {
	if h.ledger != "" {
		db, err := sql.Open("pgx", h.ledger)
		return &records{db, true}, err
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(h.dir, "data", "ledger.db")+"?_busy_timeout=10000")
	return &records{db, false}, err
}

var asHex = regexp.MustCompile(`\bhex\(([a-z.]+)\)`)

// spelled is a query as the database has it.
func (r *records) spelled(query string) string {
	if !r.postgres {
		return query
	}
	parts := strings.Split(asHex.ReplaceAllString(query, `COALESCE(encode($1, 'hex'), '')`), "?")
	for i := range parts[1:] {
		parts[i] += "$" + strconv.Itoa(i+1)
	}
	return strings.Join(parts, "")
}

func (r *records) column(ctx context.Context, query string, args ...any) ([]string, error) {
	return column(ctx, r.DB, r.spelled(query), args...)
}

func (r *records) count(ctx context.Context, query string) (n int, err error) {
	err = r.QueryRowContext(ctx, r.spelled(query)).Scan(&n)
	return n, err
}

// dump is all that stands in the tables of a ledger in PostgreSQL, as text:
// bytes are hexadecimal.
func (r *records) dump(ctx context.Context) (string, error) {
	tables, err := r.column(ctx, `SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()`)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range tables {
		rows, err := r.column(ctx, fmt.Sprintf(`SELECT t::text FROM %q t`, name))
		if err != nil {
			return "", err
		}
		for _, row := range rows {
			b.WriteString(row)
			b.WriteByte('\n')
		}
	}
	return b.String(), nil
}

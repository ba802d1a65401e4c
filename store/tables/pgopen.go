package tables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Limits of what Lethe does to a customer's server, as settings of each
// connection.
const (
	pgStatement = "60s" // one statement
	pgLock      = "3s"  // waiting for another transaction
	pgConnect   = 10 * time.Second
	pgConns     = 8 // of each of the two pools
)

// A PostgresConfig says where a Postgres's rows are.
type PostgresConfig struct {
	DSN string // a URL or key=value text for pgx; never repeated in an error
	Map Map    // of one File, whose Path is not used; tables as the search path finds them

	// Beside is the map of SQLite files with what hangs on the rows of Map, or
	// nil. It names the places of Map that it knows as Elsewhere.
	Beside *Map
}

// A Postgres erases what a Map declares in one PostgreSQL database, and in
// SQLite files beside it. It is a store.Store, a store.Checker and a
// store.Limiter, and no Purger: see the package's Decisions.
type Postgres struct {
	m      Map
	parts  []*pgPart
	live   string   // layout when opened
	db     *sqlx.DB // for all but Remaining
	second *sqlx.DB // for Remaining: its own connections, read only
	beside *Store   // or nil

	backlinks *pgBacklinks // for Erase
	seen      *pgBacklinks // for Remaining
}

// A pgPart is a Place as PostgreSQL's statements see it. A place with Ties has a
// part for each.
type pgPart struct {
	Place
	oid   uint32
	table string // quoted
	id    pgKey
	by    pgKey // what it hangs on
	null  bool  // a column of the ID can be NULL

	members  map[string]pgMember // of Match
	metadata pgMember
	created  pgMember // and expires: without a Column where the table does not say
	expires  pgMember
	ties     map[string]pgMember // by column
}

// OpenPostgres connects and compares the tables with the map. The error wraps
// store.ErrRefused for a map that cannot be used, store.ErrSchema for tables
// that are not as the map says and for a GRANT that is missing, store.ErrDenied
// if the server does not accept the user, and store.ErrUnavailable if nobody
// answers, or a server that cannot be used: a replica, or one that is read
// only.
func OpenPostgres(ctx context.Context, c PostgresConfig) (*Postgres, error) {
	s := &Postgres{m: c.Map}
	if err := s.open(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("open: %w", err), s.Close())
	}
	return s, nil
}

func (s *Postgres) open(ctx context.Context, c PostgresConfig) (err error) {
	if err := c.Map.Validate(); err != nil {
		return err
	}
	if len(c.Map.Elsewhere) > 0 {
		return fmt.Errorf("%w: what hangs on rows of another database can be in SQLite files alone", store.ErrRefused)
	}
	for _, p := range c.Map.Places {
		if c.Beside != nil && p.Ties != nil && slices.Contains(c.Beside.Elsewhere, p.Name) {
			return fmt.Errorf("%w: place %q: what hangs on rows that belong to several people must be in the same database", store.ErrRefused, p.Name)
		}
	}
	if s.db, err = pgPool(c.DSN, false); err != nil {
		return err
	}
	if s.second, err = pgPool(c.DSN, true); err != nil {
		return err
	}
	if err := s.primary(ctx); err != nil {
		return err
	}
	if err := s.fit(ctx); err != nil {
		return err
	}
	s.backlinks, s.seen = newPgBacklinks(s.parts), newPgBacklinks(s.parts)
	if s.live, err = s.layout(ctx, s.db); err != nil {
		return err
	}
	if c.Beside != nil {
		s.beside, err = Open(ctx, *c.Beside)
	}
	return err
}

func pgPool(dsn string, readOnly bool) (*sqlx.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // its text can hold the address
		return nil, fmt.Errorf("%w: the address of the database does not parse", store.ErrUnavailable)
	}
	config.ConnectTimeout = pgConnect
	for name, value := range map[string]string{
		"application_name": "lethe", "statement_timeout": pgStatement, "lock_timeout": pgLock,
		"idle_in_transaction_session_timeout": pgStatement, "standard_conforming_strings": "on",
		"default_transaction_isolation": "read committed", "synchronous_commit": "on",
		"row_security":         "off",               // rows that a policy hides are an error, and not none
		"synchronize_seqscans": "off",               // two erasures go through a table in one order
		"jit":                  "off",               // it compiles longer than a batch takes
		"plan_cache_mode":      "force_custom_plan", // a batch that the planner sees is looked up by hash
	} {
		config.RuntimeParams[name] = value
	}
	if readOnly {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	}
	db := sqlx.NewDb(stdlib.OpenDB(*config), "pgx")
	db.SetMaxOpenConns(pgConns)
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

// Close implements store.Store.
func (s *Postgres) Close() error {
	var errs []error
	for _, db := range []*sqlx.DB{s.db, s.second} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.beside != nil {
		errs = append(errs, s.beside.Close())
	}
	return errors.Join(errs...)
}

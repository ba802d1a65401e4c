package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

const (
	oldestPostgres = 130000 // server_version_num
	pgConnect      = 5 * time.Second
	pgSilence      = 20 * time.Second // of a machine that may be gone
	pgStatement    = "15s"            // one statement
	pgLock         = "10s"            // of which waiting for other transactions
	pgIdle         = "20s"            // a transaction whose process was stopped lets go of its rows
	pgConns        = 12               // of each of the two pools
)

// openPostgres connects to the primary, makes sure of it and migrates.
func (l *Ledger) openPostgres(ctx context.Context, address string, alone bool) (err error) {
	if l.db, err = pool(address, false); err != nil {
		return err
	}
	if l.read, err = pool(address, true); err != nil {
		return err
	}
	if err := l.db.PingContext(ctx); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	if err := mayMigrate(ctx, l.db); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	if err := l.attend(ctx, alone); err != nil {
		return err
	}
	return plain(l.migrate(ctx))
}

// serving is the first half of the advisory lock of processes that have the
// ledger open; the second is the schema's.
const (
	serving = 0x6c657473 // "lets"
	turning = 0x6c657474 // "lett"; of Turn
)

// attend takes the lock on a connection of its own, with which it goes. It keeps
// people from a mistake, and nothing rests on it.
func (l *Ledger) attend(ctx context.Context, alone bool) error {
	conn, err := l.db.Connx(ctx)
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	l.presence = conn
	take := `SELECT pg_try_advisory_lock_shared($1, hashtext(current_schema()))`
	if l.alone = alone; alone {
		take = `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`
	}
	var ok bool
	if err := l.presence.GetContext(ctx, &ok, take, serving); err != nil {
		return errors.Join(fmt.Errorf("lock ledger: %w", plain(err)), l.presence.Close())
	}
	if !ok { // closed, so that stay tries again
		return errors.Join(fmt.Errorf("lock ledger: %w", ErrLocked), l.presence.Close())
	}
	return nil
}

// leave gives the lock back, so that whoever waits for this process to stop finds
// it free: a server notices that a connection was closed only a moment later.
func (l *Ledger) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = l.presence.ExecContext(ctx, `SELECT pg_advisory_unlock_all()`) // or it goes with its connection
	_ = l.presence.Close()
}

// stay takes the lock again if its connection is gone, with a server that was
// restarted.
func (l *Ledger) stay(ctx context.Context) {
	if l.presence.PingContext(ctx) == nil {
		return
	}
	_ = l.presence.Raw(func(any) error { return driver.ErrBadConn }) // or its lock would go on in the pool
	_ = l.attend(ctx, l.alone)
}

// Turn lets one process at a time do what is not a transaction: it returns how to
// end the turn, or nil if it is another's. On SQLite it is always this one's.
func (l *Ledger) Turn(ctx context.Context) (end func(), err error) {
	if l.sequencer == nil {
		return func() {}, nil
	}
	conn, err := l.db.Connx(ctx)
	if err != nil {
		return nil, fmt.Errorf("take turn: %w", err)
	}
	var ok bool
	err = conn.GetContext(ctx, &ok, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, turning)
	if err != nil || !ok {
		return nil, errors.Join(plain(err), conn.Close())
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pgConnect)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1, hashtext(current_schema()))`, turning); err != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the lock goes with its connection
		}
		_ = conn.Close() // given back, or gone
	}, nil
}

// Reader returns a pool that can only read the ledger at a PostgreSQL address,
// beside whoever serves it.
func Reader(ctx context.Context, address string) (*sqlx.DB, error) {
	db, err := pool(address, true)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger: %w", err), db.Close())
	}
	return db, nil
}

// Begun reports whether there is a ledger at a PostgreSQL address: the key of its
// log must be somewhere.
func Begun(ctx context.Context, address string) (begun bool, err error) {
	db, err := Reader(ctx, address)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.GetContext(ctx, &begun, `SELECT to_regclass('audit_log') IS NOT NULL`)
	return begun, plain(err)
}

// pool returns a pool whose every connection is made sure of when it is opened.
func pool(address string, readOnly bool) (*sqlx.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil { // its text can hold the address
		return nil, errors.New("open ledger: the address of the database does not parse: want postgres://user@host/database")
	}
	config.ConnectTimeout, config.DialFunc = pgConnect, dial
	for name, value := range map[string]string{
		"application_name": "lethe", "statement_timeout": pgStatement, "lock_timeout": pgLock, "client_encoding": "UTF8",
		"idle_in_transaction_session_timeout": pgIdle, "standard_conforming_strings": "on", "TimeZone": "UTC",
		"default_transaction_isolation": "read committed", "synchronous_commit": "on",
	} {
		config.RuntimeParams[name] = value
	}
	if readOnly {
		config.RuntimeParams["default_transaction_read_only"] = "on"
		config.RuntimeParams["statement_timeout"] = "0" // to walk over a large log takes as long as it takes
	}
	db := sqlx.NewDb(sql.OpenDB(connector{stdlib.GetConnector(*config, stdlib.OptionAfterConnect(suits))}), "pgx")
	db.SetMaxOpenConns(pgConns)
	db.SetMaxIdleConns(pgConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

// dial connects so that silence of the other machine, which is gone without having
// said so, ends the connection. The database itself may take as long as it takes.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: pgSilence / 4, Interval: pgSilence / 4, Count: 3}}
	if strings.HasPrefix(network, "tcp") {
		d.Control = func(_, _ string, c syscall.RawConn) (err error) {
			if out := c.Control(func(fd uintptr) { err = bound(fd) }); out != nil {
				return out
			}
			return err
		}
	}
	return d.DialContext(ctx, network, address)
}

// A connector says of a connection that failed no more than what to do about
// it: the driver's own text has the address in it.
type connector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	var unsuited *unsuitedError
	if err == nil || errors.As(err, &unsuited) {
		return conn, err
	}
	var e *pgconn.PgError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &e):
		return nil, plain(e)
	}
	return nil, errAway
}

// errAway says that the ledger's database cannot be reached. It is asked again
// with every new connection.
var errAway = errors.New("postgres: the database does not answer: is the address right, does the server run, and do both want TLS (sslmode)?")

// An unsuitedError says what is wrong with a server.
type unsuitedError struct{ problem string }

func (e *unsuitedError) Error() string { return ErrUnsafe.Error() + ": postgres: " + e.problem }

func (e *unsuitedError) Unwrap() error { return ErrUnsafe }

// suits refuses a connection that would not keep what was acknowledged, or
// would read what is out of date. The log asks for the first again in each
// transaction of its own.
func suits(ctx context.Context, conn *pgx.Conn) (err error) {
	var (
		version, encoding, commit, fsync, pages string
		number                                  int
		copies                                  bool
	)
	defer func() {
		if err != nil {
			_ = conn.Close(ctx) // nobody else will
		}
	}()
	row := conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num')::int, current_setting('server_encoding'),
		current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery()`)
	if err := row.Scan(&version, &number, &encoding, &commit, &fsync, &pages, &copies); err != nil {
		return err
	}
	switch {
	case number < oldestPostgres:
		return &unsuitedError{"the server is version " + version + ", want 13 or newer"}
	case encoding != "UTF8":
		return &unsuitedError{"the database's encoding is " + encoding + ", want UTF8"}
	case commit != "on" && commit != "remote_apply":
		return &unsuitedError{"synchronous_commit is " + commit + ", want on"}
	case fsync != "on" || pages != "on":
		return &unsuitedError{"fsync is " + fsync + " and full_page_writes " + pages + ", want both on"}
	case copies:
		return &unsuitedError{"the server is a replica; give the address of the primary"}
	}
	return nil
}

// mayMigrate says which right is missing, before a migration stops at it.
func mayMigrate(ctx context.Context, db *sqlx.DB) error {
	var schema sql.NullString
	if err := db.GetContext(ctx, &schema, `SELECT current_schema()`); err != nil {
		return plain(err)
	}
	if !schema.Valid {
		return errors.New("postgres: no schema to make tables in: GRANT USAGE, CREATE ON SCHEMA public TO the user of the address, or set its search_path")
	}
	var made, may bool
	row := db.QueryRowxContext(ctx, `SELECT to_regclass('requests') IS NOT NULL, has_schema_privilege(current_schema(), 'CREATE')`)
	if err := row.Scan(&made, &may); err != nil {
		return plain(err)
	}
	if !made && !may {
		return fmt.Errorf("postgres: the user of the address may not make tables: GRANT USAGE, CREATE ON SCHEMA %s to it", pgx.Identifier{schema.String}.Sanitize())
	}
	return nil
}

// plain words an error of PostgreSQL by its code: its text may quote what was
// stored, and what a connection says may have the address in it. Errors that
// did not come from there it leaves alone.
func plain(err error) error {
	var e *pgconn.PgError
	var lost *pgconn.ConnectError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lost):
		return errAway
	case !errors.As(err, &e):
		return err
	}
	switch class := e.Code[:min(2, len(e.Code))]; {
	case class == "28":
		return &codedError{"the server does not accept the user or the password", e}
	case e.Code == "3D000":
		return &codedError{"there is no such database; make it first", e}
	case e.Code == "42501":
		return &codedError{"a permission is missing; the user of the address must own the ledger's tables", e}
	case e.Code == "08P01":
		return &codedError{"what answers does not take a server's settings: give the address of the server itself, not of a pooler", e}
	case class == "08", class == "57", class == "53":
		return &codedError{"the server is going, starting, full or too slow", e}
	}
	return &codedError{"the server refused a statement", e}
}

// A codedError keeps what PostgreSQL said for errors.As and out of its text.
type codedError struct {
	problem string
	cause   *pgconn.PgError
}

func (e *codedError) Error() string { return "postgres: " + e.problem + " (" + e.cause.Code + ")" }

func (e *codedError) Unwrap() error { return e.cause }

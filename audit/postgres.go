package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"
)

// appending is the advisory lock of whoever appends; any number will do that
// nobody else uses.
const appending = 0x6c657468_6c6f6730 // "leth" "log0"

// ErrFenced is wrapped when another process has appended since this one read
// where the log stands. Nothing was appended; begin again from what is stored.
var ErrFenced = errors.New("another process has appended to the log")

// durablePostgres refuses a session on which a commit may be lost after it was
// answered. With synchronous_commit=off the server answers before it writes,
// with local before a synchronous standby has it, and with remote_write before
// the standby's disk has it. on and remote_apply are left: on waits for the
// standbys that synchronous_standby_names lists. If it lists none, a standby
// that is promoted lacks the newest heads, which is for the guard to find.
// Without fsync nothing is on disk, and without full_page_writes a page that
// was half written stays so. It returns the isolation of the transaction too.
func durablePostgres(ctx context.Context, q sqlx.QueryerContext) (isolation string, err error) {
	var commit, fsync, pages string
	row := q.QueryRowxContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'),
		current_setting('full_page_writes'), current_setting('transaction_isolation')`)
	if err := row.Scan(&commit, &fsync, &pages, &isolation); err != nil {
		return "", fmt.Errorf("ask for synchronous_commit: %w", err)
	}
	if commit != "on" && commit != "remote_apply" {
		return "", fmt.Errorf("synchronous_commit is %s: a commit could be lost; set it on", commit)
	}
	if fsync != "on" || pages != "on" {
		return "", fmt.Errorf("fsync is %s and full_page_writes %s: a commit could be lost; set both on", fsync, pages)
	}
	return isolation, nil
}

// claim waits until no other transaction appends. The lock is the
// transaction's, so it also holds behind a pooler of connections. On SQLite the
// transaction itself is the lock.
func (l *Log) claim(ctx context.Context, tx *sqlx.Tx) error {
	if isSQLite(l.db) {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(appending)); err != nil {
		return fmt.Errorf("wait to append: %w", err)
	}
	return nil
}

// fence moves the head row from one size of this log to another, if it still
// stands there; else the error wraps [ErrFenced]. The row is what makes it safe
// to lose the lock without noticing: who comes too late changes no row, and if
// the other one has not committed yet, waits for it here.
func (l *Log) fence(ctx context.Context, tx *sqlx.Tx, from, to int64, hashes *reader) error {
	if isSQLite(l.db) {
		return nil
	}
	before, errA := tlog.TreeHash(from, hashes)
	after, errB := tlog.TreeHash(to, hashes)
	if err := errors.Join(errA, errB); err != nil {
		return fmt.Errorf("roots of sizes %d and %d: %w", from, to, err)
	}
	r, err := tx.ExecContext(ctx, `UPDATE audit_head SET size = $1, root = $2 WHERE one = 1 AND log = $3 AND size = $4 AND root = $5`,
		to, after[:], l.base>>shift, from, before[:])
	if err != nil {
		return fmt.Errorf("replace head: %w", err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return fmt.Errorf("replace head: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("replace head: %w", ErrFenced)
	}
	return nil
}

// takeHeadRow makes the head row that of this log, which is empty, and so
// fences the one before. A trigger does it too, but whoever spoiled that log may
// have dropped it.
func (l *Log) takeHeadRow(ctx context.Context, tx *sqlx.Tx) error {
	if isSQLite(l.db) {
		return nil
	}
	empty, err := tlog.TreeHash(0, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE audit_head SET log = $1, size = 0, root = $2 WHERE one = 1`, l.base>>shift, empty[:]); err != nil {
		return fmt.Errorf("take head row: %w", err)
	}
	return nil
}

// A mark is where the newest log of the database stands.
type mark struct {
	log, size int64
	root      tlog.Hash
}

// mark reads the head row, and whether the outbox holds anything.
func (l *Log) mark(ctx context.Context, q sqlx.QueryerContext) (m mark, waiting bool, err error) {
	var root []byte
	row := q.QueryRowxContext(ctx, `SELECT log, size, root, EXISTS (SELECT 1 FROM audit_outbox) FROM audit_head`)
	if err := row.Scan(&m.log, &m.size, &root, &waiting); err != nil {
		return m, false, fmt.Errorf("read head row: %w", err)
	}
	copy(m.root[:], root) // its length is checked by the table
	return m, waiting, nil
}

// checkHeadRow makes sure that the head row, which may be updated, agrees with
// the newest head, which may not.
func (l *Log) checkHeadRow(ctx context.Context, q sqlx.QueryerContext, h Head) error {
	if isSQLite(l.db) {
		return nil
	}
	m, _, err := l.mark(ctx, q)
	if err != nil {
		return err
	}
	if m.log == l.base>>shift && (m.size != h.Size || m.root != h.Root) {
		return fmt.Errorf("%w: the head row stands at size %d, the newest head at %d", ErrBroken, m.size, h.Size)
	}
	return nil
}

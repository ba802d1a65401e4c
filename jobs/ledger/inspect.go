package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// A Pulse is what a ledger's tables say of whether somebody works on it.
type Pulse struct {
	Unrung    int `db:"unrung"`    // tasks that have been due for longer than is usual, and that nobody has rung for
	Unclaimed int `db:"unclaimed"` // tasks that were rung for as long ago, and that no worker has taken
	Running   int `db:"running"`   // tasks that a worker has
}

// PulseOf reads it, from a database that may only be read, as of now. What was due
// before then minus the patience counts.
func PulseOf(ctx context.Context, db *sqlx.DB, now time.Time, patience time.Duration) (p Pulse, err error) {
	before := millis(now.Add(-patience))
	err = db.GetContext(ctx, &p, db.Rebind(`SELECT
		coalesce(sum(CASE WHEN state = 'ready' AND next_at < ? THEN 1 ELSE 0 END), 0) AS unrung,
		coalesce(sum(CASE WHEN state = 'queued' AND queued_at < ? THEN 1 ELSE 0 END), 0) AS unclaimed,
		coalesce(sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END), 0) AS running
		FROM outbox`), before, before)
	if err != nil {
		return p, fmt.Errorf("read the outbox: %w", plain(err))
	}
	return p, nil
}

// OpenIDs returns the requests that have not ended and the holds that stand. Each has
// a seal key, without which nobody knows whom it is about.
func OpenIDs(ctx context.Context, db *sqlx.DB) (requests, holds []string, err error) {
	err = db.SelectContext(ctx, &requests, `SELECT id FROM requests WHERE completed_at IS NULL ORDER BY id`)
	if err == nil {
		err = db.SelectContext(ctx, &holds, `SELECT id FROM holds WHERE state <> 'ended' ORDER BY id`)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read open requests: %w", plain(err))
	}
	return requests, holds, nil
}

// LiveTokens returns how many tokens are good for anything at a time.
func LiveTokens(ctx context.Context, db *sqlx.DB, now time.Time) (n int, err error) {
	err = db.GetContext(ctx, &n, db.Rebind(`SELECT count(*) FROM tokens WHERE revoked_at IS NULL AND expires_at > ?`), millis(now))
	if err != nil {
		return 0, fmt.Errorf("count tokens: %w", plain(err))
	}
	return n, nil
}

// Serving returns how many processes have the ledger open on PostgreSQL.
func Serving(ctx context.Context, db *sqlx.DB) (n int, err error) {
	err = db.GetContext(ctx, &n, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1
		AND objid = ((hashtext(current_schema())::bigint & 4294967295)::oid) AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, serving)
	if err != nil {
		return 0, fmt.Errorf("ask who serves the ledger: %w", plain(err))
	}
	return n, nil
}

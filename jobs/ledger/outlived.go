package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
)

// What one turn deletes, and one of its transactions: a request may have a thousand
// batches with a receipt of 32 kB each.
const (
	outlivedInTurn = 10_000
	outlivedAtOnce = 16
)

// outliving finds requests that ended so long ago that their record is to go. Who
// could still prove with it what was in it, the holder of the subject key, must be
// gone before, and nobody be left to be told. While there are digests of what it
// erased, it says when and which parts were exempt: a replay goes by that.
const outliving = `SELECT id FROM requests r WHERE outlived_at IS NULL AND key_gone = 1 AND completed_at < ?
	AND (regime <> ? OR completed_at < ?) AND NOT EXISTS (SELECT 1 FROM notices n WHERE n.request = r.id)
	AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.request = r.id)
	AND NOT EXISTS (SELECT 1 FROM marks m JOIN jobs j ON j.id = m.job WHERE j.request = r.id)
	AND NOT EXISTS (SELECT 1 FROM watches w WHERE w.request = r.id AND w.done_at IS NULL)
	ORDER BY completed_at LIMIT ?`

// outlived is what of a record goes, in this order. What stays of the row says that
// there was a request, when, under which law, who filed it (an opaque ID) and how it
// ended, and which entry of the log is its certificate.
func outlived() []string {
	return []string{
		`DELETE FROM batches WHERE job IN (SELECT id FROM jobs WHERE request = ?)`,
		`DELETE FROM outbox WHERE request = ?`,
		`DELETE FROM jobs WHERE request = ?`,
		`DELETE FROM exemptions WHERE request = ?`,
		`DELETE FROM webhooks WHERE request = ?`,
		`DELETE FROM watches WHERE request = ?`,
		`UPDATE requests SET ticket = '', ground = '', subject = '', ticket_hmac = '', plan_hash = '', approved_hash = '', beyond = '[]',
		brakes = '', extend_reason = '', extended_by = '', approved_by = '', cancelled_by = '', idempotency = NULL, body = NULL
		WHERE id = ?`,
	}
}

// Outlived deletes the records of requests that ended before a time, and of those
// under the CCPA that ended before ccpa, at most outlivedInTurn, and returns how
// many. It is idempotent, and durable when it returns. On SQLite the file is
// rewritten, which holds writers up meanwhile, and only then a record counts as
// deleted: a crash in between has it done again. On PostgreSQL the server's own
// VACUUM removes what was deleted, and its archive of the write-ahead log has it for
// as long as that is kept.
func (l *Ledger) Outlived(ctx context.Context, before, ccpa time.Time) (int, error) {
	if fault.Bug("ledger/ccpa-short") {
		ccpa = before
	}
	var ids []string
	err := l.read.SelectContext(ctx, &ids, l.read.Rebind(outliving), millis(before), jobs.CCPA, millis(ccpa), outlivedInTurn)
	if err != nil {
		return 0, fmt.Errorf("find outlived records: %w", err)
	}
	if len(ids) == 0 { // mostly; and it costs no write
		return 0, nil
	}
	if err := l.forEach(ctx, ids, outlived()...); err != nil {
		return 0, fmt.Errorf("delete outlived records: %w", err)
	}
	if err := l.rewrite(ctx); err != nil {
		return 0, fmt.Errorf("rewrite the ledger: %w", err)
	}
	err = l.forEach(ctx, ids, fmt.Sprintf(`UPDATE requests SET outlived_at = %d WHERE id = ? AND outlived_at IS NULL`, millis(l.now())))
	if err != nil {
		return 0, fmt.Errorf("mark outlived records: %w", err)
	}
	return len(ids), nil
}

// forEach runs statements with the ID of each request, a few requests a transaction.
func (l *Ledger) forEach(ctx context.Context, ids []string, statements ...string) error {
	for some := range slices.Chunk(ids, outlivedAtOnce) {
		err := l.write(ctx, func(ctx context.Context, tx *txn) error {
			for _, id := range some {
				if err := tx.lock(ctx, id); err != nil {
					return err
				}
				for _, statement := range statements {
					if _, err := tx.ExecContext(ctx, tx.Rebind(statement), id); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rewrite writes a SQLite ledger anew, and empties its write-ahead log: what was
// deleted may have copies in pages that were split before.
func (l *Ledger) rewrite(ctx context.Context) error {
	if l.writer == nil {
		return nil
	}
	if _, err := l.db.ExecContext(ctx, `VACUUM`); err != nil {
		return err
	}
	var busy, frames, moved int
	if err := l.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return errStillRead
	}
	return nil
}

// errStillRead: what was deleted may stand in the write-ahead log yet. It is tried
// again.
var errStillRead = errors.New("the write-ahead log cannot be emptied while somebody reads from it")

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit"
	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
)

// Imported is what came back to the log after the database had been put back
// to an older state. Requests are named by their IDs.
type Imported struct {
	Entries int64
	Ended   []string // the book had them open; the log says that they ended, and now so does the book
	Lost    []string // accepted and not ended, and not in the book: they must be asked for again
	Unknown []string // accepted and ended, and not in the book, which says nothing of them
	Forgot  int      // completed, so that the book has no digests of whom they forgot: see remember
	Holds   []string // holds that stand by the log and are not in the book: they must be placed again
}

// Import brings back to the log what it has lost, from a copy of it, see
// audit.Log.Import, and the book along with it. Subject keys are kept for keep
// after a request's end. No service may run on the ledger, whose lock l holds.
func (l *Ledger) Import(ctx context.Context, fetch proof.Fetch, keep time.Duration) (Imported, error) {
	f := follower{ledger: l, keep: keep, lost: map[string]bool{}, holds: map[string]bool{}}
	n, err := l.log.Import(ctx, audit.Import{Fetch: fetch, Write: l.Write, Each: f.follow})
	f.in.Entries = n
	f.in.Lost = slices.Sorted(maps.Keys(f.lost))
	f.in.Holds = slices.Sorted(maps.Keys(f.holds))
	if err != nil {
		return f.in, err
	}
	if err := l.believe(ctx, true); err != nil { // the copy has vouched for a backup that was put back
		return f.in, err
	}
	for _, id := range f.in.Ended { // after the commit, as for every end
		err = errors.Join(err, l.destroySeal(id))
	}
	return f.in, err
}

// Write runs f in a transaction of its own, on SQLite on the only connection that writes.
// It is for what has to be written whether or not the log appends.
func (l *Ledger) Write(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error {
	tx, err := l.db.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write to ledger: %w", plain(err))
	}
	if err := f(ctx, tx); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			err = errors.Join(err, back)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("write to ledger: %w", err)
	}
	return nil
}

// A follower brings the book up to entries that came back to the log.
type follower struct {
	ledger *Ledger
	keep   time.Duration
	in     Imported
	lost   map[string]bool
	holds  map[string]bool
}

func (f *follower) follow(ctx context.Context, tx *sqlx.Tx, x audit.Line) error {
	switch e := x.Entry.(type) {
	case *proof.Accepted:
		var known int
		if err := tx.GetContext(ctx, &known, tx.Rebind(`SELECT COUNT(*) FROM requests WHERE id = ?`), e.RequestID); err != nil {
			return err
		}
		if known == 0 {
			f.lost[e.RequestID] = true
		}
	case *proof.Completed:
		if err := f.remember(ctx, tx, e); err != nil {
			return err
		}
		return f.end(ctx, tx, e.RequestID, jobs.Completed, e, e.CompletedAt)
	case *proof.Cancelled:
		return f.end(ctx, tx, e.RequestID, jobs.Cancelled, e, e.CancelledAt)
	case *proof.HoldPlaced:
		return f.placed(ctx, tx, e)
	case *proof.HoldReleased:
		delete(f.holds, e.HoldID)
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE holds SET state = 'ended', selector = NULL, ended_at = ?, ended_by = ?, ended_reason = ? WHERE id = ?`),
			millis(e.ReleasedAt.Time()), e.By, e.Reason, e.HoldID)
		return err
	case *proof.SubjectKeyDestroyed:
		// The keys may have been put back too.
		if err := f.ledger.keys.DestroySubject(e.RequestID); err != nil {
			return err
		}
		return keyGone(ctx, tx, e.RequestID)
	case *proof.SuppressionDestroyed: // likewise
		if err := f.ledger.keys.DestroyEpoch(e.Epoch); err != nil {
			return err
		}
		_, err := forgetEpoch(ctx, &txn{Tx: tx, sql: f.ledger.sql}, e.Epoch, millis(e.DestroyedAt.Time()))
		return err
	case *proof.Superseded:
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET superseded_by = ? WHERE id = ?`), e.SupersededBy, e.RequestID)
		return err
	case *proof.TokenRevoked: // or a backup would give it back to whoever had it taken away
		if fault.Bug("door/backup-revives") {
			return nil
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE tokens SET revoked_at = ?, revoked_by = ?, unlogged = 0 WHERE id = ? AND revoked_at IS NULL`),
			millis(e.RevokedAt.Time()), e.By, e.TokenID)
		return err
	}
	return nil
}

// end ends a request as the log says that it ended.
func (f *follower) end(ctx context.Context, tx *sqlx.Tx, request string, status jobs.Status, e proof.Entry, ended proof.Time) error {
	if err := (&txn{Tx: tx, sql: f.ledger.sql}).lock(ctx, request); err != nil {
		return err
	}
	var open []bool
	if err := tx.SelectContext(ctx, &open, tx.Rebind(`SELECT completed_at IS NULL FROM requests WHERE id = ?`), request); err != nil {
		return err
	}
	switch {
	case len(open) == 0:
		delete(f.lost, request)
		f.in.Unknown = append(f.in.Unknown, request)
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO orphans (request, key_until) VALUES (?, ?)`), request, millis(ended.Time().Add(f.keep)))
		return err
	case !open[0]:
		return nil
	}
	f.in.Ended = append(f.in.Ended, request)
	return closeRequest(ctx, tx, request, status, e.ID(), ended.Time(), ended.Time().Add(f.keep))
}

// remember keeps what the log says of a completed request, of which the book has no
// marks: its commitment still tells whom it forgot, to who has the request's key and
// the name. See jobs.Grave.
func (f *follower) remember(ctx context.Context, tx *sqlx.Tx, e *proof.Completed) error {
	if fault.Bug("watch/log-forgotten") {
		return nil
	}
	f.in.Forgot++
	for _, s := range e.Stores {
		var exempt []string
		whole := false
		for _, x := range e.Exemptions {
			if x.Store == s.Name {
				whole = whole || x.Place == ""
				exempt = append(exempt, x.Place)
			}
		}
		if whole {
			continue
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO log_ends (request, store, subject, erased_at, exempt) VALUES (?, ?, ?, ?, ?) ON CONFLICT (request, store) DO NOTHING`),
			e.RequestID, s.Name, e.Subject, millis(s.VerifiedAt.Time()), strings.Join(exempt, "\n"))
		if err != nil {
			return err
		}
	}
	return nil
}

// placed puts a hold in force that the log says is. Of one that the book does not
// know nobody knows any more what it selects.
func (f *follower) placed(ctx context.Context, tx *sqlx.Tx, e *proof.HoldPlaced) error {
	var known int
	err := tx.GetContext(ctx, &known, tx.Rebind(`SELECT COUNT(*) FROM holds WHERE id = ?`), e.HoldID)
	if err != nil {
		return err
	}
	if known == 0 {
		f.holds[e.HoldID] = true
	}
	_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE holds SET state = 'active', placed_at = ? WHERE id = ? AND state = 'placing'`), millis(e.PlacedAt.Time()), e.HoldID)
	return err
}

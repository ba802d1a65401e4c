package ledger

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
)

var _ jobs.ReturnLedger = (*Ledger)(nil)

// graveRow is some marks, and the job that they are of.
type graveRow struct {
	Request, Epoch string
	VerifiedAt     int64 `db:"verified_at"`
	Marks          []byte
}

const (
	gravesOf = `JOIN requests r ON r.id = j.request WHERE j.store = ? AND r.status = 'completed' AND j.verified_at IS NOT NULL AND j.verified_at > ?`
	markedID = `SELECT j.request, j.verified_at, m.epoch, m.marks FROM marks m JOIN jobs j ON j.id = m.job ` + gravesOf
	markedBy = `SELECT j.request, j.verified_at, s.epoch, s.mark AS marks FROM suppressions s JOIN jobs j ON j.request = s.request ` + gravesOf
)

// Graves implements jobs.ReturnLedger.
func (l *Ledger) Graves(ctx context.Context, storeName string, since time.Time, requests []string) iter.Seq2[jobs.Grave, error] {
	return func(yield func(jobs.Grave, error) bool) {
		after := int64(-1)
		if !since.IsZero() {
			after = millis(since)
		}
		for _, query := range []string{markedBy, markedID} {
			if more, err := l.graves(ctx, query, []any{storeName, after}, requests, yield); err != nil || !more {
				if err != nil {
					yield(jobs.Grave{}, fmt.Errorf("read what was erased: %w", err))
				}
				return
			}
		}
		if requests == nil {
			l.logEnds(ctx, storeName, after, yield)
		}
	}
}

// logEnds yields ends that only the log knows.
func (l *Ledger) logEnds(ctx context.Context, storeName string, after int64, yield func(jobs.Grave, error) bool) {
	var rows []struct {
		Request, Subject, Exempt string
		ErasedAt                 int64 `db:"erased_at"`
	}
	err := l.read.SelectContext(ctx, &rows, l.read.Rebind(`SELECT request, subject, exempt, erased_at FROM log_ends WHERE store = ? AND erased_at > ? ORDER BY request`), storeName, after)
	if err != nil {
		yield(jobs.Grave{}, fmt.Errorf("read what was erased: %w", err))
		return
	}
	for _, r := range rows {
		g := jobs.Grave{Request: r.Request, ErasedAt: at(r.ErasedAt), Subject: r.Subject}
		for place := range strings.SplitSeq(r.Exempt, "\n") {
			if place != "" {
				g.Exemptions = append(g.Exemptions, jobs.Exemption{Store: storeName, Place: place})
			}
		}
		if !yield(g, nil) {
			return
		}
	}
}

func (l *Ledger) graves(ctx context.Context, query string, args []any, requests []string, yield func(jobs.Grave, error) bool) (more bool, err error) {
	if requests != nil {
		if query, args, err = sqlx.In(query+` AND j.request IN (?)`, append(args, requests)...); err != nil {
			return false, err
		}
	}
	var parts []string // requests of which a part was refused, read before: a connection is taken below
	if err := l.read.SelectContext(ctx, &parts, l.read.Rebind(`SELECT DISTINCT request FROM exemptions WHERE store = ?`), args[0]); err != nil {
		return false, err
	}
	exempt := map[string]jobs.Exemptions{}
	for some := range slices.Chunk(parts, 500) {
		of, err := exemptionsOf(ctx, l.read, some...)
		if err != nil {
			return false, err
		}
		maps.Copy(exempt, of)
	}
	rows, err := l.read.QueryxContext(ctx, l.read.Rebind(query), args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var r graveRow
		if err := rows.StructScan(&r); err != nil {
			return false, err
		}
		if !yield(jobs.Grave{Request: r.Request, ErasedAt: at(r.VerifiedAt), Exemptions: exempt[r.Request], Epoch: r.Epoch, Marks: r.Marks}, nil) {
			return false, nil
		}
	}
	return true, rows.Err()
}

// TakeWatches implements jobs.ReturnLedger.
func (l *Ledger) TakeWatches(ctx context.Context, storeName string, until time.Time, limit int) ([]jobs.Watched, error) {
	const due = `store = ? AND done_at IS NULL AND due_at <= ? AND next_at <= ?`
	now := millis(l.now())
	var any bool
	err := l.read.GetContext(ctx, &any, l.read.Rebind(`SELECT EXISTS (SELECT 1 FROM watches WHERE `+due+`)`), storeName, now, now)
	if err != nil || !any { // mostly; and it costs no write
		return nil, wrapped("find watches", err)
	}
	var rows []struct {
		Request string
		DueAt   int64 `db:"due_at"`
		Busy    bool
	}
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		rows = nil
		return tx.SelectContext(ctx, &rows, tx.Rebind(`UPDATE watches SET next_at = ? WHERE `+due+` AND (request, due_at) IN
			(SELECT w.request, w.due_at FROM watches w WHERE w.store = ? AND w.done_at IS NULL AND w.due_at <= ? AND w.next_at <= ? ORDER BY w.due_at LIMIT ?)
			RETURNING request, due_at, EXISTS (SELECT 1 FROM watches e JOIN requests r ON r.id = e.filed
				WHERE e.request = watches.request AND e.store = watches.store AND e.filed <> '' AND r.completed_at IS NULL) AS busy`),
			millis(until), storeName, now, now, storeName, now, now, limit)
	})
	if err != nil {
		return nil, wrapped("take watches", err)
	}
	list := make([]jobs.Watched, len(rows))
	for i, r := range rows {
		list[i] = jobs.Watched{Request: r.Request, Store: storeName, DueAt: at(r.DueAt), Busy: r.Busy}
	}
	return list, nil
}

// untakeWatches gives back the looks that a process took which has died: there is no
// other that could be at one.
func (l *Ledger) untakeWatches(ctx context.Context) error {
	const taken = `done_at IS NULL AND next_at > due_at`
	var any bool
	err := l.read.GetContext(ctx, &any, `SELECT EXISTS (SELECT 1 FROM watches WHERE `+taken+`)`)
	if err != nil || !any {
		return wrapped("find watches", err)
	}
	return wrapped("give back watches", l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `UPDATE watches SET next_at = due_at WHERE `+taken)
		return err
	}))
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// EndWatches implements jobs.ReturnLedger.
func (l *Ledger) EndWatches(ctx context.Context, done []jobs.Watched) error {
	return wrapped("end watches", l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := l.endWatches(ctx, tx, done, "")
		return err
	}))
}

// endWatches says what looks came to, and returns how many were not ended yet.
func (l *Ledger) endWatches(ctx context.Context, tx *txn, done []jobs.Watched, filed string) (ended int64, err error) {
	now := millis(l.now())
	for _, w := range done {
		request, unable := "", 0 // PostgreSQL makes no number of a truth
		if w.Back > 0 {
			request = filed
		}
		if w.Unable {
			unable = 1
		}
		n, err := changes(tx.ExecContext(ctx, tx.Rebind(`UPDATE watches SET done_at = ?, unable = ?, back = ?, later = ?, undated = ?, filed = ?
			WHERE request = ? AND store = ? AND due_at = ? AND done_at IS NULL`),
			now, unable, w.Back, w.Later, w.Undated, request, w.Request, w.Store, millis(w.DueAt)))
		if err != nil {
			return ended, err
		}
		ended += n
	}
	return ended, nil
}

// PutOff implements jobs.ReturnLedger.
func (l *Ledger) PutOff(ctx context.Context, list []jobs.Watched, until time.Time) error {
	return wrapped("put watches off", l.write(ctx, func(ctx context.Context, tx *txn) error {
		for _, w := range list {
			_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE watches SET next_at = ? WHERE request = ? AND store = ? AND due_at = ? AND done_at IS NULL`),
				millis(until), w.Request, w.Store, millis(w.DueAt))
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// supersede answers the looks that file a request, in the request's own transaction,
// and says of each request of which something came back that it goes on as this one:
// its certificate tells no longer what is. That is said once of a request; it returns
// the entries that say so.
func (l *Ledger) supersede(ctx context.Context, tx *txn, a jobs.Acceptance) (entries []proof.Entry, err error) {
	if len(a.Watched) == 0 {
		return nil, nil
	}
	ended, err := l.endWatches(ctx, tx, a.Watched, a.Request.ID)
	if err != nil {
		return nil, err
	}
	if ended == 0 {
		return nil, jobs.ErrSwept
	}
	fault.Point("ledger/looks-answered")
	for _, w := range a.Watched {
		if w.Back == 0 || fault.Bug("watch/not-superseded") {
			continue
		}
		n, err := changes(tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET superseded_by = ? WHERE id = ? AND superseded_by = ''`), a.Request.ID, w.Request))
		if err != nil {
			return nil, err
		}
		if n == 1 {
			entries = append(entries, &proof.Superseded{RequestID: w.Request, SupersededBy: a.Request.ID, SupersededAt: proof.At(l.now()), Reason: jobs.SupersededReturned})
		}
	}
	return entries, nil
}

// LogReplay implements jobs.ReturnLedger.
func (l *Ledger) LogReplay(ctx context.Context, e *proof.Replayed) error {
	return wrapped("log replay", l.write(ctx, func(ctx context.Context, tx *txn) error { return tx.log(ctx, e) }))
}

// WatchesDue returns how many looks into a store are due and not done.
func (l *Ledger) WatchesDue(ctx context.Context, storeName string) (n int, err error) {
	err = l.read.GetContext(ctx, &n, l.read.Rebind(`SELECT COUNT(*) FROM watches WHERE store = ? AND done_at IS NULL AND due_at <= ?`), storeName, millis(l.now()))
	return n, wrapped("count watches", err)
}

// WatchLate returns for how long the look into a store that is due for longest has
// been due; 0 if none is.
func (l *Ledger) WatchLate(ctx context.Context, storeName string) (time.Duration, error) {
	now := millis(l.now())
	var since int64
	err := l.read.GetContext(ctx, &since, l.read.Rebind(`SELECT COALESCE(MIN(due_at), ?) FROM watches WHERE store = ? AND done_at IS NULL AND due_at <= ?`),
		now, storeName, now)
	return time.Duration(now-since) * time.Millisecond, wrapped("find watches", err)
}

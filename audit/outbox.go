package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

// How long Wait leaves between two looks, at first and at last.
const (
	firstLook = 10 * time.Millisecond
	lastLook  = 200 * time.Millisecond
)

// errKeysWait says that Rotate and Retire append at once: an entry that says
// where it stands cannot wait for its place.
var errKeysWait = errors.New("entries about the log's keys do not go through the outbox")

// An outbox is how those who wait and the sequencer of the same process tell
// each other. Its zero value is ready.
type outbox struct {
	mu     sync.Mutex
	work   chan struct{} // holds one token while somebody waits
	logged chan struct{} // closed when more is logged
}

// channels returns where to hear of work and of what is logged.
func (o *outbox) channels() (work chan struct{}, logged <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.work == nil {
		o.work, o.logged = make(chan struct{}, 1), make(chan struct{})
	}
	return o.work, o.logged
}

// tell wakes all who wait for entries to be logged.
func (o *outbox) tell() {
	o.channels()
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.logged)
	o.logged = make(chan struct{})
}

// Enqueue puts entries into the outbox, in the caller's transaction: if it
// commits, and only then, a [Sequencer] logs them, soon after, in the order of
// the calls as far as one call was after the commit of another. It sets their
// Origin. It is for PostgreSQL, where many processes commit at once and would
// wait for each other in [Log.Append].
//
// An entry whose ID waits or is logged already with the same body is left
// alone, so a retry is harmless; with another body the error wraps
// [ErrConflict]. Invalid entries wrap proof.ErrEntry. The transaction must be
// READ COMMITTED, and after any error be rolled back.
func (l *Log) Enqueue(ctx context.Context, tx *sqlx.Tx, entries ...proof.Entry) error {
	if err := l.enqueue(ctx, tx, entries); err != nil {
		return fmt.Errorf("enqueue for log: %w", err)
	}
	return nil
}

func (l *Log) enqueue(ctx context.Context, tx *sqlx.Tx, entries []proof.Entry) error {
	if isSQLite(l.db) {
		return errors.New("SQLite has no outbox: append in the transaction")
	}
	if len(entries) == 0 {
		return errors.New("no entries")
	}
	lines, err := l.encode(entries, 0)
	if err != nil {
		return err
	}
	for _, x := range lines {
		if strings.HasPrefix(x.id, keyEntries) {
			return errKeysWait
		}
	}
	isolation, err := durablePostgres(ctx, tx)
	if err != nil {
		return err
	}
	if isolation != "read committed" { // an older snapshot would not show what was logged meanwhile
		return fmt.Errorf("the transaction is %s, want read committed", isolation)
	}
	var ids []string
	var rows []any
	for _, x := range lines {
		ids = append(ids, x.id)
		rows = append(rows, x.id, x.body)
	}
	for len(rows) > 0 { // the sequencer may hold such a row: then this waits for it
		n := min(len(rows), 2*maxRows)
		if _, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO audit_outbox (entry_id, body) VALUES `+places(2, n/2)+` ON CONFLICT (entry_id) DO NOTHING`), rows[:n]...); err != nil {
			return fmt.Errorf("insert into outbox: %w", err)
		}
		rows = rows[n:]
	}
	// In one statement, so that a row is seen in one place or the other.
	have, err := lookUp(ctx, tx, `SELECT entry_id, body FROM audit_outbox WHERE entry_id IN (?) UNION ALL SELECT entry_id, body FROM audit_entry WHERE entry_id IN (?)`, ids)
	if err != nil {
		return err
	}
	for _, x := range lines {
		bodies := have[x.id]
		if len(bodies) == 0 {
			return fmt.Errorf("%s went out of the outbox and not into the log", x.id)
		}
		for _, body := range bodies {
			if !bytes.Equal(body, x.body) {
				return fmt.Errorf("%w: %s", ErrConflict, x.id)
			}
		}
	}
	return nil
}

// places returns the placeholders of rows to insert.
func places(columns, rows int) string {
	row := "(" + strings.Repeat("?,", columns-1) + "?),"
	return strings.TrimSuffix(strings.Repeat(row, rows), ",")
}

// lookUp runs a query, in which every IN is about the IDs, for as many at a
// time as one query may ask for, and returns the bodies found.
func lookUp(ctx context.Context, tx *sqlx.Tx, query string, ids []string) (map[string][][]byte, error) {
	have := make(map[string][][]byte, len(ids))
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxIn)]
		ids = ids[len(some):]
		var in []any
		for range bytes.Count([]byte(query), []byte("(?)")) {
			in = append(in, some)
		}
		bound, args, err := sqlx.In(query, in...)
		if err != nil {
			return nil, err
		}
		var rows []struct {
			EntryID string `db:"entry_id"`
			Body    []byte `db:"body"`
		}
		if err := tx.SelectContext(ctx, &rows, tx.Rebind(bound), args...); err != nil {
			return nil, fmt.Errorf("look up entries: %w", err)
		}
		for _, r := range rows {
			have[r.EntryID] = append(have[r.EntryID], r.Body)
		}
	}
	return have, nil
}

// Wait returns when a signed head covers the entry of that ID, or with an error
// that wraps ctx's. Call it after the commit of what enqueued the entry: it
// wakes this process's sequencer. It does not notice that nothing will ever
// come, so give ctx a deadline.
func (l *Log) Wait(ctx context.Context, entryID string) error {
	for look := firstLook; ; look = min(2*look, lastLook) {
		work, logged := l.outbox.channels()
		// An entry is committed with the head that covers it.
		var there bool
		if err := l.db.GetContext(ctx, &there, l.db.Rebind(`SELECT EXISTS (SELECT 1 FROM audit_entry WHERE entry_id = ? AND idx >= ? AND idx < ?)`), entryID, l.base, l.end()); err != nil {
			return fmt.Errorf("wait for entry: %w", err)
		}
		if there {
			return nil
		}
		select {
		case work <- struct{}{}:
		default: // it has been told
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for entry: %w", ctx.Err())
		case <-logged:
		case <-time.After(look):
		}
	}
}

// Waits reports whether an entry of that ID is in the outbox. One that is in
// neither it nor the log will not be logged.
func (l *Log) Waits(ctx context.Context, entryID string) (waits bool, err error) {
	if isSQLite(l.db) {
		return false, nil
	}
	if err := l.db.GetContext(ctx, &waits, `SELECT EXISTS (SELECT 1 FROM audit_outbox WHERE entry_id = $1)`, entryID); err != nil {
		return false, fmt.Errorf("look into outbox: %w", err)
	}
	return waits, nil
}

// A Backlog is what has not been logged.
type Backlog struct {
	Waiting int64         // rows in the outbox
	Oldest  time.Duration // since the oldest of them was enqueued
	Outcast int64         // rows that could not be logged, ever; each is for a human
}

// Pending returns what waits for the sequencer.
func (l *Log) Pending(ctx context.Context) (Backlog, error) {
	var b Backlog
	if isSQLite(l.db) {
		return b, nil
	}
	var age float64
	row := l.db.QueryRowxContext(ctx, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8, (SELECT count(*) FROM audit_outcast) FROM audit_outbox`)
	if err := row.Scan(&b.Waiting, &age, &b.Outcast); err != nil {
		return b, fmt.Errorf("read outbox: %w", err)
	}
	b.Oldest = time.Duration(max(age, 0) * float64(time.Second))
	return b, nil
}

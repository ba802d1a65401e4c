package tables

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"
)

// PgBacklinks are the rows that link to each key. The customer's tables have no
// index for that question, so it is kept in memory, about 150 bytes a link: read
// once, and then only what was written since. It can list too much, never too
// little: whoever uses it looks at the rows themselves.
//
// Written since is what PostgreSQL's snapshots say: a row that was not visible
// then has a transaction that was not over, so its number (the row's xmin) is
// not below the oldest one that was running. To find those rows takes a look at
// the head of each row of the table, but at no document. That is true of one
// server's life, of the tables that belonged together then, and for half of the
// numbers, which come round; after that everything is read anew, and when most of
// what is kept may be gone. See whereabouts.
type pgBacklinks struct {
	turn  chan struct{} // taken for each use of what follows
	parts []*pgPart
	rows  []map[string]pgLinkers // of each part, by the key they link to
	at    *pgSnapshot            // as of which rows are complete; nil before the first time
	where string                 // the server and the tables that at is of
	reads int                    // how often tables were read
	links int                    // in rows
	whole int                    // of them when all were read; 0 before

	// Transactions of this process, which take links away and never add any.
	// If nobody else has written, there is nothing to look at.
	ours map[uint64]bool
}

// PgLinkers are rows that link to one key, and which of the reads saw the last
// of them.
type pgLinkers struct {
	rows []string
	read int
}

func newPgBacklinks(parts []*pgPart) *pgBacklinks {
	b := &pgBacklinks{turn: make(chan struct{}, 1), ours: make(map[uint64]bool)}
	for _, p := range parts {
		if p.changes() && len(p.Document.Links) > 0 {
			b.parts = append(b.parts, p)
			b.rows = append(b.rows, make(map[string]pgLinkers))
		}
	}
	return b
}

// take waits for a turn.
func (b *pgBacklinks) take(ctx context.Context) (release func(), err error) {
	select {
	case b.turn <- struct{}{}:
		return func() { <-b.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin reads everything if that has not been done: not under locks, since it
// can take long.
func (b *pgBacklinks) begin(ctx context.Context, s *Postgres) error {
	release, err := b.take(ctx)
	if err != nil {
		return err
	}
	known := b.at != nil || len(b.parts) == 0
	release()
	if known {
		return nil
	}
	return s.tx(ctx, s.db, func(tx *sqlx.Tx) error {
		now, err := s.moment(ctx, tx, false)
		if err != nil {
			return err
		}
		_, err = b.refresh(ctx, tx, now)
		return err
	})
}

// refresh reads what was written since the last time, given what the transaction
// sees. One that will write is noted as ours. It returns how often tables were
// read by then.
func (b *pgBacklinks) refresh(ctx context.Context, tx *sqlx.Tx, now pgMoment) (read int, err error) {
	if len(b.parts) == 0 {
		return 0, nil
	}
	release, err := b.take(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	where, err := b.whereabouts(ctx, tx) // before what is read: what comes between is read the next time
	if err != nil {
		return 0, err
	}
	if b.at != nil && (where != b.where || b.at.far(now.at) || b.links > 2*b.whole+pgStaleLinks) {
		b.clear()
	}
	if now.own > 0 {
		b.ours[now.own] = true
	}
	at := now.at
	if b.at == nil || !b.at.quiet(at, b.ours) {
		b.reads++
		if err := b.readAll(ctx, tx); err != nil {
			return 0, err
		}
		if b.at == nil {
			b.whole = b.links
		}
	}
	b.at, b.where = &at, where
	for xid := range b.ours {
		if xid < at.xmin {
			delete(b.ours, xid)
		}
	}
	return b.reads, nil
}

func (b *pgBacklinks) clear() {
	b.at, b.links = nil, 0
	for i := range b.rows {
		b.rows[i] = make(map[string]pgLinkers)
	}
	clear(b.ours)
}

// pgStaleLinks is how many links may be kept in memory beyond twice those that
// there were: nothing says which ones somebody else has deleted.
const pgStaleLinks = 20_000

// pgReach is over how many transactions the numbers of rows are trusted. They
// have 32 bits, and compare right over half of that.
const pgReach = 1 << 30

// whereabouts says of what server and which tables a snapshot is. A server that
// took over, or one with files of yesterday, gives numbers again that the one
// before it had given; and rows come without any number of now if a table that
// had them becomes a part of one that is read.
func (b *pgBacklinks) whereabouts(ctx context.Context, tx *sqlx.Tx) (where string, err error) {
	err = tx.GetContext(ctx, &where, `WITH RECURSIVE tree AS (
			SELECT unnest($1::bigint[]::oid[]) AS oid
			UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
		SELECT concat(extract(epoch FROM pg_postmaster_start_time()), ' ', string_agg(oid::text, ',' ORDER BY oid)) FROM tree`, roots(b.parts))
	return where, pgCoded(ctx, err)
}

// readAll reads each table from end to end, which the transaction may have been
// kept from.
func (b *pgBacklinks) readAll(ctx context.Context, tx *sqlx.Tx) error {
	var before string
	if err := tx.GetContext(ctx, &before, `WITH old AS MATERIALIZED (SELECT current_setting('enable_seqscan') AS was)
		SELECT was FROM old WHERE set_config('enable_seqscan', 'on', true) = 'on'`); err != nil {
		return pgCoded(ctx, err)
	}
	for i := range b.parts {
		if err := b.read(ctx, tx, i); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `SELECT set_config('enable_seqscan', $1, true)`, before)
	return pgCoded(ctx, err)
}

func (b *pgBacklinks) read(ctx context.Context, tx *sqlx.Tx, i int) error {
	p, rows := b.parts[i], b.rows[i]
	since, args := "true", []any{}
	if b.at != nil {
		since, args = "age(t.xmin) <= age($1::text::xid)", []any{strconv.FormatUint(b.at.xmin&0xffffffff, 10)}
	}
	return p.id.read(ctx, tx, "SELECT "+p.id.texts("t.")+", l.value #>> '{}' FROM "+p.table+" t CROSS JOIN LATERAL "+p.elements()+
		" WHERE "+since+" AND "+p.doc()+" ?| ARRAY["+literals(p.Document.Links)+"] AND "+p.wellFormed()+" AND "+p.kind()+
		" AND jsonb_typeof(l.value) = 'string'", args, 1, func(row string, rest []sql.NullString) {
		key := rest[0].String
		l := rows[key]
		if l.read = b.reads; !slices.Contains(l.rows, row) {
			l.rows = append(l.rows, row)
			b.links++
		}
		rows[key] = l
	})
}

// of returns the rows of each part that may link to a batch of a place.
func (b *pgBacklinks) of(ctx context.Context, place string, keys []string) (map[*pgPart][]string, error) {
	release, err := b.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	found := make(map[*pgPart][]string)
	for i, p := range b.parts {
		if p.Document.LinksTo != place {
			continue
		}
		seen := make(map[string]bool)
		for _, key := range keys {
			for _, row := range b.rows[i][key].rows {
				if !seen[row] {
					seen[row] = true
					found[p] = append(found[p], row)
				}
			}
		}
	}
	return found, nil
}

// forget drops keys to which no row of a read links any more. Rows that were read
// after it, for another transaction, stay: they are not read again.
func (b *pgBacklinks) forget(ctx context.Context, keys map[string][]string, read int) {
	release, err := b.take(ctx)
	if err != nil {
		return // it lists too much, which it may
	}
	defer release()
	for i, p := range b.parts {
		for _, key := range keys[p.Document.LinksTo] {
			if l := b.rows[i][key]; l.read <= read {
				b.links -= len(l.rows)
				delete(b.rows[i], key)
			}
		}
	}
}

// A pgSnapshot says which transactions were over: those below xmin, and those
// below xmax that were not running.
type pgSnapshot struct {
	xmin, xmax uint64
	running    map[uint64]bool
}

func parsePgSnapshot(text string) (pgSnapshot, error) {
	parts := strings.SplitN(text, ":", 3)
	s := pgSnapshot{running: make(map[uint64]bool)}
	var err error
	if s.xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return s, err
	}
	if s.xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return s, err
	}
	for _, x := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' }) {
		xid, err := strconv.ParseUint(x, 10, 64)
		if err != nil {
			return s, err
		}
		s.running[xid] = true
	}
	return s, nil
}

// far reports whether the numbers of rows do not tell any more which of two
// snapshots they are of. The other one can be a little older than s: transactions
// wait for their turn.
func (s pgSnapshot) far(other pgSnapshot) bool {
	between := int64(other.xmax - s.xmin)
	return between > pgReach || between < -pgReach
}

// quiet reports whether every transaction that has ended since s is known.
func (s pgSnapshot) quiet(now pgSnapshot, known map[uint64]bool) bool {
	if now.xmax-s.xmax > 10_000 {
		return false
	}
	for xid := range s.running {
		if !known[xid] && !now.running[xid] {
			return false
		}
	}
	for xid := s.xmax; xid < now.xmax; xid++ {
		if !known[xid] && !now.running[xid] {
			return false
		}
	}
	return true
}

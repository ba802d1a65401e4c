package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// edge is how many of the newest bodies Guard hashes again.
const edge = 256

// The questions that callers ask of an error of the log.
var (
	// ErrBroken is wrapped when what is stored contradicts itself. Nothing is
	// signed any more; the stored rows are to be looked at by a human.
	ErrBroken = errors.New("log is broken")

	// ErrBehind is wrapped when a signed head is larger than the log: the
	// database was put back to an older state, or the head is another's.
	ErrBehind = errors.New("log is behind a head it has signed")

	// ErrRestored is wrapped when the database is a backup that was put back, and
	// nothing shows that the log did not go on after it: to append could be to fork.
	ErrRestored = errors.New("the ledger is a backup that was put back, and nothing shows that it is the newest")

	// ErrSucceeded is wrapped by appends to a log that another one has followed.
	ErrSucceeded = errors.New("another log has taken this one's place")

	// ErrOther is wrapped by Open when the database holds logs, and none of that
	// origin.
	ErrOther = errors.New("the database holds a log of another name")

	// ErrConflict is wrapped when an entry's ID stands in the log already with
	// another body.
	ErrConflict = errors.New("entry already logged with another body")

	// ErrNotFound is wrapped when there is no such entry.
	ErrNotFound = errors.New("no such entry")
)

// Options says whose log it is.
type Options struct {
	Signers  []Signer // the key in force and, while it is replaced, the next one; none for a log that is only read
	Verifier string   // the verifier keys that are believed, as proof.ParseKeys reads them; first that of the key in force
	Origin   string   // the log's name; must be the key's
	Now      func() time.Time
	Earlier  []string // verifier keys of the logs before this one, besides those that it names itself

	// Restored says that the database is a backup that was put back. The log refuses
	// until an anchor keeps a head of exactly its size, or Import finds that a copy of
	// the log has no more than it then does.
	Restored bool

	Anchors    []Anchor      // what they keep must be the beginning of the log
	AnchorWait time.Duration // for their answers; 0 means 10 s
}

// A Log is an append-only tree of entries. It may be used concurrently.
type Log struct {
	db      *sqlx.DB
	outbox  outbox // PostgreSQL
	base    int64  // of the rows' keys, see shift
	signers hired
	pins    []proof.LogKey // the keys that are believed; never empty
	earlier []string       // keys of the logs before
	origin  string
	now     func() time.Time
	anchors []Anchor
	wait    time.Duration // for anchors
	closed  bool          // another log has followed
	refused refusal
	seen    memory

	restored atomic.Bool // and nothing has vouched for it yet
}

// shift tells the logs of one database apart, which follow one another: rows
// of log n are stored under n<<shift + index, hash ID or size.
const shift = 48

// A Head is a signed head as it is stored.
type Head struct {
	Size int64
	Root tlog.Hash
	Note []byte    // the checkpoint
	At   time.Time // when it was signed, by the log's own clock
}

// Open returns the log that is kept in db, and guards it, see [Log.Guard]. A
// log that was found not to be what it was can be read; [Log.Refusal] says why
// it does not append, and every append fails with an error wrapping
// [ErrRefused]. A log that another one has followed is such a log too.
//
// Open fails for a key that is not the log's, and for a connection whose commits
// a power cut could take back, on SQLite one without synchronous=FULL: a head
// that was handed out and lost would fork the log. The Log reads from db, which
// may be a pool for reading; it writes only through transactions that are given
// to it.
func Open(ctx context.Context, db *sqlx.DB, o Options) (*Log, error) {
	l, err := open(ctx, db, o)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return l, nil
}

func open(ctx context.Context, db *sqlx.DB, o Options) (*Log, error) {
	l := &Log{db: db, origin: o.Origin, earlier: o.Earlier, now: o.Now, anchors: o.Anchors, wait: o.AnchorWait}
	l.restored.Store(o.Restored)
	if l.now == nil {
		l.now = time.Now
	}
	if l.wait == 0 {
		l.wait = anchorWait
	}
	if err := l.believe(o.Verifier); err != nil {
		return nil, err
	}
	if err := l.hire(o.Signers); err != nil {
		return nil, err
	}
	var err error
	if l.base, l.closed, err = findBase(ctx, db, o.Origin); err != nil {
		return nil, err
	}
	if err := l.durable(ctx, db); err != nil {
		return nil, err
	}
	if err := l.rightKey(ctx); err != nil {
		return nil, err
	}
	err = l.guard(ctx)
	if err != nil && !condemns(err) {
		return nil, err
	}
	if l.closed {
		l.rule(l.doubts(), errors.Join(ErrSucceeded, err), nil)
	}
	return l, nil
}

// rightKey refuses the key of somebody else: one under which the newest head
// has no signature at all, be it right or wrong. A log that says something of
// its keys is the guard's.
func (l *Log) rightKey(ctx context.Context) error {
	if keys, err := l.chain(ctx, l.db); err == nil && len(keys.entries) > 0 || errors.Is(err, ErrBroken) {
		return nil
	} else if err != nil {
		return err
	}
	h, err := l.newestHead(ctx, l.db)
	if errors.Is(err, ErrBroken) || err == nil && h.Size == 0 {
		return nil // what is broken is the guard's
	} else if err != nil {
		return err
	}
	var stranger *note.UnverifiedNoteError
	if _, err := note.Open(h.Note, proof.NewPolicy(l.pins...)); errors.As(err, &stranger) {
		return fmt.Errorf("%w: the newest head is signed by another key than the one given", ErrBroken)
	}
	return nil
}

// findBase returns where the rows of the log of that origin begin, and whether
// another log has followed it. A database in which no log has begun yet, or was
// begun before logs had names, is the first log's.
func findBase(ctx context.Context, q sqlx.QueryerContext, origin string) (base int64, closed bool, err error) {
	var n, last int64
	row := q.QueryRowxContext(ctx, rebind(q, `SELECT coalesce(max(CASE WHEN origin = ? THEN n ELSE -1 END), -1), coalesce(max(n), -1) FROM audit_log`), origin)
	if err := row.Scan(&n, &last); err != nil {
		return 0, false, fmt.Errorf("find log: %w", err)
	}
	if n < 0 && last >= 0 {
		return 0, false, ErrOther
	}
	return max(n, 0) << shift, n < last, nil
}

// Origin returns the log's name.
func (l *Log) Origin() string { return l.origin }

// Head returns the newest signed head. That of an empty log is signed on
// demand, with the time at which it was asked for.
func (l *Log) Head(ctx context.Context) (Head, error) {
	h, err := l.newestHead(ctx, l.db)
	if err != nil {
		return Head{}, fmt.Errorf("read head: %w", err)
	}
	if h.Size > 0 {
		return h, nil
	}
	keys, err := l.chain(ctx, l.db)
	if err != nil {
		return Head{}, fmt.Errorf("read head: %w", err)
	}
	if h.Note, err = l.sign(keys, 0, h.Root); err != nil {
		return Head{}, fmt.Errorf("read head: %w", err)
	}
	h.At = l.now()
	return h, nil
}

// Size returns the number of entries.
func (l *Log) Size(ctx context.Context) (int64, error) {
	h, err := l.newestHead(ctx, l.db)
	if err != nil {
		return 0, fmt.Errorf("read size: %w", err)
	}
	return h.Size, nil
}

// Checkpoint returns the newest signed head as text (C2SP tlog-checkpoint).
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	h, err := l.Head(ctx)
	return h.Note, err
}

// durable refuses a connection on which a commit may be lost by a power cut.
// 2 is FULL and 3, EXTRA, is more.
func (l *Log) durable(ctx context.Context, q sqlx.QueryerContext) error {
	if !isSQLite(l.db) {
		_, err := durablePostgres(ctx, q)
		return err
	}
	var level int
	if err := sqlx.GetContext(ctx, q, &level, `PRAGMA synchronous`); err != nil {
		return fmt.Errorf("ask for synchronous: %w", err)
	}
	if level < 2 && !fault.Bug("ledger/sync-normal") {
		return fmt.Errorf("synchronous is %d: a commit could be lost; open the database with _synchronous=FULL", level)
	}
	return nil
}

// newestHead reads the newest head and believes it. For an empty log it is the
// head of size 0, unsigned.
func (l *Log) newestHead(ctx context.Context, q sqlx.QueryerContext) (Head, error) {
	row := q.QueryRowxContext(ctx, rebind(q, `SELECT size, root, note, at FROM audit_checkpoint WHERE size > ? AND size < ? ORDER BY size DESC LIMIT 1`),
		l.base, l.end())
	h, err := l.scanHead(row)
	if errors.Is(err, sql.ErrNoRows) {
		h.Root, err = tlog.TreeHash(0, nil)
	}
	return h, err
}

// end is the first row key of the next log.
func (l *Log) end() int64 { return l.base + 1<<shift }

func (l *Log) scanHead(row interface{ Scan(...any) error }) (Head, error) {
	var h Head
	var root []byte
	var at int64
	if err := row.Scan(&h.Size, &root, &h.Note, &at); err != nil {
		return Head{}, err
	}
	h.Size -= l.base
	if copy(h.Root[:], root) != len(root) || len(root) != tlog.HashSize {
		return Head{}, fmt.Errorf("%w: head of size %d has no root", ErrBroken, h.Size)
	}
	h.At = time.Unix(at, 0).UTC()
	return h, nil
}

// trusted reads the newest head and makes sure of it: that it is signed, that
// it covers all that is stored, and that it is the root of the stored hashes.
func (l *Log) trusted(ctx context.Context, q sqlx.QueryerContext, hashes tlog.HashReader) (Head, *chain, error) {
	h, err := l.newestHead(ctx, q)
	if err != nil {
		return Head{}, nil, err
	}
	keys, err := l.chain(ctx, q)
	if err != nil {
		return Head{}, nil, err
	}
	if h.Size > 0 {
		if err := l.checkSigned(h, keys); err != nil {
			return Head{}, nil, err
		}
	}
	var entries, stored int64
	row := q.QueryRowxContext(ctx, rebind(q, `SELECT (SELECT coalesce(max(idx) + 1, ?) FROM audit_entry WHERE idx >= ? AND idx < ?) - ?,
		(SELECT coalesce(max(id) + 1, ?) FROM audit_hash WHERE id >= ? AND id < ?) - ?`), l.base, l.base, l.end(), l.base, l.base, l.base, l.end(), l.base)
	if err := row.Scan(&entries, &stored); err != nil {
		return Head{}, nil, fmt.Errorf("count entries: %w", err)
	}
	if entries != h.Size || stored != tlog.StoredHashCount(h.Size) {
		return Head{}, nil, fmt.Errorf("%w: the newest head covers %d entries, but %d entries and %d hashes are stored", ErrBroken, h.Size, entries, stored)
	}
	root, err := tlog.TreeHash(h.Size, hashes)
	if err != nil {
		return Head{}, nil, err
	}
	if root != h.Root {
		return Head{}, nil, fmt.Errorf("%w: the stored hashes do not give the root of the newest head, size %d", ErrBroken, h.Size)
	}
	if err := l.checkHeadRow(ctx, q, h); err != nil {
		return Head{}, nil, err
	}
	return h, keys, l.vouched(ctx, q, h, keys, hashes)
}

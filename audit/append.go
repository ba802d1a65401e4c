package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"
)

// maxRows is how many rows are inserted by one statement. SQLite allows 32766
// placeholders, and more than this is no faster.
const maxRows = 200

// A line is an entry ready to be stored.
type line struct {
	id   string
	body []byte
}

// Append puts entries at the end of the log and signs a new head, in the
// caller's transaction: they are in the log once, and only if, it commits. It
// sets their Origin, and the FinalSize of a proof.KeyRetired. It returns the index
// of the first of them.
//
// An entry whose ID is there already with the same body is not logged again,
// so a retry is harmless; with another body the error wraps [ErrConflict].
// Invalid entries wrap proof.ErrEntry, those about the log's keys that do not
// follow from the ones before [ErrRotation]. A head is signed by all keys that
// have to sign it or not at all: if one is missing, the error wraps [ErrNoKey].
// If the stored head is not what the
// stored hashes say, nothing is signed and the error wraps [ErrBroken]; this
// and all later appends wrap [ErrRefused], until a guard finds nothing. After
// any error the transaction must be rolled back.
//
// Transactions that append must exclude each other from their beginning: on
// SQLite, begin them immediate. If they do not, the slower one fails, for
// there is at most one head of a size. On PostgreSQL Append waits for its turn,
// and the next one waits for this one's commit: use [Log.Enqueue] there.
func (l *Log) Append(ctx context.Context, tx *sqlx.Tx, entries ...proof.Entry) (first int64, err error) {
	first, err = l.append(ctx, tx, entries)
	if err != nil {
		return 0, fmt.Errorf("append to log: %w", err)
	}
	return first, nil
}

func (l *Log) append(ctx context.Context, tx *sqlx.Tx, entries []proof.Entry) (int64, error) {
	if len(entries) == 0 {
		return 0, errors.New("no entries")
	}
	if err := l.Refusal(); err != nil {
		return 0, err
	}
	if err := l.durable(ctx, tx); err != nil {
		return 0, err
	}
	if err := l.claim(ctx, tx); err != nil {
		return 0, err
	}
	if err := l.begin(ctx, tx); err != nil {
		return 0, err
	}
	hashes := l.reader(ctx, tx)
	head, keys, err := l.standing(ctx, tx, hashes)
	if err != nil {
		return 0, err
	}
	lines, err := l.encode(entries, head.Size)
	if err != nil {
		return 0, err
	}
	fresh, first, err := l.unlogged(ctx, tx, lines, head.Size)
	if err != nil || len(fresh) == 0 {
		return first, err
	}
	if keys, err = keys.with(head.Size, fresh); err != nil {
		return 0, err
	}
	if err := l.insert(ctx, tx, head.Size, fresh, hashes); err != nil {
		return 0, err
	}
	_, err = l.advance(ctx, tx, keys, head.Size+int64(len(fresh)), hashes)
	return first, err
}

// begin gives the database's first log its name.
func (l *Log) begin(ctx context.Context, tx *sqlx.Tx) error {
	if l.base > 0 { // succeeding another one has named it
		return nil
	}
	_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO audit_log (n, origin) SELECT 0, ? WHERE NOT EXISTS (SELECT 1 FROM audit_log)`), l.origin)
	if err != nil {
		return fmt.Errorf("name log: %w", err)
	}
	return nil
}

// encode makes lines of entries that are to stand from an index on.
func (l *Log) encode(entries []proof.Entry, at int64) ([]line, error) {
	lines := make([]line, len(entries))
	for i, e := range entries {
		e.Head().Origin = l.origin
		if retired, ok := e.(*proof.KeyRetired); ok {
			retired.FinalSize = at + int64(i)
		}
		body, err := proof.Encode(e)
		if err != nil {
			return nil, err
		}
		lines[i] = line{id: e.ID(), body: body}
	}
	return lines, nil
}

// unlogged returns those of lines that are not in the log, and the index that
// the first line has or will have in a log of this size.
func (l *Log) unlogged(ctx context.Context, tx *sqlx.Tx, lines []line, size int64) (fresh []line, first int64, err error) {
	for i, x := range lines {
		var idx int64
		var body []byte
		row := tx.QueryRowxContext(ctx, tx.Rebind(`SELECT idx, body FROM audit_entry WHERE entry_id = ?`), x.id)
		switch err := row.Scan(&idx, &body); {
		case errors.Is(err, sql.ErrNoRows):
			idx = size + int64(len(fresh))
			fresh = append(fresh, x)
		case err != nil:
			return nil, 0, fmt.Errorf("look up %s: %w", x.id, err)
		case !bytes.Equal(body, x.body):
			return nil, 0, fmt.Errorf("%w: %s", ErrConflict, x.id)
		default:
			idx -= l.base
		}
		if i == 0 {
			first = idx
		}
	}
	return fresh, first, nil
}

// insert stores lines from index at on, with their hashes.
func (l *Log) insert(ctx context.Context, tx *sqlx.Tx, at int64, lines []line, hashes *reader) error {
	var entryRows, hashRows []any
	id := tlog.StoredHashCount(at)
	for i, x := range lines {
		idx := at + int64(i)
		entryRows = append(entryRows, l.base+idx, x.id, x.body)
		made, err := tlog.StoredHashes(idx, x.body, hashes)
		if err != nil {
			return fmt.Errorf("hash entry %d: %w", idx, err)
		}
		for _, h := range made {
			hashes.seen[id] = h
			hashRows = append(hashRows, l.base+id, h[:])
			id++
		}
	}
	if err := l.fence(ctx, tx, at, at+int64(len(lines)), hashes); err != nil {
		return err
	}
	if err := insertRows(ctx, tx, `INSERT INTO audit_entry (idx, entry_id, body) VALUES `, 3, entryRows); err != nil {
		return fmt.Errorf("insert entries: %w", err)
	}
	if err := insertRows(ctx, tx, `INSERT INTO audit_hash (id, h) VALUES `, 2, hashRows); err != nil {
		return fmt.Errorf("insert hashes: %w", err)
	}
	return nil
}

func insertRows(ctx context.Context, tx *sqlx.Tx, insert string, columns int, values []any) error {
	for len(values) > 0 {
		n := min(len(values), maxRows*columns)
		if _, err := tx.ExecContext(ctx, tx.Rebind(insert+places(columns, n/columns)), values[:n]...); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// advance signs the head of a new size with the keys that have to sign it,
// stores it and returns it. The primary key is what makes two heads of one size
// impossible.
func (l *Log) advance(ctx context.Context, tx *sqlx.Tx, keys *chain, size int64, hashes *reader) (Head, error) {
	root, err := tlog.TreeHash(size, hashes)
	if err != nil {
		return Head{}, fmt.Errorf("root of size %d: %w", size, err)
	}
	h := Head{Size: size, Root: root, At: l.now()}
	if h.Note, err = l.sign(keys, size, root); err != nil {
		return Head{}, err
	}
	// A signer that signs something else, or with another key, must not be
	// noticed by those who hold the certificates.
	if err := l.checkSigned(h, keys); err != nil {
		return Head{}, err
	}
	_, err = tx.ExecContext(ctx, tx.Rebind(`INSERT INTO audit_checkpoint (size, root, note, at) VALUES (?, ?, ?, ?)`),
		l.base+size, root[:], h.Note, h.At.Unix())
	if err != nil {
		return Head{}, fmt.Errorf("store head of size %d: %w", size, err)
	}
	return h, nil
}

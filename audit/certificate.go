package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// Certificate returns the certificate of an entry, by the ID that
// proof.EntryID gives, with the cosignatures of its head. The head is, of those
// that cover the entry, the first that has the most cosignatures; while none is
// cosigned, the first. So the certificate has the same bytes whenever it is
// asked for until a head is cosigned, and again from when all witnesses have
// cosigned one.
//
// An entry of a log that this one has followed, in the same database, has a
// certificate too, under that log's key. An ID that is in none wraps
// [ErrNotFound]; a certificate that does not verify is not handed out and wraps
// [ErrBroken].
func (l *Log) Certificate(ctx context.Context, entryID string) ([]byte, error) {
	return l.CertificateAt(ctx, entryID, false)
}

// CertificateAt is Certificate or, with newest, the same entry's certificate
// cut anew for the newest head: it shows that the log still has the entry, and
// carries the signatures that heads get by now. Its bytes change as the log
// grows.
func (l *Log) CertificateAt(ctx context.Context, entryID string, newest bool) ([]byte, error) {
	text, err := l.certificate(ctx, entryID, newest)
	for at := l; errors.Is(err, ErrNotFound); {
		before, _, perr := at.predecessor(ctx, l.db)
		if perr != nil {
			return nil, fmt.Errorf("certificate: %w", perr)
		}
		if before == nil {
			break
		}
		at = before
		text, err = at.certificate(ctx, entryID, newest)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return text, nil
}

func (l *Log) certificate(ctx context.Context, entryID string, newest bool) ([]byte, error) {
	var c proof.Certificate
	row := l.db.QueryRowxContext(ctx, l.db.Rebind(`SELECT idx, body FROM audit_entry WHERE entry_id = ? AND idx >= ? AND idx < ?`), entryID, l.base, l.end())
	if err := row.Scan(&c.Index, &c.Entry); errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, entryID)
	} else if err != nil {
		return nil, fmt.Errorf("read entry: %w", err)
	}
	c.Index -= l.base
	h, err := l.headOver(ctx, c.Index, newest)
	if err != nil {
		return nil, err
	}
	if c.Checkpoint, err = l.cosigned(ctx, h); err != nil {
		return nil, err
	}
	if c.Path, err = tlog.ProveRecord(h.Size, c.Index, l.reader(ctx, l.db)); err != nil {
		return nil, err
	}
	keys, err := l.chain(ctx, l.db)
	if err != nil {
		return nil, err
	}
	text := c.Text()
	if _, err := proof.Verify(text, l.believed(keys)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return text, nil
}

// The heads that a certificate can be cut for.
const (
	firstHead  = `SELECT size, root, note, at FROM audit_checkpoint WHERE size >= ? AND size < ? ORDER BY size LIMIT 1`
	newestOver = `SELECT size, root, note, at FROM audit_checkpoint WHERE size >= ? AND size < ? ORDER BY size DESC LIMIT 1`
)

// headOver returns the head that the certificate of an entry is cut for.
func (l *Log) headOver(ctx context.Context, idx int64, newest bool) (Head, error) {
	query, from := newestOver, idx+1
	if !newest {
		size, err := l.witnessed(ctx, idx)
		if err != nil {
			return Head{}, fmt.Errorf("read cosignatures: %w", err)
		}
		query, from = firstHead, max(size, from)
	}
	// The rows read here never change, so no transaction is needed.
	h, err := l.scanHead(l.db.QueryRowxContext(ctx, l.db.Rebind(query), l.base+from, l.end()))
	if errors.Is(err, sql.ErrNoRows) {
		return h, fmt.Errorf("%w: no head covers entry %d", ErrBroken, idx)
	} else if err != nil {
		return h, fmt.Errorf("read head: %w", err)
	}
	return h, nil
}

// Entry returns the entry at an index, or an error wrapping [ErrNotFound].
func (l *Log) Entry(ctx context.Context, idx int64) (proof.Entry, error) {
	bodies, err := l.bodies(ctx, l.db, idx, 1)
	if err != nil {
		return nil, fmt.Errorf("read entry %d: %w", idx, err)
	}
	if len(bodies) == 0 {
		return nil, fmt.Errorf("read entry %d: %w", idx, ErrNotFound)
	}
	e, err := proof.Decode(bodies[0])
	if err != nil {
		return nil, fmt.Errorf("read entry %d: %w: %w", idx, ErrBroken, err)
	}
	return e, nil
}

// A Line is an entry with its place in the log.
type Line struct {
	Index int64
	Entry proof.Entry
}

// Tail returns the newest n entries, oldest first.
func (l *Log) Tail(ctx context.Context, n int) ([]Line, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, fmt.Errorf("read tail: %w", err)
	}
	from := max(0, size-int64(n))
	bodies, err := l.bodies(ctx, l.db, from, size-from)
	if err != nil {
		return nil, fmt.Errorf("read tail: %w", err)
	}
	var lines []Line
	for i, body := range bodies {
		idx := from + int64(i)
		e, err := proof.Decode(body)
		if err != nil {
			return nil, fmt.Errorf("read entry %d: %w: %w", idx, ErrBroken, err)
		}
		lines = append(lines, Line{Index: idx, Entry: e})
	}
	return lines, nil
}

// bodies returns up to n bodies from index from on. A gap among them wraps
// ErrBroken.
func (l *Log) bodies(ctx context.Context, q querier, from, n int64) ([][]byte, error) {
	rows, err := q.QueryxContext(ctx, rebind(q, `SELECT idx, body FROM audit_entry WHERE idx >= ? AND idx < ? ORDER BY idx`), l.base+from, l.base+from+n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][]byte
	for rows.Next() {
		var idx int64
		var body []byte
		if err := rows.Scan(&idx, &body); err != nil {
			return nil, err
		}
		if idx != l.base+from+int64(len(all)) {
			return nil, fmt.Errorf("%w: entry %d is missing", ErrBroken, from+int64(len(all)))
		}
		all = append(all, body)
	}
	return all, rows.Err()
}

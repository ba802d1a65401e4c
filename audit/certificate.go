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
// proof.EntryID gives, under the first head that covers it. It has the same
// bytes whenever it is asked for. An ID that is not in the log wraps
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
	c, err := l.certificate(ctx, entryID, newest)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	text := c.Text()
	if _, err := proof.Verify(text, l.keys); err != nil {
		return nil, fmt.Errorf("certificate: %w: %w", ErrBroken, err)
	}
	return text, nil
}

// The heads that a certificate can be cut for.
const (
	firstHead  = `SELECT size, root, note, at FROM audit_checkpoint WHERE size > ? AND size < ? ORDER BY size LIMIT 1`
	newestOver = `SELECT size, root, note, at FROM audit_checkpoint WHERE size > ? AND size < ? ORDER BY size DESC LIMIT 1`
)

func (l *Log) certificate(ctx context.Context, entryID string, newest bool) (proof.Certificate, error) {
	var c proof.Certificate
	row := l.db.QueryRowxContext(ctx, l.db.Rebind(`SELECT idx, body FROM audit_entry WHERE entry_id = ? AND idx >= ? AND idx < ?`), entryID, l.base, l.end())
	if err := row.Scan(&c.Index, &c.Entry); errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("%w: %s", ErrNotFound, entryID)
	} else if err != nil {
		return c, fmt.Errorf("read entry: %w", err)
	}
	c.Index -= l.base
	head := firstHead
	if newest {
		head = newestOver
	}
	// The rows read here never change, so no transaction is needed.
	row = l.db.QueryRowxContext(ctx, l.db.Rebind(head), l.base+c.Index, l.end())
	h, err := l.scanHead(row)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("%w: no head covers entry %d", ErrBroken, c.Index)
	} else if err != nil {
		return c, fmt.Errorf("read head: %w", err)
	}
	c.Checkpoint = h.Note
	c.Path, err = tlog.ProveRecord(h.Size, c.Index, l.reader(ctx, l.db))
	return c, err
}

// Entry returns the entry at an index, or an error wrapping [ErrNotFound].
func (l *Log) Entry(ctx context.Context, idx int64) (proof.Entry, error) {
	bodies, err := l.bodies(ctx, idx, 1)
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
	bodies, err := l.bodies(ctx, from, size-from)
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
func (l *Log) bodies(ctx context.Context, from, n int64) ([][]byte, error) {
	rows, err := l.db.QueryxContext(ctx, l.db.Rebind(`SELECT idx, body FROM audit_entry WHERE idx >= ? AND idx < ? ORDER BY idx`), l.base+from, l.base+from+n)
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

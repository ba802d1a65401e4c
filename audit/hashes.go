package audit

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"
)

// maxIn is how many hashes are asked for in one query.
const maxIn = 500

// A reader reads stored hashes and remembers those it has read or been given.
// It lives as long as one call, so what a rolled back transaction wrote is
// forgotten with it.
type reader struct {
	ctx  context.Context // of the one call it lives for
	q    sqlx.QueryerContext
	base int64 // of the stored IDs
	seen map[int64]tlog.Hash
}

func (l *Log) reader(ctx context.Context, q sqlx.QueryerContext) *reader {
	return &reader{ctx: ctx, q: q, base: l.base, seen: map[int64]tlog.Hash{}}
}

// ReadHashes implements [tlog.HashReader].
func (r *reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var missing []int64
	for _, x := range indexes {
		if _, ok := r.seen[x]; !ok {
			missing = append(missing, x)
		}
	}
	for len(missing) > 0 {
		n := min(len(missing), maxIn)
		if err := r.fetch(missing[:n]); err != nil {
			return nil, fmt.Errorf("read hashes: %w", err)
		}
		missing = missing[n:]
	}
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		h, ok := r.seen[x]
		if !ok {
			return nil, fmt.Errorf("%w: hash %d is missing", ErrBroken, x)
		}
		hashes[i] = h
	}
	return hashes, nil
}

func (r *reader) fetch(indexes []int64) error {
	ids := make([]int64, len(indexes))
	for i, x := range indexes {
		ids[i] = r.base + x
	}
	query, args, err := sqlx.In(`SELECT id, h FROM audit_hash WHERE id IN (?)`, ids)
	if err != nil {
		return err
	}
	return r.query(query, args...)
}

// preload reads all hashes from one ID to before another.
func (r *reader) preload(from, to int64) error {
	if err := r.query(`SELECT id, h FROM audit_hash WHERE id >= ? AND id < ?`, r.base+from, r.base+to); err != nil {
		return fmt.Errorf("read hashes: %w", err)
	}
	return nil
}

func (r *reader) query(query string, args ...any) error {
	rows, err := r.q.QueryxContext(r.ctx, rebind(r.q, query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var b []byte
		if err := rows.Scan(&id, &b); err != nil {
			return err
		}
		var h tlog.Hash
		if len(b) != len(h) {
			return fmt.Errorf("%w: hash %d has another length", ErrBroken, id-r.base)
		}
		copy(h[:], b)
		r.seen[id-r.base] = h
	}
	return rows.Err()
}

// rebind puts in the placeholders of q, a pool or a transaction.
func rebind(q sqlx.QueryerContext, query string) string {
	if b, ok := q.(interface{ Rebind(string) string }); ok {
		return b.Rebind(query)
	}
	return query
}

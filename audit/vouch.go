package audit

import (
	"context"
	"fmt"
	"slices"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// chain reads what the log says of its keys. It is to be believed once it is
// vouched for.
func (l *Log) chain(ctx context.Context, q querier) (*chain, error) {
	said, err := l.told(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read the log's keys: %w", err)
	}
	if len(said) == 0 {
		return l.onlyKey(ctx, q)
	}
	c, err := begin(said[0])
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrBroken, said[0].idx, err)
	}
	for _, t := range said {
		if c, err = c.add(t); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrBroken, t.idx, err)
		}
	}
	return c, nil
}

// Where the entries about keys are. The plus signs keep SQLite from walking
// the whole table in the order of idx. The order of texts on PostgreSQL is not
// that of bytes; there they have an index of their own.
const (
	toldSQLite   = `SELECT idx, body FROM audit_entry WHERE entry_id >= 'key/' AND entry_id < 'key0' AND +idx >= ? AND +idx < ? ORDER BY +idx`
	toldPostgres = `SELECT idx, body FROM audit_entry WHERE entry_id LIKE 'key/%' AND idx >= ? AND idx < ? ORDER BY idx`
)

// told reads the entries about the log's keys.
func (l *Log) told(ctx context.Context, q querier) ([]told, error) {
	query := toldSQLite
	if !isSQLite(l.db) {
		query = toldPostgres
	}
	rows, err := q.QueryxContext(ctx, rebind(q, query), l.base, l.end())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []told
	for rows.Next() {
		var t told
		if err := rows.Scan(&t.idx, &t.body); err != nil {
			return nil, err
		}
		t.idx -= l.base
		all = append(all, t)
	}
	return all, rows.Err()
}

// begin returns the chain of before the first entry about keys.
func begin(t told) (*chain, error) {
	e, err := proof.Decode(t.body)
	if err != nil {
		return nil, err
	}
	r, ok := e.(*proof.KeyRotated)
	if !ok {
		return nil, fmt.Errorf("%w: no rotation is under way", ErrRotation)
	}
	first, err := proof.ParseVerifyKey(r.OldKey)
	return newChain(first), err
}

// onlyKey returns the chain of a log that says nothing of its keys: the one of
// those that are believed which has signed.
func (l *Log) onlyKey(ctx context.Context, q querier) (*chain, error) {
	if len(l.pins) > 1 {
		h, err := l.newestHead(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, p := range l.pins {
			if _, err := proof.OpenHead(h.Note, proof.NewPolicy(proof.LogKey{Key: p.Key, Until: proof.Unbounded})); err == nil {
				return newChain(p.Key), nil
			}
		}
	}
	return newChain(l.pins[0].Key), nil
}

// vouched makes sure of a chain under the newest head, whose root is that of
// hashes: that the head covers all that the chain is made of, and that a key
// that is believed has signed it, or has signed the head that announced the key
// after it, and so on.
func (l *Log) vouched(ctx context.Context, q querier, h Head, c *chain, hashes tlog.HashReader) error {
	for _, e := range c.entries {
		if e.idx >= h.Size {
			return fmt.Errorf("%w: no head covers entry %d", ErrBroken, e.idx)
		}
		path, err := tlog.ProveRecord(h.Size, e.idx, hashes)
		if err != nil {
			return err
		}
		if tlog.CheckRecord(path, h.Size, h.Root, e.idx, tlog.RecordHash(e.body)) != nil {
			return fmt.Errorf("%w: entry %d, about the log's keys, is not what was signed", ErrBroken, e.idx)
		}
	}
	last := l.pinned(c)
	if last < 0 {
		return fmt.Errorf("%w: by its entries, the log never had the key that was given", ErrBroken)
	}
	for _, k := range c.links[last:] {
		if k.signs(h.Size) {
			return nil
		}
		if err := l.handedOn(ctx, q, h, c, k, hashes); err != nil {
			return err
		}
	}
	return nil
}

// pinned returns the newest link whose key is believed, or -1.
func (l *Log) pinned(c *chain) int {
	for i := len(c.links) - 1; i >= 0; i-- {
		if slices.ContainsFunc(l.pins, func(p proof.LogKey) bool { return sameKey(p.Key, c.links[i].key) }) {
			return i
		}
	}
	return -1
}

// handedOn makes sure that a key that was retired had signed a head, of which
// the newest one is a continuation, that covers the announcement of the next.
func (l *Log) handedOn(ctx context.Context, q querier, now Head, c *chain, old link, hashes tlog.HashReader) error {
	row := q.QueryRowxContext(ctx, rebind(q, `SELECT size, root, note, at FROM audit_checkpoint WHERE size > ? AND size <= ? ORDER BY size DESC LIMIT 1`), l.base, l.base+old.until)
	h, err := l.scanHead(row)
	if err != nil || len(c.at(h.Size)) < 2 {
		return fmt.Errorf("%w: the log was given a new key, and no head is kept in which the old one says so: give the new one", proof.ErrNotVerified)
	}
	if err := l.checkSigned(h, c); err != nil {
		return err
	}
	if continues(now, h, hashes) != nil {
		return fmt.Errorf("%w: the log does not continue the head of size %d, in which a key was announced", ErrBroken, h.Size)
	}
	return nil
}

package audit

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// blockSize is how many entries Check reads at a time: a power of two, so that
// most hashes of a block are made of the block alone.
const (
	blockLevel = 10
	blockSize  = 1 << blockLevel
)

// A block is a run of entries that was read and hashed by itself.
type block struct {
	from, n int64 // the entries up to the first gap
	gap     bool
	first   int64       // ID of its first hash
	made    []tlog.Hash // as computed, in the order in which they are stored, but for those that earlier blocks are part of
	stored  []tlog.Hash // as stored; zero where there is none
	heads   []Head      // by size
	kinds   map[string]int
	found   []finding
}

// A finding is a problem of an entry, or of a head that ends with it.
type finding struct {
	idx  int64
	text string
}

func (b *block) problem(idx int64, format string, args ...any) {
	b.found = append(b.found, finding{idx, fmt.Sprintf(format, args...)})
}

// inOrder returns the problems as one who reads entry after entry meets them.
func (b *block) inOrder() []string {
	slices.SortStableFunc(b.found, func(x, y finding) int { return int(x.idx - y.idx) })
	var texts []string
	for _, f := range b.found {
		texts = append(texts, f.text)
	}
	return texts
}

// hash returns a computed hash of b.
func (b *block) hash(id int64) (tlog.Hash, bool) {
	if id < b.first || id >= b.first+int64(len(b.made)) {
		return tlog.Hash{}, false
	}
	return b.made[id-b.first], true
}

// compare makes sure that a hash, which entry idx completed, is the stored one.
func (b *block) compare(id, idx int64, h tlog.Hash) {
	if b.stored[id-b.first] != h {
		b.problem(idx, "hash %d, of entry %d, is not the stored one", id, idx)
	}
}

// readBlock reads up to n entries from an index on, up to the first gap, with
// their hashes and the heads among them, and checks what they show by
// themselves.
func (l *Log) readBlock(ctx context.Context, keys *chain, from, n int64) (*block, error) {
	b := &block{from: from, first: tlog.StoredHashCount(from), kinds: map[string]int{}}
	if err := l.readHeads(ctx, keys, b, n); err != nil {
		return nil, err
	}
	var err error
	if b.stored, err = l.storedHashes(ctx, b.first, tlog.StoredHashCount(from+n)); err != nil {
		return nil, err
	}
	return b, l.readEntries(ctx, b, n)
}

// entry checks one entry by itself.
func (b *block) entry(origin string, idx int64, id, body []byte) {
	e, err := proof.Decode(body)
	switch {
	case err != nil:
		b.problem(idx, "entry %d: %v", idx, err)
	case e.Head().Origin != origin:
		b.problem(idx, "entry %d is of another log", idx)
	case e.ID() != string(id):
		b.problem(idx, "entry %d stands under another ID", idx)
	default:
		b.kinds[e.Kind()]++
	}
}

// add computes the hashes that an entry completes within the block.
func (b *block) add(idx int64, h tlog.Hash) {
	id := tlog.StoredHashIndex(0, idx)
	for level := 0; ; level++ {
		b.made = append(b.made, h)
		b.compare(id, idx, h)
		if level == blockLevel || idx>>level&1 == 0 {
			return
		}
		left, _ := b.hash(tlog.StoredHashIndex(level, idx>>level-1)) // of an even, aligned block
		h = tlog.NodeHash(left, h)
		id++
	}
}

// readEntries checks up to n entries, to the first gap.
func (l *Log) readEntries(ctx context.Context, b *block, n int64) error {
	rows, err := l.db.QueryxContext(ctx, l.db.Rebind(`SELECT idx, entry_id, body FROM audit_entry WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?`), l.base+b.from, l.end(), n)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var id, body sql.RawBytes // the driver's own, until the next row
		if err := rows.Scan(&at, &id, &body); err != nil {
			return err
		}
		idx := b.from + b.n
		if at-l.base != idx {
			b.problem(idx, "entry %d is missing", idx)
			break
		}
		b.n++
		b.entry(l.origin, idx, id, body)
		b.add(idx, tlog.RecordHash(body))
	}
	b.gap = b.n < n
	return rows.Err()
}

// readHeads reads the heads that n entries can meet, and makes sure of their
// signatures.
func (l *Log) readHeads(ctx context.Context, keys *chain, b *block, n int64) error {
	rows, err := l.db.QueryxContext(ctx, l.db.Rebind(`SELECT size, root, note, at FROM audit_checkpoint WHERE size > ? AND size <= ? ORDER BY size`), l.base+b.from, l.base+b.from+n)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		h, err := l.scanHead(rows)
		if errors.Is(err, ErrBroken) {
			b.problem(b.from, "%v", err)
			continue
		}
		if err != nil {
			return err
		}
		if err := l.checkSigned(h, keys); err != nil {
			b.problem(h.Size-1, "%v", err)
		}
		b.heads = append(b.heads, h)
	}
	return rows.Err()
}

// storedHashes reads the hashes from one ID to before another; one that is not
// there is zero.
func (l *Log) storedHashes(ctx context.Context, from, to int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, to-from)
	if isSQLite(l.db) {
		// A row of all costs a tenth of a row each.
		var text []byte
		row := l.db.QueryRowxContext(ctx, `SELECT group_concat(hex(h), '') FROM (SELECT h FROM audit_hash WHERE id >= ? AND id < ? ORDER BY id)`, l.base+from, l.base+to)
		if err := row.Scan(&text); err != nil {
			return nil, fmt.Errorf("read hashes: %w", err)
		}
		if len(text) == len(hashes)*2*tlog.HashSize {
			for i := range hashes {
				if _, err := hex.Decode(hashes[i][:], text[i*2*tlog.HashSize:(i+1)*2*tlog.HashSize]); err != nil {
					return nil, fmt.Errorf("read hashes: %w", err)
				}
			}
			return hashes, nil
		}
	}
	r := l.reader(ctx, l.db)
	if err := r.preload(from, to); err != nil {
		return nil, err
	}
	for i := range hashes {
		hashes[i] = r.seen[from+int64(i)]
	}
	return hashes, nil
}

package audit

import (
	"context"
	"errors"
	"fmt"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// stride is how many entries Check holds at a time.
const stride = 1000

// maxProblems is how many problems a Report lists. Past a tampered entry every
// head is wrong, and a million lines help nobody.
const maxProblems = 20

// A Report is what Check found.
type Report struct {
	Size     int64
	Root     tlog.Hash
	Heads    int            // signed heads checked
	Kinds    map[string]int // entries by kind
	Problems []string       // the first 20; none if all is well
}

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Check reads the whole log: it hashes every body again, trusting no stored
// hash, compares each hash and each signed head with what comes out, and reads
// every entry strictly. If there are problems its error wraps [ErrBroken]; any
// other error means that the log could not be read. Time grows with the log, a
// minute or two a million entries; memory does not.
func (l *Log) Check(ctx context.Context) (Report, error) {
	c := checker{l: l, r: Report{Kinds: map[string]int{}}, hashes: map[int64]tlog.Hash{}}
	if err := c.run(ctx); err != nil {
		return c.r, fmt.Errorf("check log: %w", err)
	}
	if n := len(c.r.Problems); n > 0 {
		return c.r, fmt.Errorf("check log: %w: %d or more problems, the first: %s", ErrBroken, n, c.r.Problems[0])
	}
	return c.r, nil
}

// A checker walks the log once, from the first entry on.
type checker struct {
	l      *Log
	r      Report
	hashes map[int64]tlog.Hash // as computed; only those that roots are made of
	next   int64               // ID of the next stored hash
}

// ReadHashes implements [tlog.HashReader] over computed hashes.
func (c *checker) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		h, ok := c.hashes[x]
		if !ok {
			return nil, fmt.Errorf("hash %d was forgotten too soon", x)
		}
		out[i] = h
	}
	return out, nil
}

// run checks the log as it is when it begins. What is appended meanwhile is
// left for the next time.
func (c *checker) run(ctx context.Context) error {
	var size, hashes, head int64
	base, end := c.l.base, c.l.end()
	row := c.l.db.QueryRowxContext(ctx, c.l.db.Rebind(`SELECT (SELECT coalesce(max(idx) + 1, ?) FROM audit_entry WHERE idx >= ? AND idx < ?) - ?,
		(SELECT coalesce(max(id) + 1, ?) FROM audit_hash WHERE id >= ? AND id < ?) - ?,
		(SELECT coalesce(max(size), ?) FROM audit_checkpoint WHERE size > ? AND size < ?) - ?`),
		base, base, end, base, base, base, end, base, base, base, end, base)
	if err := row.Scan(&size, &hashes, &head); err != nil {
		return err
	}
	if head != size || hashes != tlog.StoredHashCount(size) {
		c.r.problem("the newest head covers %d entries, but %d entries and %d hashes are stored", head, size, hashes)
	}
	for c.r.Size < size {
		n, err := c.entries(ctx, c.r.Size, min(stride, size-c.r.Size))
		if err != nil {
			return err
		}
		if n == 0 { // a gap; nothing behind it has a known place
			break
		}
	}
	if err := c.count(ctx, "hashes", `SELECT count(*) FROM audit_hash WHERE id >= ? AND id < ?`, tlog.StoredHashCount(size), c.next); err != nil {
		return err
	}
	if err := c.count(ctx, "heads", `SELECT count(*) FROM audit_checkpoint WHERE size > ? AND size <= ?`, size, int64(c.r.Heads)); err != nil {
		return err
	}
	var err error
	c.r.Root, err = tlog.TreeHash(c.r.Size, c)
	return err
}

// count compares a number of rows below a bound with the number checked.
func (c *checker) count(ctx context.Context, what, query string, below, checked int64) error {
	var n int64
	if err := c.l.db.GetContext(ctx, &n, c.l.db.Rebind(query), c.l.base, c.l.base+below); err != nil {
		return err
	}
	if n != checked {
		c.r.problem("%d %s are stored, of which %d belong to the entries", n, what, checked)
	}
	return nil
}

// entries checks up to n entries from an index on, with their hashes and the
// heads among them, and returns how many there were before the first gap.
func (c *checker) entries(ctx context.Context, from, n int64) (int, error) {
	stored := c.l.reader(ctx, c.l.db)
	heads, err := c.heads(ctx, from, n)
	if err != nil {
		return 0, err
	}
	lines, err := c.lines(ctx, from, n)
	if err != nil {
		return 0, err
	}
	if err := stored.preload(c.next, tlog.StoredHashCount(from+int64(len(lines)))); err != nil {
		return 0, err
	}
	for _, x := range lines {
		if err := c.entry(x, stored.seen); err != nil {
			return 0, err
		}
		if h, ok := heads[c.r.Size]; ok {
			c.head(h)
		}
	}
	return len(lines), nil
}

// lines reads up to n entries from an index on, to the first gap.
func (c *checker) lines(ctx context.Context, from, n int64) ([]line, error) {
	rows, err := c.l.db.QueryxContext(ctx, c.l.db.Rebind(`SELECT idx, entry_id, body FROM audit_entry WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?`), c.l.base+from, c.l.end(), n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []line
	for rows.Next() {
		var idx int64
		var x line
		if err := rows.Scan(&idx, &x.id, &x.body); err != nil {
			return nil, err
		}
		if want := from + int64(len(lines)); idx-c.l.base != want {
			c.r.problem("entry %d is missing", want)
			break
		}
		lines = append(lines, x)
	}
	return lines, rows.Err()
}

// entry checks one entry and its stored hashes.
func (c *checker) entry(x line, stored map[int64]tlog.Hash) error {
	idx := c.r.Size
	e, err := proof.Decode(x.body)
	switch {
	case err != nil:
		c.r.problem("entry %d: %v", idx, err)
	case e.Head().Origin != c.l.origin:
		c.r.problem("entry %d is of another log", idx)
	case e.ID() != x.id:
		c.r.problem("entry %d stands under another ID", idx)
	default:
		c.r.Kinds[e.Kind()]++
	}
	made, err := tlog.StoredHashes(idx, x.body, c)
	if err != nil {
		return fmt.Errorf("hash entry %d: %w", idx, err)
	}
	for _, h := range made {
		if stored[c.next] != h {
			c.r.problem("hash %d, of entry %d, is not the stored one", c.next, idx)
		}
		c.hashes[c.next] = h
		c.next++
	}
	c.r.Size++
	c.forget()
	return nil
}

// forget keeps only the hashes that the roots of this size and of larger ones
// are made of: one for each bit of the size.
func (c *checker) forget() {
	if len(c.hashes) < 4096 {
		return
	}
	kept := map[int64]tlog.Hash{}
	for level, n := 0, c.r.Size; n > 0; level, n = level+1, n>>1 {
		if n&1 == 1 {
			i := tlog.StoredHashIndex(level, n-1)
			kept[i] = c.hashes[i]
		}
	}
	c.hashes = kept
}

// heads reads the heads that n entries from an index on can meet.
func (c *checker) heads(ctx context.Context, from, n int64) (map[int64]Head, error) {
	rows, err := c.l.db.QueryxContext(ctx, c.l.db.Rebind(`SELECT size, root, note, at FROM audit_checkpoint WHERE size > ? AND size <= ?`), c.l.base+from, c.l.base+from+n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	heads := map[int64]Head{}
	for rows.Next() {
		h, err := c.l.scanHead(rows)
		if errors.Is(err, ErrBroken) {
			c.r.problem("%v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		heads[h.Size] = h
	}
	return heads, rows.Err()
}

func (c *checker) head(h Head) {
	c.r.Heads++
	if err := c.l.checkSigned(h); err != nil {
		c.r.problem("%v", err)
	}
	root, err := tlog.TreeHash(c.r.Size, c)
	if err != nil || root != h.Root {
		c.r.problem("the head of size %d has another root than its entries", h.Size)
	}
}

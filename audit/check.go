package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"
)

// maxProblems is how many problems a Report lists. Past a tampered entry every
// head is wrong, and a million lines help nobody.
const maxProblems = 20

// A Report is what Check found.
type Report struct {
	Size     int64
	Root     tlog.Hash
	Heads    int            // signed heads checked
	Open     int            // requests that were accepted here and have no entry of their end yet
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
// other error means that the log could not be read. Time grows with the log, some
// ten seconds a million entries on two cores; memory does not.
func (l *Log) Check(ctx context.Context) (Report, error) {
	c := checker{l: l, r: Report{Kinds: map[string]int{}}, rim: map[int64]tlog.Hash{}}
	if err := c.run(ctx); err != nil {
		return c.r, fmt.Errorf("check log: %w", err)
	}
	if n := len(c.r.Problems); n > 0 {
		return c.r, fmt.Errorf("check log: %w: %d or more problems, the first: %s", ErrBroken, n, c.r.Problems[0])
	}
	return c.r, nil
}

// errGap makes a check stop at a missing entry: nothing behind it has a known
// place.
var errGap = errors.New("an entry is missing")

// A checker puts the blocks of a log together, from the first on.
type checker struct {
	l    *Log
	r    Report
	keys *chain
	rim  map[int64]tlog.Hash // computed hashes of whole blocks and more, those that are still needed
	in   *block              // the one being put
}

// run checks the log as it is when it begins. What is appended meanwhile is
// left for the next time.
func (c *checker) run(ctx context.Context) error {
	var size, hashes, head int64
	var err error
	if c.keys, err = c.l.chain(ctx, c.l.db); err != nil && !isFalse(err) {
		return err
	} else if err != nil {
		c.r.problem("%v", err)
		c.keys = newChain(c.l.pins[0].Key)
	}
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
	if err := c.blocks(ctx, size); err != nil && !errors.Is(err, errGap) {
		return err
	}
	if err := c.count(ctx, "hashes", `SELECT count(*) FROM audit_hash WHERE id >= ? AND id < ?`, tlog.StoredHashCount(size), tlog.StoredHashCount(c.r.Size)); err != nil {
		return err
	}
	if err := c.count(ctx, "heads", `SELECT count(*) FROM audit_checkpoint WHERE size > ? AND size <= ?`, size, int64(c.r.Heads)); err != nil {
		return err
	}
	if err := c.open(ctx, size); err != nil {
		return err
	}
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

// open counts the requests that have not ended. It reads no entry, only the
// index of their IDs.
func (c *checker) open(ctx context.Context, size int64) error {
	const accepted = "/" + proof.KindAccepted
	query := `SELECT count(*) FROM audit_entry a WHERE +a.idx >= ? AND +a.idx < ? AND a.entry_id LIKE ?`
	args := []any{c.l.base, c.l.base + size, "%" + accepted}
	for _, end := range []string{proof.KindCompleted, proof.KindCancelled, proof.KindRejected, proof.KindSuperseded} {
		query += ` AND NOT EXISTS (SELECT 1 FROM audit_entry b WHERE b.entry_id = substr(a.entry_id, 1, length(a.entry_id) - ?) || ?)`
		args = append(args, len(accepted), "/"+end)
	}
	if err := c.l.db.GetContext(ctx, &c.r.Open, c.l.db.Rebind(query), args...); err != nil {
		return fmt.Errorf("count open requests: %w", err)
	}
	return nil
}

// blocks checks the entries up to a size, or to a gap. Blocks are read and
// hashed side by side and put together in order.
func (c *checker) blocks(ctx context.Context, size int64) error {
	g, ctx := errgroup.WithContext(ctx)
	order := make(chan chan *block, runtime.GOMAXPROCS(0)) // bounds how many are held
	g.Go(func() error {
		defer close(order)
		for from := int64(0); from < size; from += blockSize {
			ready := make(chan *block, 1)
			select {
			case order <- ready:
			case <-ctx.Done():
				return ctx.Err()
			}
			g.Go(func() error {
				b, err := c.l.readBlock(ctx, c.keys, from, min(blockSize, size-from))
				if err == nil {
					ready <- b
				}
				return err
			})
		}
		return nil
	})
	g.Go(func() error {
		for ready := range order {
			select {
			case b := <-ready:
				if err := c.put(b); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// put joins a block to those before it.
func (c *checker) put(b *block) error {
	c.in = b
	end := b.from + b.n
	if err := c.join(b); err != nil {
		return err
	}
	for _, h := range b.heads {
		if h.Size > end {
			continue // behind a gap
		}
		c.r.Heads++
		root, err := tlog.TreeHash(h.Size, c)
		if err != nil || root != h.Root {
			b.problem(h.Size-1, "the head of size %d has another root than its entries", h.Size)
		}
	}
	for _, text := range b.inOrder() {
		c.r.problem("%s", text)
	}
	for kind, n := range b.kinds {
		c.r.Kinds[kind] += n
	}
	c.r.Size = end
	c.keep(b)
	if b.gap {
		return errGap
	}
	return nil
}

// join computes the hashes that b completes together with blocks before it.
func (c *checker) join(b *block) error {
	last := b.from + b.n - 1
	for level := blockLevel + 1; b.n == blockSize && last>>(level-1)&1 == 1; level++ {
		of, err := c.ReadHashes([]int64{tlog.StoredHashIndex(level-1, last>>(level-1)-1), tlog.StoredHashIndex(level-1, last>>(level-1))})
		if err != nil {
			return err
		}
		id := tlog.StoredHashIndex(level, last>>level)
		c.rim[id] = tlog.NodeHash(of[0], of[1])
		b.compare(id, last, c.rim[id])
	}
	return nil
}

// keep keeps only the hashes that roots of larger sizes are made of: one for
// each bit of the size.
func (c *checker) keep(b *block) {
	kept := map[int64]tlog.Hash{}
	for level, n := 0, c.r.Size; n > 0; level, n = level+1, n>>1 {
		if n&1 == 1 {
			id := tlog.StoredHashIndex(level, n-1)
			if h, ok := c.rim[id]; ok {
				kept[id] = h
			} else if h, ok := b.hash(id); ok {
				kept[id] = h
			}
		}
	}
	c.rim, c.in = kept, nil
}

// ReadHashes implements [tlog.HashReader] over computed hashes.
func (c *checker) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		h, ok := c.rim[x]
		if !ok && c.in != nil {
			h, ok = c.in.hash(x)
		}
		if !ok {
			return nil, fmt.Errorf("hash %d was forgotten too soon", x)
		}
		out[i] = h
	}
	return out, nil
}

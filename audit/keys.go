package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// keyEntries begins the IDs of the entries that are about the log's keys, and
// of no others.
const keyEntries = "key/"

// ErrRotation is wrapped when an entry about the log's keys does not follow
// from those before it: a second rotation while one is under way, a key that
// the log has had before, an end of a rotation that has not begun.
var ErrRotation = errors.New("the log's keys do not allow it")

// A chain is the keys that a log has had, as its own entries tell: which of
// them had to sign the head of a size. It is not changed once it is made.
type chain struct {
	links    []link // in the order in which they came; never empty
	entries  []told
	rotation *proof.KeyRotated // under way, or nil
	begun    int64             // index of that entry
}

// A link is a key with the sizes of the heads that it had to sign.
type link struct {
	key   proof.VerifyKey
	since int64 // the smallest
	until int64 // the largest, or proof.Unbounded
}

func (k link) signs(size int64) bool {
	return size >= k.since && (k.until == proof.Unbounded || size <= k.until)
}

// told is an entry that a chain is made of.
type told struct {
	idx  int64
	body []byte
}

// newChain returns the chain of a log that has had one key.
func newChain(first proof.VerifyKey) *chain {
	return &chain{links: []link{{key: first, until: proof.Unbounded}}}
}

// inForce returns the key that certificates are mostly asked under: the old one
// until the overlap ends.
func (c *chain) inForce() proof.VerifyKey {
	if c.rotation != nil {
		return c.links[len(c.links)-2].key
	}
	return c.links[len(c.links)-1].key
}

// at returns the keys that have to sign a head of a size.
func (c *chain) at(size int64) []proof.VerifyKey {
	var keys []proof.VerifyKey
	for _, k := range c.links {
		if k.signs(size) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// logKeys returns all keys with their bounds.
func (c *chain) logKeys() []proof.LogKey {
	keys := make([]proof.LogKey, len(c.links))
	for i, k := range c.links {
		keys[i] = proof.LogKey{Key: k.key, Until: k.until}
	}
	return keys
}

// text lists all keys as a file of verifier keys has them (proof.ParseKeys).
func (c *chain) text() []byte {
	var b strings.Builder
	for _, k := range c.links {
		fmt.Fprintf(&b, "%s\n", k.key)
		if k.until != proof.Unbounded {
			fmt.Fprintf(&b, "#lethe:until %s+%08x %d\n", k.key.Name(), k.key.KeyHash(), k.until)
		}
	}
	return []byte(b.String())
}

// with returns the chain that lines make of c when they are appended to a log
// whose last head has this size.
func (c *chain) with(size int64, lines []line) (*chain, error) {
	for i, x := range lines {
		if !strings.HasPrefix(x.id, keyEntries) {
			continue
		}
		if c.rotation != nil && c.begun >= size {
			return nil, fmt.Errorf("%w: a rotation has to stand under a signed head before it goes on", ErrRotation)
		}
		next, err := c.add(told{size + int64(i), x.body})
		if err != nil {
			return nil, err
		}
		c = next
	}
	return c, nil
}

// add returns the chain with one more entry.
func (c *chain) add(t told) (*chain, error) {
	e, err := proof.Decode(t.body)
	if err != nil {
		return nil, err
	}
	n := &chain{links: slices.Clone(c.links), entries: append(slices.Clip(c.entries), t), rotation: c.rotation, begun: c.begun}
	switch e := e.(type) {
	case *proof.KeyRotated:
		err = n.rotate(e, t.idx)
	case *proof.KeyRetired:
		err = n.retire(e, t.idx)
	default:
		err = fmt.Errorf("%w: not an entry about a key", ErrRotation)
	}
	return n, err
}

func (c *chain) rotate(e *proof.KeyRotated, idx int64) error {
	next, err := proof.ParseVerifyKey(e.NewKey)
	if err != nil {
		return err
	}
	switch {
	case c.rotation != nil:
		return fmt.Errorf("%w: a rotation is under way", ErrRotation)
	case e.OldKey != c.inForce().String():
		return fmt.Errorf("%w: the key to be replaced is not the one in force", ErrRotation)
	case slices.ContainsFunc(c.links, func(k link) bool { return k.key.Same(next) }):
		return fmt.Errorf("%w: the log has had that key before", ErrRotation)
	}
	c.links = append(c.links, link{key: next, since: idx + 1, until: proof.Unbounded})
	c.rotation, c.begun = e, idx
	return nil
}

func (c *chain) retire(e *proof.KeyRetired, idx int64) error {
	switch {
	case c.rotation == nil:
		return fmt.Errorf("%w: no rotation is under way", ErrRotation)
	case e.Key != c.inForce().String():
		return fmt.Errorf("%w: only the key that is being replaced can be retired", ErrRotation)
	case e.FinalSize != idx:
		return fmt.Errorf("%w: the final size is not the index of the entry that says so", ErrRotation)
	}
	c.links[len(c.links)-2].until = idx
	c.rotation, c.begun = nil, 0
	return nil
}

// continues makes sure that c says nothing else than an older chain of the log,
// and no less.
func (c *chain) continues(old *chain) error {
	if old == nil {
		return nil
	}
	same := len(old.entries) <= len(c.entries) && sameKey(c.links[0].key, old.links[0].key)
	for i := 0; same && i < len(old.entries); i++ {
		same = c.entries[i].idx == old.entries[i].idx && slices.Equal(c.entries[i].body, old.entries[i].body)
	}
	if !same {
		return fmt.Errorf("%w: what the log said of its keys is not there any more", ErrBroken)
	}
	return nil
}

// chain reads what the log says of its keys. It is to be believed once it is
// vouched for.
func (l *Log) chain(ctx context.Context, q querier) (*chain, error) {
	query := `SELECT idx, body FROM audit_entry WHERE entry_id LIKE 'key/%' AND idx >= ? AND idx < ? ORDER BY idx` // has an index of its own
	if isSQLite(l.db) {                                                                                            // the index of all IDs, in the order of their bytes
		query = `SELECT idx, body FROM audit_entry WHERE entry_id >= 'key/' AND entry_id < 'key0' AND idx >= ? AND idx < ? ORDER BY idx`
	}
	rows, err := q.QueryxContext(ctx, rebind(q, query), l.base, l.end())
	if err != nil {
		return nil, fmt.Errorf("read the log's keys: %w", err)
	}
	defer rows.Close()
	var c *chain
	for rows.Next() {
		var t told
		if err := rows.Scan(&t.idx, &t.body); err != nil {
			return nil, fmt.Errorf("read the log's keys: %w", err)
		}
		t.idx -= l.base
		if c == nil {
			if c, err = begin(t); err != nil {
				return nil, fmt.Errorf("%w: entry %d: %w", ErrBroken, t.idx, err)
			}
		}
		if c, err = c.add(t); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrBroken, t.idx, err)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read the log's keys: %w", err)
	}
	if c == nil {
		return l.onlyKey(ctx, q)
	}
	return c, nil
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

// sameKey reports whether two keys that sign heads have one spelling.
func sameKey(a, b proof.VerifyKey) bool { return a.Name() == b.Name() && a.Same(b) }

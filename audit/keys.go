package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lethe/audit/proof"
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

// sameKey reports whether two keys that sign heads have one spelling.
func sameKey(a, b proof.VerifyKey) bool { return a.Name() == b.Name() && a.Same(b) }

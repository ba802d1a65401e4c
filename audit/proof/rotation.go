package proof

import (
	"fmt"
	"strings"
)

// A KeyRotated entry announces the log's next key. Until the overlap ends the
// log signs with both.
type KeyRotated struct {
	Header
	OldKey, NewKey string // verifier keys, both named as the log
	RotatedAt      Time
	OverlapUntil   Time
}

// Kind returns [KindKeyRotated].
func (*KeyRotated) Kind() string { return KindKeyRotated }

// ID returns "key/", the hash in the new key's spelling, and the kind.
func (e *KeyRotated) ID() string { return keyEntryID(e.NewKey, e.Kind()) }

func (e *KeyRotated) members(m *members) {
	m.logKey("new_key", &e.NewKey)
	m.logKey("old_key", &e.OldKey)
	m.time("overlap_until", &e.OverlapUntil)
	m.time("rotated_at", &e.RotatedAt)
}

func (e *KeyRotated) check(c *checks) {
	c.keyOf("old_key", e.OldKey, e.Origin)
	c.keyOf("new_key", e.NewKey, e.Origin)
	c.that(e.OldKey != e.NewKey, "new_key must be another key")
}

func (e *KeyRotated) report(p *report) {
	p.line("rotated", "the log's key; heads carry both signatures until %s", e.OverlapUntil)
	p.line("old key", "%s", e.OldKey)
	p.line("new key", "%s", e.NewKey)
	p.line("", "whoever believes the old key may believe this; nobody else vouches for the new one")
	when(p, e.RotatedAt)
}

// A KeyRetired entry bounds a key of the log: it is to be believed for heads of
// at most FinalSize entries.
type KeyRetired struct {
	Header
	Key       string // verifier key, named as the log
	FinalSize int64  // entries; the index of this entry
	RetiredAt Time
}

// Kind returns [KindKeyRetired].
func (*KeyRetired) Kind() string { return KindKeyRetired }

// ID returns "key/", the hash in the key's spelling, and the kind.
func (e *KeyRetired) ID() string { return keyEntryID(e.Key, e.Kind()) }

func (e *KeyRetired) members(m *members) {
	m.size("final_size", &e.FinalSize)
	m.logKey("key", &e.Key)
	m.time("retired_at", &e.RetiredAt)
}

func (e *KeyRetired) check(c *checks) { c.keyOf("key", e.Key, e.Origin) }

func (e *KeyRetired) report(p *report) {
	p.line("retired", "a key of the log; a head of more than %d entries is not to be believed under it", e.FinalSize)
	p.line("key", "%s", e.Key)
	when(p, e.RetiredAt)
}

// keyOf checks the name of a verifier key whose form has been checked.
func (c *checks) keyOf(field, key, origin string) {
	name, _, _ := strings.Cut(key, "+")
	c.that(name == origin, "%s must be named as its log", field)
}

// keyEntryID returns the ID of an entry about a key. Of what is no verifier key
// it makes the ID of an entry that Encode refuses.
func keyEntryID(key, kind string) string {
	k, _ := ParseVerifyKey(key)
	return fmt.Sprintf("key/%08x/%s", k.KeyHash(), kind)
}

package proof

import "crypto/sha256"

// A LogSucceeded entry is the first of a log that takes the place of another
// one, which could not go on: with its origin, its head and its last key.
type LogSucceeded struct {
	Header
	OldOrigin   string
	OldSize     int64  // entries that were known of it
	OldRoot     string // of the tree of that size, see Digest
	OldKey      string // verifier key, named OldOrigin
	Reason      string // code
	SucceededAt Time
}

// Kind returns [KindLogSucceeded].
func (*LogSucceeded) Kind() string { return KindLogSucceeded }

// ID returns "log/", the old log's origin and the kind: a log is succeeded
// once, and a database may hold several that were.
func (e *LogSucceeded) ID() string { return EntryID("log/"+e.OldOrigin, e.Kind()) }

func (e *LogSucceeded) members(m *members) {
	m.logKey("old_key", &e.OldKey)
	m.origin("old_origin", &e.OldOrigin)
	m.hash("old_root", &e.OldRoot)
	m.size("old_size", &e.OldSize)
	m.code("reason", &e.Reason)
	m.time("succeeded_at", &e.SucceededAt)
}

func (e *LogSucceeded) check(c *checks) {
	c.that(e.OldOrigin != e.Origin, "old_origin must be that of another log")
	c.keyOf("old_key", e.OldKey, e.OldOrigin)
	empty := Digest(sha256.Sum256(nil)) // RFC 6962, section 2.1
	c.that((e.OldSize == 0) == (e.OldRoot == empty), "old_root must be that of old_size")
}

func (e *LogSucceeded) report(p *report) {
	p.line("succeeds", "%s, which ended with %s", e.OldOrigin, counted(int(e.OldSize), "entry", "entries"))
	p.line("old root", "%s", e.OldRoot)
	p.line("old key", "%s", e.OldKey)
	p.line("", "entries of the old log beyond these, if there were any, are not in this one")
	p.decision(e.Reason, "")
	when(p, e.SucceededAt)
}

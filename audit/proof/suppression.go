package proof

// A SuppressionDestroyed entry says that the key of an epoch's suppression digests
// is gone, and with it the digests. What was erased in that epoch and comes back is
// not recognized any more.
type SuppressionDestroyed struct {
	Header
	Epoch       string // code: year and month, such as 2026-11
	DestroyedAt Time
}

// Kind returns [KindSuppressionDestroyed].
func (*SuppressionDestroyed) Kind() string { return KindSuppressionDestroyed }

// ID returns "suppression/", the epoch and the kind: each key is destroyed once.
func (e *SuppressionDestroyed) ID() string { return EntryID("suppression/"+e.Epoch, e.Kind()) }

func (e *SuppressionDestroyed) members(m *members) {
	m.time("destroyed_at", &e.DestroyedAt)
	m.code("epoch", &e.Epoch)
}

func (*SuppressionDestroyed) check(*checks) {}

func (e *SuppressionDestroyed) report(p *report) {
	p.line("destroyed", "the operator's key of the suppression digests of %s", e.Epoch)
	when(p, e.DestroyedAt)
}

// A Replayed entry says that a store was compared with what is known to be gone,
// after a backup had been restored, and what was filed to have it gone again. It
// does not say what became of that.
type Replayed struct {
	Header
	ReplayID   string // UUID in lower case
	Store      string
	BackupAt   Time   // of the backup, or absent if everything known was compared
	Back       int    // IDs that had come back
	Later      int    // IDs that are of somebody who was forgotten, and were made afterwards: left
	Undated    int    // IDs that do not say when they were made: left
	Requests   int    // how many were filed
	First      string // the ID of the first of them, or absent
	By         string // code of who asked for it, which names no person
	ReplayedAt Time
}

// Kind returns [KindReplayed].
func (*Replayed) Kind() string { return KindReplayed }

// ID returns "replay/", the replay's ID and the kind.
func (e *Replayed) ID() string { return EntryID("replay/"+e.ReplayID, e.Kind()) }

func (e *Replayed) members(m *members) {
	m.count("back", &e.Back)
	m.maybeTime("backup_at", &e.BackupAt)
	m.code("by", &e.By)
	m.maybeCode("first_request", &e.First)
	m.count("later", &e.Later)
	m.uuid("replay_id", &e.ReplayID)
	m.time("replayed_at", &e.ReplayedAt)
	m.count("requests", &e.Requests)
	m.code("store", &e.Store)
	m.count("undated", &e.Undated)
}

func (e *Replayed) check(c *checks) {
	c.that((e.Requests == 0) == (e.First == ""), "first_request must be that of requests")
	c.that(e.Requests <= e.Back, "requests must not exceed back")
}

func (e *Replayed) report(p *report) {
	p.line("replayed", "%s, against what is known to be gone; this is NOT an erasure", e.Store)
	if e.BackupAt != 0 {
		p.line("backup", "of %s: what was forgotten since then was compared", e.BackupAt)
	}
	p.line("came back", "%s", counted(e.Back, "ID", "IDs"))
	if e.Requests > 0 {
		p.line("filed", "%s, the first is %s, of which this says nothing more", counted(e.Requests, "request", "requests"), e.First)
	}
	p.line("left", "%s made afterwards, %d that do not say when", counted(e.Later, "ID", "IDs"), e.Undated)
	p.line("asked", "by %s", e.By)
	when(p, e.ReplayedAt)
}

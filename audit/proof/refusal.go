package proof

// A Rejected entry says that a request which had been accepted was turned down.
// It is not an erasure.
type Rejected struct {
	Header
	Terms
	RejectedAt Time
	Reason     string // code
	By         string // code of who decided, which names no person; may be empty
}

// Kind returns [KindRejected].
func (*Rejected) Kind() string { return KindRejected }

// ID returns the entry's ID.
func (e *Rejected) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Rejected) members(m *members) {
	e.Terms.members(m)
	m.maybeCode("by", &e.By)
	m.code("reason", &e.Reason)
	m.time("rejected_at", &e.RejectedAt)
}

func (*Rejected) check(*checks) {}

func (e *Rejected) report(p *report) {
	p.line("rejected", "a request to erase was turned down; this is NOT an erasure")
	p.decision(e.Reason, e.By)
	e.Terms.report(p)
	when(p, e.RejectedAt)
}

// A Superseded entry says that a request goes on as another one. It is not an
// erasure, nor does it say what became of the other one.
type Superseded struct {
	Header
	RequestID    string // UUID in lower case
	SupersededBy string // the other request
	SupersededAt Time
	Reason       string // code
}

// Kind returns [KindSuperseded].
func (*Superseded) Kind() string { return KindSuperseded }

// ID returns the entry's ID.
func (e *Superseded) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Superseded) members(m *members) {
	m.code("reason", &e.Reason)
	m.uuid("request_id", &e.RequestID)
	m.time("superseded_at", &e.SupersededAt)
	m.uuid("superseded_by", &e.SupersededBy)
}

func (e *Superseded) check(c *checks) {
	c.that(e.SupersededBy != e.RequestID, "superseded_by must be another request")
}

func (e *Superseded) report(p *report) {
	p.line("superseded", "a request goes on as another one; this is NOT an erasure")
	p.line("request", "%s", e.RequestID)
	p.line("see", "request %s, of which this says nothing more", e.SupersededBy)
	p.decision(e.Reason, "")
	when(p, e.SupersededAt)
}

// decision says why something was decided and, if it is known, by whom.
func (r *report) decision(reason, by string) {
	r.line("reason", "%s", reason)
	if by != "" {
		r.line("decided", "by %s", by)
	}
}

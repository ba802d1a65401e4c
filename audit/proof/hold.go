package proof

// A HoldPlaced entry says that a legal hold forbids to erase what a person is
// tied to, from now on.
type HoldPlaced struct {
	Header
	HoldID   string // UUID in lower case
	Subject  string // see SubjectCommitment
	Reason   string // code
	By       string // code of who placed it, which names no person
	PlacedAt Time
	Until    Time // absent for until it is released
}

// Kind returns [KindHoldPlaced].
func (*HoldPlaced) Kind() string { return KindHoldPlaced }

// ID returns the entry's ID.
func (e *HoldPlaced) ID() string { return EntryID(e.HoldID, e.Kind()) }

func (e *HoldPlaced) members(m *members) {
	m.code("by", &e.By)
	m.uuid("hold_id", &e.HoldID)
	m.time("placed_at", &e.PlacedAt)
	m.code("reason", &e.Reason)
	m.keyed("subject", &e.Subject)
	m.maybeTime("until", &e.Until)
}

func (*HoldPlaced) check(*checks) {}

func (e *HoldPlaced) report(p *report) {
	p.line("held", "a legal hold forbids to erase; it erases nothing")
	p.line("hold", "%s", e.HoldID)
	p.line("subject", "%s", e.Subject)
	if e.Until != 0 {
		p.line("until", "%s, unless it is released before", e.Until)
	} else {
		p.line("until", "it is released")
	}
	p.decision(e.Reason, e.By)
	when(p, e.PlacedAt)
}

// A HoldReleased entry says that a legal hold is over. It does not say that
// anything was erased since.
type HoldReleased struct {
	Header
	HoldID     string // UUID in lower case
	Reason     string // code
	By         string // code of who released it, which names no person
	ReleasedAt Time
}

// Kind returns [KindHoldReleased].
func (*HoldReleased) Kind() string { return KindHoldReleased }

// ID returns the entry's ID.
func (e *HoldReleased) ID() string { return EntryID(e.HoldID, e.Kind()) }

func (e *HoldReleased) members(m *members) {
	m.code("by", &e.By)
	m.uuid("hold_id", &e.HoldID)
	m.code("reason", &e.Reason)
	m.time("released_at", &e.ReleasedAt)
}

func (*HoldReleased) check(*checks) {}

func (e *HoldReleased) report(p *report) {
	p.line("released", "a legal hold is over; this is NOT an erasure")
	p.line("hold", "%s", e.HoldID)
	p.decision(e.Reason, e.By)
	when(p, e.ReleasedAt)
}

package proof

// The kinds of entry.
const (
	KindAccepted            = "erasure.accepted/v1"
	KindCompleted           = "erasure.completed/v1"
	KindCancelled           = "erasure.cancelled/v1"
	KindSubjectKeyDestroyed = "subject-key.destroyed/v1"
)

// What a request selects by; see [Accepted.Selector].
const (
	SelectsIDs   = "ids"   // explicit memory IDs
	SelectsScope = "scope" // whatever a person, agent, app, run or metadata is tied to
)

// The levels of evidence that a completed erasure can have in a store.
const (
	EvidenceVerified = "verified" // read again by another path, nothing left
	EvidencePurged   = "purged"   // and no bytes left in the store's files
)

// Terms is what a request was accepted under. It stands, the same, in each of
// its entries.
type Terms struct {
	RequestID  string `json:"request_id"` // UUID in lower case
	ReceivedAt Time   `json:"received_at"`
	AcceptedAt Time   `json:"accepted_at"`
	DueAt      Time   `json:"due_at"`
	Regime     string `json:"regime"`           // code
	Ground     string `json:"ground,omitempty"` // code
	Subject    string `json:"subject"`          // see SubjectCommitment
	Ticket     string `json:"ticket,omitempty"` // see TicketDigest
}

func (t *Terms) check(c *checks) {
	c.uuid("request_id", t.RequestID)
	c.time("received_at", t.ReceivedAt)
	c.time("accepted_at", t.AcceptedAt)
	c.time("due_at", t.DueAt)
	c.code("regime", t.Regime)
	c.optionalCode("ground", t.Ground)
	c.digest("subject", keyedDigest, t.Subject)
	if t.Ticket != "" {
		c.digest("ticket", keyedDigest, t.Ticket)
	}
}

// An Accepted entry says that a request was accepted. It is what turns a
// dropped request from a silence into a missing answer.
type Accepted struct {
	Header
	Terms
	Selector string   `json:"selector"`      // SelectsIDs or SelectsScope
	IDs      int      `json:"ids,omitempty"` // how many; for SelectsIDs only
	Stores   []string `json:"stores"`        // names, at least one
}

// Kind returns [KindAccepted].
func (*Accepted) Kind() string { return KindAccepted }

// ID returns the entry's ID.
func (a *Accepted) ID() string { return EntryID(a.RequestID, a.Kind()) }

func (a *Accepted) check() error {
	var c checks
	a.Terms.check(&c)
	c.count("ids", a.IDs)
	c.that(a.Selector == SelectsIDs && a.IDs > 0 || a.Selector == SelectsScope && a.IDs == 0,
		"selector must be ids, with their number, or scope")
	c.names(a.Stores)
	return c.err
}

// names checks that there are stores and that each stands once.
func (c *checks) names(stores []string) {
	c.that(len(stores) > 0, "stores must not be empty")
	seen := map[string]bool{}
	for _, name := range stores {
		c.code("stores.name", name)
		c.that(!seen[name], "stores must each stand once")
		seen[name] = true
	}
}

// A Cancelled entry says that a request was stopped, and how far it got. It is
// not a completed erasure.
type Cancelled struct {
	Header
	Terms
	CancelledAt Time             `json:"cancelled_at"`
	BatchesRoot string           `json:"batches_root"` // over the receipts of the batches done
	Stores      []CancelledStore `json:"stores"`       // at least one
}

// A CancelledStore is what had become of a cancelled request in one store. The
// counts are of IDs.
type CancelledStore struct {
	Name        string `json:"name"`
	StoreKind   string `json:"kind"`
	Requested   int    `json:"requested"`
	Found       int    `json:"found"`
	Erased      int    `json:"erased"`
	Absent      int    `json:"absent"`
	Held        int    `json:"held"`
	Refused     int    `json:"refused"`
	Remaining   *int   `json:"remaining,omitempty"` // nil if it was not looked at
	Batches     int    `json:"batches"`
	BatchesDone int    `json:"batches_done"`
}

// Kind returns [KindCancelled].
func (*Cancelled) Kind() string { return KindCancelled }

// ID returns the entry's ID.
func (e *Cancelled) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Cancelled) check() error {
	var c checks
	e.Terms.check(&c)
	c.time("cancelled_at", e.CancelledAt)
	c.digest("batches_root", plainDigest, e.BatchesRoot)
	var names []string
	for i := range e.Stores {
		e.Stores[i].check(&c)
		names = append(names, e.Stores[i].Name)
	}
	c.names(names)
	return c.err
}

func (s *CancelledStore) check(c *checks) {
	c.code("stores.kind", s.StoreKind)
	c.counts(s.Requested, s.Found, s.Erased, s.Absent, s.Held, s.Refused, s.Batches, s.BatchesDone)
	if s.Remaining != nil {
		c.count("stores.remaining", *s.Remaining)
	}
	c.that(s.Found <= s.Requested, "stores.found must not exceed requested")
	c.that(s.BatchesDone <= s.Batches, "stores.batches_done must not exceed batches")
	// Subtract, for the sum of large counts could wrap.
	c.that(s.Erased <= s.Requested-s.Absent-s.Held-s.Refused,
		"stores.requested must be at least erased + absent + held + refused")
}

func (c *checks) counts(ns ...int) {
	for _, n := range ns {
		c.count("a count of stores", n)
	}
}

// A SubjectKeyDestroyed entry says that the key which opens the subject
// commitment of a request is gone, and with it the last tie to a person.
type SubjectKeyDestroyed struct {
	Header
	RequestID   string `json:"request_id"`
	DestroyedAt Time   `json:"destroyed_at"`
}

// Kind returns [KindSubjectKeyDestroyed].
func (*SubjectKeyDestroyed) Kind() string { return KindSubjectKeyDestroyed }

// ID returns the entry's ID.
func (e *SubjectKeyDestroyed) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *SubjectKeyDestroyed) check() error {
	var c checks
	c.uuid("request_id", e.RequestID)
	c.time("destroyed_at", e.DestroyedAt)
	return c.err
}

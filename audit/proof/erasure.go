package proof

// The kinds of entry.
const (
	KindAccepted            = "erasure.accepted/v1"
	KindApproved            = "erasure.approved/v1"
	KindCompleted           = "erasure.completed/v1"
	KindCancelled           = "erasure.cancelled/v1"
	KindRejected            = "erasure.rejected/v1"
	KindSuperseded          = "erasure.superseded/v1"
	KindSubjectKeyDestroyed = "subject-key.destroyed/v1"
	KindExtended            = "erasure.extended/v1"
	KindConfirmed           = "erasure.confirmed/v1"
	KindExempted            = "erasure.exempted/v1"
	KindHoldPlaced          = "hold.placed/v1"
	KindHoldReleased        = "hold.released/v1"
	KindPolicyAdopted       = "policy.adopted/v1"
	KindPolicyRetired       = "policy.retired/v1"
	KindKeyRotated          = "key.rotated/v1"
	KindKeyRetired          = "key.retired/v1"
	KindLogSucceeded        = "log.succeeded/v1"
	KindTokenCreated        = "token.created/v1"
	KindTokenRevoked        = "token.revoked/v1"
	KindReplayed            = "store.replayed/v1"

	KindSuppressionDestroyed = "suppression.destroyed/v1"
)

// What a request selects by; see [Accepted.Selector].
const (
	SelectsIDs   = "ids"   // explicit memory IDs
	SelectsScope = "scope" // whatever a person, agent, app, run or metadata is tied to
)

// The levels of evidence that a completed erasure can have in a store.
const (
	EvidenceErased   = "erased"   // read again, nothing left of the memories; what the store keeps of them it names as residue
	EvidenceVerified = "verified" // read again by another path, nothing left
	EvidencePurged   = "purged"   // and no bytes left in the store's files
)

// Terms is what a request was accepted under. It stands, the same, in each of
// its entries.
type Terms struct {
	RequestID  string // UUID in lower case
	ReceivedAt Time
	AcceptedAt Time
	DueAt      Time
	Regime     string // code
	Ground     string // code
	Subject    string // see SubjectCommitment
	Ticket     string // see TicketDigest
}

func (t *Terms) members(m *members) {
	m.time("accepted_at", &t.AcceptedAt)
	m.time("due_at", &t.DueAt)
	m.maybeCode("ground", &t.Ground)
	m.time("received_at", &t.ReceivedAt)
	m.code("regime", &t.Regime)
	m.uuid("request_id", &t.RequestID)
	m.keyed("subject", &t.Subject)
	m.maybeKeyed("ticket", &t.Ticket)
}

// An Accepted entry says that a request was accepted. It is what turns a
// dropped request from a silence into a missing answer.
type Accepted struct {
	Header
	Terms
	Selector string   // SelectsIDs or SelectsScope
	IDs      int      // how many; for SelectsIDs only
	Stores   []string // names, at least one
	By       string   // code of who filed it, which names no person; "" before that was logged
}

// Kind returns [KindAccepted].
func (*Accepted) Kind() string { return KindAccepted }

// ID returns the entry's ID.
func (a *Accepted) ID() string { return EntryID(a.RequestID, a.Kind()) }

func (a *Accepted) members(m *members) {
	a.Terms.members(m)
	m.maybeCode("by", &a.By)
	m.maybeCount("ids", &a.IDs)
	m.code("selector", &a.Selector)
	m.codes("stores", &a.Stores)
}

func (a *Accepted) check(c *checks) {
	c.that(a.Selector == SelectsIDs && a.IDs > 0 || a.Selector == SelectsScope && a.IDs == 0,
		"selector must be ids, with their number, or scope")
	c.names(a.Stores)
}

// A Cancelled entry says that a request was stopped, and how far it got. It is
// not a completed erasure.
type Cancelled struct {
	Header
	Terms
	CancelledAt Time
	BatchesRoot string           // over the receipts of the batches done
	Stores      []CancelledStore // at least one
	By          string           // code of who stopped it, which names no person; "" before that was logged
}

// A CancelledStore is what had become of a cancelled request in one store. The
// counts are of IDs.
type CancelledStore struct {
	Name        string
	StoreKind   string
	Requested   int
	Found       int
	Erased      int
	Absent      int
	Held        int
	Refused     int
	Remaining   *int // nil if it was not looked at
	Batches     int
	BatchesDone int
}

// Kind returns [KindCancelled].
func (*Cancelled) Kind() string { return KindCancelled }

// ID returns the entry's ID.
func (e *Cancelled) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Cancelled) members(m *members) {
	e.Terms.members(m)
	m.hash("batches_root", &e.BatchesRoot)
	m.maybeCode("by", &e.By)
	m.time("cancelled_at", &e.CancelledAt)
	m.add("stores", (*list[CancelledStore, *CancelledStore])(&e.Stores), false)
}

func (e *Cancelled) check(c *checks) {
	names := make([]string, len(e.Stores))
	for i := range e.Stores {
		e.Stores[i].check(c)
		names[i] = e.Stores[i].Name
	}
	c.names(names)
}

func (s *CancelledStore) members(m *members) {
	m.count("absent", &s.Absent)
	m.count("batches", &s.Batches)
	m.count("batches_done", &s.BatchesDone)
	m.count("erased", &s.Erased)
	m.count("found", &s.Found)
	m.count("held", &s.Held)
	m.code("kind", &s.StoreKind)
	m.code("name", &s.Name)
	m.count("refused", &s.Refused)
	m.tally("remaining", &s.Remaining)
	m.count("requested", &s.Requested)
}

func (s *CancelledStore) check(c *checks) {
	c.that(s.Found <= s.Requested, "stores.found must not exceed requested")
	c.that(s.BatchesDone <= s.Batches, "stores.batches_done must not exceed batches")
	// Subtract, for the sum of large counts could wrap.
	c.that(s.Erased <= s.Requested-s.Absent-s.Held-s.Refused,
		"stores.requested must be at least erased + absent + held + refused")
}

// A SubjectKeyDestroyed entry says that the key which opens the subject
// commitment of a request is gone, and with it the last tie to a person.
type SubjectKeyDestroyed struct {
	Header
	RequestID   string
	DestroyedAt Time
}

// Kind returns [KindSubjectKeyDestroyed].
func (*SubjectKeyDestroyed) Kind() string { return KindSubjectKeyDestroyed }

// ID returns the entry's ID.
func (e *SubjectKeyDestroyed) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *SubjectKeyDestroyed) members(m *members) {
	m.time("destroyed_at", &e.DestroyedAt)
	m.uuid("request_id", &e.RequestID)
}

func (*SubjectKeyDestroyed) check(*checks) {}

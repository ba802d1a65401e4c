package proof

import "strings"

// A Completed entry says that a request was carried out in every store that it
// named, what each store showed, and what was left out.
type Completed struct {
	Header
	Terms
	PlannedAt     Time
	ApprovedAt    Time // of the last plan that had to be approved; absent in entries before 2026-11-29
	FirstErasedAt Time
	ErasedAt      Time
	VerifiedAt    Time
	PurgedAt      Time
	CompletedAt   Time
	PlanHash      string // see Digest
	Batches       int    // the sum over the stores
	BatchesRoot   string // see BatchesRoot
	ApprovedBy    string
	Exemptions    []Exemption  // absent if there are none, as in entries before 2026-11-29
	Exclusions    Exclusions   // empty is said, not left out
	Stores        []StoreProof // at least one
}

// A StoreProof is what became of a request in one store. The counts are of
// IDs.
type StoreProof struct {
	Name           string
	StoreKind      string
	Requested      int // erased + absent + held, and those that the entry's exemptions left
	Found          int
	Erased         int
	Absent         int
	Held           int
	Refused        int // must be 0
	Remaining      int // must be 0
	Unattributable int // rows left alone that nothing ties to anyone
	Batches        int
	Rounds         int
	Evidence       string // EvidenceErased, EvidenceVerified or EvidencePurged
	Method         string // code: how it was read again, and how it was purged: see MethodRewrite
	FirstErasedAt  Time
	VerifiedAt     Time
	PurgedAt       Time         // with EvidencePurged only
	Places         []PlaceProof // sorted by name; absent in entries before 2026-11-29
}

// How the tables of a database server were purged, as the end of a
// [StoreProof]'s Method. Of other stores the evidence says it all.
const (
	// MethodRewrite says that the tables were rewritten, and their files read
	// from end to end: nothing but rows is in them. It goes with
	// EvidencePurged; the server's write-ahead log is excluded.
	MethodRewrite = "+rewrite"

	// MethodUnseen says that the tables were rewritten, and that the server
	// did not let their files be read. It goes with EvidenceVerified.
	MethodUnseen = "+rewrite-unseen"
)

// Kind returns [KindCompleted].
func (*Completed) Kind() string { return KindCompleted }

// ID returns the entry's ID.
func (e *Completed) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Completed) members(m *members) {
	e.Terms.members(m)
	m.maybeTime("approved_at", &e.ApprovedAt)
	m.maybeCode("approved_by", &e.ApprovedBy)
	m.count("batches", &e.Batches)
	m.hash("batches_root", &e.BatchesRoot)
	m.time("completed_at", &e.CompletedAt)
	m.maybeTime("erased_at", &e.ErasedAt)
	m.add("exclusions", (*list[Exclusion, *Exclusion])(&e.Exclusions), false)
	m.add("exemptions", (*list[Exemption, *Exemption])(&e.Exemptions), true)
	m.maybeTime("first_erased_at", &e.FirstErasedAt)
	m.hash("plan_hash", &e.PlanHash)
	m.time("planned_at", &e.PlannedAt)
	m.maybeTime("purged_at", &e.PurgedAt)
	m.add("stores", (*list[StoreProof, *StoreProof])(&e.Stores), false)
	m.time("verified_at", &e.VerifiedAt)
}

func (s *StoreProof) members(m *members) {
	m.count("absent", &s.Absent)
	m.count("batches", &s.Batches)
	m.count("erased", &s.Erased)
	m.code("evidence", &s.Evidence)
	m.maybeTime("first_erased_at", &s.FirstErasedAt)
	m.count("found", &s.Found)
	m.count("held", &s.Held)
	m.code("kind", &s.StoreKind)
	m.code("method", &s.Method)
	m.code("name", &s.Name)
	m.add("places", (*list[PlaceProof, *PlaceProof])(&s.Places), true)
	m.maybeTime("purged_at", &s.PurgedAt)
	m.count("refused", &s.Refused)
	m.count("remaining", &s.Remaining)
	m.count("requested", &s.Requested)
	m.count("rounds", &s.Rounds)
	m.count("unattributable", &s.Unattributable)
	m.time("verified_at", &s.VerifiedAt)
}

func (e *Completed) check(c *checks) {
	names := make([]string, len(e.Stores))
	rest := e.Batches
	var first, verified, purged Time
	for i := range e.Stores {
		s := &e.Stores[i]
		s.check(c, e.exempt(s.Name))
		names[i] = s.Name
		rest -= s.Batches
		if s.FirstErasedAt != 0 && (first == 0 || s.FirstErasedAt < first) {
			first = s.FirstErasedAt
		}
		verified, purged = max(verified, s.VerifiedAt), max(purged, s.PurgedAt)
	}
	c.names(names)
	c.that(e.ApprovedAt == 0 || e.ApprovedBy != "", "approved_at needs approved_by")
	c.that(rest == 0, "batches must be the sum over the stores")
	c.that(e.FirstErasedAt == first, "first_erased_at must be the earliest of the stores")
	c.that(e.VerifiedAt == verified, "verified_at must be the latest of the stores")
	c.that(e.PurgedAt == purged, "purged_at must be the latest of the stores")
	e.checkExclusions(c, names)
	e.checkExemptions(c, names)
}

func (s *StoreProof) check(c *checks, exempt int) {
	c.that(s.Remaining == 0, "stores.remaining must be 0 in a completed erasure")
	c.that(s.Refused == 0, "stores.refused must be 0 in a completed erasure")
	// Subtract, for the sum of large counts could wrap.
	c.that(s.Erased == s.Requested-s.Absent-s.Held-s.Refused-exempt,
		"stores.requested must equal erased + absent + held + refused, and the ids of exemptions")
	c.that(s.Found <= s.Requested, "stores.found must not exceed requested")
	c.that(s.Erased <= s.Found-s.Held-exempt, "stores.found must be at least erased + held, and the ids of exemptions")
	c.that(s.Evidence == EvidenceVerified || s.Evidence == EvidencePurged || s.Evidence == EvidenceErased,
		"stores.evidence must be erased, verified or purged in a completed erasure")
	c.that((s.Evidence == EvidencePurged) == (s.PurgedAt != 0),
		"stores.purged_at must be there for evidence purged and no other")
	c.that(!s.rewritten() || s.Evidence == EvidencePurged, "stores.method +rewrite is for evidence purged")
	c.that(!s.unseen() || s.Evidence == EvidenceVerified, "stores.method +rewrite-unseen is for evidence verified")
	s.checkPlaces(c)
}

func (s *StoreProof) rewritten() bool { return strings.HasSuffix(s.Method, MethodRewrite) }

func (s *StoreProof) unseen() bool { return strings.HasSuffix(s.Method, MethodUnseen) }

// excludesWAL reports whether a log that the store keeps may still hold bytes.
func (s *StoreProof) excludesWAL() bool {
	return s.Evidence == EvidenceErased || s.Evidence == EvidenceVerified || s.rewritten()
}

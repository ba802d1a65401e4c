package proof

import "encoding/json"

// A Completed entry says that a request was carried out in every store that it
// named, what each store showed, and what was left out.
type Completed struct {
	Header
	Terms
	PlannedAt     Time         `json:"planned_at"`
	FirstErasedAt Time         `json:"first_erased_at,omitempty"`
	ErasedAt      Time         `json:"erased_at,omitempty"`
	VerifiedAt    Time         `json:"verified_at"`
	PurgedAt      Time         `json:"purged_at,omitempty"`
	CompletedAt   Time         `json:"completed_at"`
	PlanHash      string       `json:"plan_hash"`    // see Digest
	Batches       int          `json:"batches"`      // the sum over the stores
	BatchesRoot   string       `json:"batches_root"` // see BatchesRoot
	ApprovedBy    string       `json:"approved_by,omitempty"`
	Exclusions    Exclusions   `json:"exclusions"` // empty is said, not left out
	Stores        []StoreProof `json:"stores"`     // at least one
}

// Exclusions lists what an erasure did not reach.
type Exclusions []Exclusion

// An Exclusion is something that an erasure did not reach, such as a backup
// until it expires.
type Exclusion struct {
	Code  string `json:"code"`
	Store string `json:"store,omitempty"`
	Until Time   `json:"until,omitempty"`
}

// A StoreProof is what became of a request in one store. The counts are of
// IDs.
type StoreProof struct {
	Name           string `json:"name"`
	StoreKind      string `json:"kind"`
	Requested      int    `json:"requested"` // erased + absent + held
	Found          int    `json:"found"`
	Erased         int    `json:"erased"`
	Absent         int    `json:"absent"`
	Held           int    `json:"held"`
	Refused        int    `json:"refused"`        // must be 0
	Remaining      int    `json:"remaining"`      // must be 0
	Unattributable int    `json:"unattributable"` // rows left alone that nothing ties to anyone
	Batches        int    `json:"batches"`
	Rounds         int    `json:"rounds"`
	Evidence       string `json:"evidence"` // EvidenceVerified or EvidencePurged
	Method         string `json:"method"`   // code: how it was read again
	FirstErasedAt  Time   `json:"first_erased_at,omitempty"`
	VerifiedAt     Time   `json:"verified_at"`
	PurgedAt       Time   `json:"purged_at,omitempty"` // with EvidencePurged only
}

// MarshalJSON writes [] for no exclusions: that nothing was left out is a
// statement.
func (x Exclusions) MarshalJSON() ([]byte, error) {
	if len(x) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]Exclusion(x))
}

// Kind returns [KindCompleted].
func (*Completed) Kind() string { return KindCompleted }

// ID returns the entry's ID.
func (e *Completed) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Completed) check() error {
	var c checks
	e.Terms.check(&c)
	e.checkTimes(&c)
	c.digest("plan_hash", plainDigest, e.PlanHash)
	c.digest("batches_root", plainDigest, e.BatchesRoot)
	c.optionalCode("approved_by", e.ApprovedBy)
	for _, x := range e.Exclusions {
		c.code("exclusions.code", x.Code)
		c.optionalCode("exclusions.store", x.Store)
		c.optionalTime("exclusions.until", x.Until)
	}
	var names []string
	rest := e.Batches
	c.count("batches", rest)
	for i := range e.Stores {
		e.Stores[i].check(&c)
		names = append(names, e.Stores[i].Name)
		rest -= e.Stores[i].Batches
	}
	c.that(rest == 0, "batches must be the sum over the stores")
	c.names(names)
	return c.err
}

func (e *Completed) checkTimes(c *checks) {
	c.time("planned_at", e.PlannedAt)
	c.optionalTime("first_erased_at", e.FirstErasedAt)
	c.optionalTime("erased_at", e.ErasedAt)
	c.time("verified_at", e.VerifiedAt)
	c.optionalTime("purged_at", e.PurgedAt)
	c.time("completed_at", e.CompletedAt)
}

func (s *StoreProof) check(c *checks) {
	c.code("stores.kind", s.StoreKind)
	c.code("stores.method", s.Method)
	c.counts(s.Requested, s.Found, s.Erased, s.Absent, s.Held, s.Refused, s.Remaining, s.Unattributable, s.Batches, s.Rounds)
	c.that(s.Remaining == 0, "stores.remaining must be 0 in a completed erasure")
	c.that(s.Refused == 0, "stores.refused must be 0 in a completed erasure")
	// Subtract, for the sum of large counts could wrap.
	c.that(s.Erased == s.Requested-s.Absent-s.Held-s.Refused,
		"stores.requested must equal erased + absent + held + refused")
	c.that(s.Found <= s.Requested, "stores.found must not exceed requested")
	c.that(s.Erased <= s.Found-s.Held, "stores.found must be at least erased + held")
	c.that(s.Evidence == EvidenceVerified || s.Evidence == EvidencePurged,
		"stores.evidence must be verified or purged in a completed erasure")
	c.that((s.Evidence == EvidencePurged) == (s.PurgedAt != 0),
		"stores.purged_at must be there for evidence purged and no other")
	c.time("stores.verified_at", s.VerifiedAt)
	c.optionalTime("stores.purged_at", s.PurgedAt)
	c.optionalTime("stores.first_erased_at", s.FirstErasedAt)
}

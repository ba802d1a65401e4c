package proof

// An Approved entry says that a second person approved one plan of a request,
// before anything of that plan was erased. It is not an erasure. A request has
// one for each plan that had to be approved, for the world may change in between.
type Approved struct {
	Header
	RequestID  string // UUID in lower case
	PlanHash   string // see Digest; of this plan and no other
	ApprovedAt Time
	By         string // code of who approved, which names no person
}

// Kind returns [KindApproved].
func (*Approved) Kind() string { return KindApproved }

// ID returns the entry's ID. A plan is approved at most once.
func (e *Approved) ID() string { return EntryID(e.RequestID+"/"+e.PlanHash, e.Kind()) }

func (e *Approved) members(m *members) {
	m.time("approved_at", &e.ApprovedAt)
	m.code("by", &e.By)
	m.hash("plan_hash", &e.PlanHash)
	m.uuid("request_id", &e.RequestID)
}

func (*Approved) check(*checks) {}

func (e *Approved) report(p *report) {
	p.line("approved", "a plan to erase, by a second person; this is NOT an erasure")
	p.line("request", "%s", e.RequestID)
	p.line("plan", "%s", e.PlanHash)
	p.line("decided", "by %s", e.By)
	when(p, e.ApprovedAt)
}

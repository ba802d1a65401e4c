package proof

import (
	"cmp"
	"slices"
)

// An Extended entry says that the period in which a request is to be answered
// was extended. It is no answer.
type Extended struct {
	Header
	RequestID  string // UUID in lower case
	FirstDueAt Time   // the end of the period before, as the request was accepted
	DueAt      Time   // the end of the extended period
	Reason     string // code
	By         string // code of who decided, which names no person
	ExtendedAt Time
}

// Kind returns [KindExtended].
func (*Extended) Kind() string { return KindExtended }

// ID returns the entry's ID.
func (e *Extended) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Extended) members(m *members) {
	m.code("by", &e.By)
	m.time("due_at", &e.DueAt)
	m.time("extended_at", &e.ExtendedAt)
	m.time("first_due_at", &e.FirstDueAt)
	m.code("reason", &e.Reason)
	m.uuid("request_id", &e.RequestID)
}

func (e *Extended) check(c *checks) {
	c.that(e.DueAt > e.FirstDueAt, "due_at must be after first_due_at")
	c.that(e.ExtendedAt <= e.FirstDueAt, "extended_at must not be after first_due_at")
}

func (e *Extended) report(p *report) {
	p.line("extended", "the period of a request; this is NOT an answer to it")
	p.line("request", "%s", e.RequestID)
	p.line("due", "%s, instead of %s", e.DueAt, e.FirstDueAt)
	p.decision(e.Reason, e.By)
	when(p, e.ExtendedAt)
}

// A Confirmed entry says that the receipt of a request was confirmed to whoever
// asked. It does not say what became of the request.
type Confirmed struct {
	Header
	RequestID   string // UUID in lower case
	ConfirmBy   Time   // the end of the period for it
	By          string // code of who said so, which names no person
	ConfirmedAt Time
}

// Kind returns [KindConfirmed].
func (*Confirmed) Kind() string { return KindConfirmed }

// ID returns the entry's ID.
func (e *Confirmed) ID() string { return EntryID(e.RequestID, e.Kind()) }

func (e *Confirmed) members(m *members) {
	m.code("by", &e.By)
	m.time("confirm_by", &e.ConfirmBy)
	m.time("confirmed_at", &e.ConfirmedAt)
	m.uuid("request_id", &e.RequestID)
}

func (*Confirmed) check(*checks) {}

func (e *Confirmed) report(p *report) {
	p.line("confirmed", "the receipt of a request to who asked; this is NOT an erasure")
	p.line("request", "%s", e.RequestID)
	late := ""
	if e.ConfirmedAt > e.ConfirmBy {
		late = ", so it came LATE"
	}
	p.line("due", "%s%s", e.ConfirmBy, late)
	p.line("decided", "by %s", e.By)
	when(p, e.ConfirmedAt)
}

// An Exempted entry says that a part of a request was refused: what stands in
// a store, or in one place of it, is not erased.
type Exempted struct {
	Header
	RequestID  string // UUID in lower case
	Store      string
	Place      string // empty for the whole store
	Reason     string // code
	By         string // code of who decided, which names no person
	ReviewAt   Time   // when it is to be looked at again, or absent
	ExemptedAt Time
}

// Kind returns [KindExempted].
func (*Exempted) Kind() string { return KindExempted }

// ID returns the request's ID, the store, the place if there is one, and the
// kind. The name of a store has no slash.
func (e *Exempted) ID() string {
	part := e.RequestID + "/" + e.Store
	if e.Place != "" {
		part += "/" + e.Place
	}
	return EntryID(part, e.Kind())
}

func (e *Exempted) members(m *members) {
	m.code("by", &e.By)
	m.time("exempted_at", &e.ExemptedAt)
	m.maybeCode("place", &e.Place)
	m.code("reason", &e.Reason)
	m.uuid("request_id", &e.RequestID)
	m.maybeTime("review_at", &e.ReviewAt)
	m.code("store", &e.Store)
}

func (*Exempted) check(*checks) {}

func (e *Exempted) report(p *report) {
	p.line("exempted", "a part of a request was refused; this is NOT an erasure")
	p.line("request", "%s", e.RequestID)
	p.line("part", "%s: nothing of it goes", partOf(e.Store, e.Place))
	p.decision(e.Reason, e.By)
	if e.ReviewAt != 0 {
		p.line("review", "%s", e.ReviewAt)
	}
	when(p, e.ExemptedAt)
}

// partOf words a store or one place of it.
func partOf(store, place string) string {
	if place == "" {
		return "all of " + store
	}
	return place + " of " + store
}

// An Exemption is a part of a request that was refused, as a [Completed] entry
// states it: in a store, or in one place of it, IDs were left with what hangs on
// them. IDs of a place that has an exemption of its own are counted there alone.
type Exemption struct {
	Store    string
	Place    string // empty for the whole store
	Reason   string // code
	By       string // code of who decided, which names no person
	IDs      int    // left, when the store was read again
	ReviewAt Time   // when it is to be looked at again, or absent
}

func (x *Exemption) members(m *members) {
	m.code("by", &x.By)
	m.count("ids", &x.IDs)
	m.maybeCode("place", &x.Place)
	m.code("reason", &x.Reason)
	m.maybeTime("review_at", &x.ReviewAt)
	m.code("store", &x.Store)
}

func (x Exemption) compare(y Exemption) int {
	return cmp.Or(cmp.Compare(x.Store, y.Store), cmp.Compare(x.Place, y.Place))
}

// Exempt sets e's exemptions, in order.
func (e *Completed) Exempt(given ...Exemption) {
	e.Exemptions = slices.Clone(given)
	slices.SortFunc(e.Exemptions, Exemption.compare)
}

// exempt counts the IDs left in a store because of exemptions.
func (e *Completed) exempt(store string) int {
	n := 0
	for _, x := range e.Exemptions {
		if x.Store == store {
			n = min(n+x.IDs, maxInt) // the sum of large counts could wrap
		}
	}
	return n
}

// exempts reports whether anything of a store is exempt.
func (e *Completed) exempts(store string) bool {
	return slices.ContainsFunc(e.Exemptions, func(x Exemption) bool { return x.Store == store })
}

func (e *Completed) checkExemptions(c *checks, stores []string) {
	for i, x := range e.Exemptions {
		c.that(slices.Contains(stores, x.Store), "exemptions.store must be one of the stores")
		c.that(i == 0 || e.Exemptions[i-1].compare(x) < 0, "exemptions must be sorted by store and place, each once")
		for _, s := range e.Stores {
			c.that(s.Name != x.Store || x.Place != "" || s.Erased == 0 && s.Held == 0,
				"exemptions must not be of a whole store in which something was erased")
			c.that(s.Name != x.Store || !slices.ContainsFunc(s.Places, func(p PlaceProof) bool { return p.Name == x.Place }),
				"stores.places must not have what is exempt")
		}
	}
}

func (x Exemption) report(p *report) {
	review := ""
	if x.ReviewAt != 0 {
		review = ", to be looked at again " + x.ReviewAt.String()
	}
	p.line("NOT erased", "%s of %s, refused under %s by %s%s", counted(x.IDs, "ID", "IDs"), partOf(x.Store, x.Place), x.Reason, x.By, review)
}

package proof

import "fmt"

// An Adoption names one text of a policy: of retention, or of whom to believe.
// The text itself is not in the log.
type Adoption struct {
	Name   string // code
	Serial int    // of the text, among those of this name
	Digest string // of the text, see Digest
}

func (a *Adoption) members(m *members) {
	m.hash("digest", &a.Digest)
	m.code("name", &a.Name)
	m.count("serial", &a.Serial)
}

func (a *Adoption) id(kind string) string {
	return fmt.Sprintf("policy/%s/%d/%s", a.Name, a.Serial, kind)
}

func (a *Adoption) report(p *report) {
	p.line("policy", "%s, number %d", a.Name, a.Serial)
	p.line("text", "%s", a.Digest)
}

// A PolicyAdopted entry says that a policy is in force from now on.
type PolicyAdopted struct {
	Header
	Adoption
	AdoptedAt Time
}

// Kind returns [KindPolicyAdopted].
func (*PolicyAdopted) Kind() string { return KindPolicyAdopted }

// ID returns "policy/", the policy's name and serial number, and the kind.
func (e *PolicyAdopted) ID() string { return e.id(e.Kind()) }

func (e *PolicyAdopted) members(m *members) {
	e.Adoption.members(m)
	m.time("adopted_at", &e.AdoptedAt)
}

func (*PolicyAdopted) check(*checks) {}

func (e *PolicyAdopted) report(p *report) {
	p.line("adopted", "a policy; this does not say that it was kept")
	e.Adoption.report(p)
	when(p, e.AdoptedAt)
}

// A PolicyRetired entry says that a policy is no longer in force.
type PolicyRetired struct {
	Header
	Adoption
	RetiredAt Time
}

// Kind returns [KindPolicyRetired].
func (*PolicyRetired) Kind() string { return KindPolicyRetired }

// ID returns "policy/", the policy's name and serial number, and the kind.
func (e *PolicyRetired) ID() string { return e.id(e.Kind()) }

func (e *PolicyRetired) members(m *members) {
	e.Adoption.members(m)
	m.time("retired_at", &e.RetiredAt)
}

func (*PolicyRetired) check(*checks) {}

func (e *PolicyRetired) report(p *report) {
	p.line("retired", "a policy; this does not say that it was kept before")
	e.Adoption.report(p)
	when(p, e.RetiredAt)
}

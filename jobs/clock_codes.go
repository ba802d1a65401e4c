package jobs

import (
	"slices"
)

// Codes are the closed lists of reasons for which a request, or a part of it,
// may be refused, or its period extended. A reason stands in the log, so it is
// chosen from a list and never written. The zero Codes has the built-in lists.
type Codes struct {
	Exempt []string // further reasons for which data may be kept
	Extend []string // further reasons for which a period may be extended
}

// exemptions returns reasons for which the law lets data be kept.
func exemptions() []string {
	return []string{
		"art17-3-a", // freedom of expression and information
		"art17-3-b", // a legal obligation, or a task in the public interest
		"art17-3-c", // public health
		"art17-3-d", // archiving, research, statistics
		"art17-3-e", // legal claims

		"ccpa-1798.105-d-1", // to complete the transaction, a warranty or a recall
		"ccpa-1798.105-d-2", // security and integrity
		"ccpa-1798.105-d-3", // to repair errors
		"ccpa-1798.105-d-4", // free speech
		"ccpa-1798.105-d-5", // the California Electronic Communications Privacy Act
		"ccpa-1798.105-d-6", // research in the public interest, with consent
		"ccpa-1798.105-d-7", // internal uses that the consumer expects
		"ccpa-1798.105-d-8", // a legal obligation
	}
}

// refusals returns reasons for which the law lets a whole request be turned down,
// besides exemptions.
func refusals() []string {
	return []string{
		"art11-2",        // the controller cannot identify the person
		"art12-5-b",      // manifestly unfounded or excessive
		"art12-6",        // the person's identity could not be confirmed
		"not-identified", // the same, under any law
		"unfounded", "excessive", "duplicate", "wrong-subject", "not-our-data", "withdrawn",
		"ccpa-7022",     // 11 CCR 7022: the denial is not for one of the reasons above
		"ccpa-1798.145", // the law does not apply
	}
}

// extensions returns reasons for which the law lets a period be extended.
func extensions() []string {
	return []string{
		"complexity", "number", // Art. 12(3): of the requests
		"art12-3-complexity", "art12-3-number",
		"reasonably-necessary", "ccpa-1798.130-a-2", // California
	}
}

// Exemptions returns the reasons for which a part of a request may be refused.
func (c Codes) Exemptions() []string { return slices.Concat(exemptions(), c.Exempt) }

// Refusals returns the reasons for which a whole request may be rejected: each
// exemption, and those that are about the request itself.
func (c Codes) Refusals() []string { return slices.Concat(exemptions(), refusals(), c.Exempt) }

// Extensions returns the reasons for which a period may be extended.
func (c Codes) Extensions() []string { return slices.Concat(extensions(), c.Extend) }

// CheckReason returns an *Invalid unless code is one of Refusals.
func (c Codes) CheckReason(code string) error {
	return oneOf(code, c.Refusals(), "art17-3-b or not-identified, or one of the configuration's exemptions")
}

// CheckExemption returns an *Invalid unless code is one of Exemptions.
func (c Codes) CheckExemption(code string) error {
	return oneOf(code, c.Exemptions(), "art17-3-a to art17-3-e, ccpa-1798.105-d-1 to ccpa-1798.105-d-8, or one of the configuration's exemptions")
}

// CheckExtension returns an *Invalid unless code is one of Extensions.
func (c Codes) CheckExtension(code string) error {
	return oneOf(code, c.Extensions(), "complexity, number or reasonably-necessary, or one of the configuration's extensions")
}

func oneOf(code string, list []string, such string) error {
	if slices.Contains(list, code) {
		return nil
	}
	return &Invalid{"reason", "must be a code of the list: " + such}
}

// IsCode reports whether s can be a code of one's own.
func IsCode(s string) bool { return isCode(s) }

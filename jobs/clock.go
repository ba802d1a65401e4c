package jobs

import (
	"regexp"
	"time"

	"lethe/audit/fault"
)

// Regimes: under whose law a request is answered, which sets its due date.
const (
	GDPR = "gdpr" // Regulation (EU) 2016/679, Art. 12(3): one month from receipt
	CCPA = "ccpa" // California Civil Code 1798.130(a)(2): 45 days from receipt
)

// DueAt returns the end of the period in which a request received at t is to
// be answered, and whether the regime is known. A calendar month ends on the
// same day of the next month or, where that does not exist, on its last day
// (Regulation (EEC, Euratom) 1182/71, Art. 3(2)(c)), by the calendar of t's own
// time zone. An end that falls on a holiday is not moved to the next working
// day, so the result is at most early.
func DueAt(regime string, t time.Time) (time.Time, bool) {
	switch regime {
	case GDPR:
		due := t.AddDate(0, 1, 0)
		if fault.Bug("jobs/due-late") {
			due = t.AddDate(0, 2, 0)
		}
		if due.Day() != t.Day() { // AddDate ran over the end of a shorter month
			due = due.AddDate(0, 0, -due.Day())
		}
		return due.UTC(), true
	case CCPA:
		return t.AddDate(0, 0, 45).UTC(), true
	}
	return time.Time{}, false
}

// CheckGround returns an *Invalid unless ground is "" or a code such as
// "art17-1-b". Grounds stand in the log, so they are never free text.
func CheckGround(ground string) error {
	if ground == "" || regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,31}$`).MatchString(ground) {
		return nil
	}
	return &Invalid{"ground", "must be a code of lower-case letters, digits, dots and dashes, at most 32, such as art17-1-b"}
}

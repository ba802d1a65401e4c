package jobs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a machine that runs one static binary may have no zones of its own

	"lethe/audit/fault"
)

// The regimes that every Clock has: under whose law a request is answered.
const (
	GDPR = "gdpr" // Regulation (EU) 2016/679, Art. 12(3): one month from receipt, three if extended
	CCPA = "ccpa" // 11 CCR 7021: confirmed within 10 business days, answered within 45 days, 90 if extended
)

// A Clock knows the regimes of an installation. Its zero value has none; see
// NewClock. It is not changed once it is made.
type Clock struct {
	Default string // the regime of a request that names none
	regimes []Regime
}

// NewClock returns the Clock that has the two built-in regimes and own. One of
// own with the name of a built-in regime takes its place. It returns an error
// if a regime is given twice or cannot be, or if the default is not one.
func NewClock(byDefault string, own ...Regime) (*Clock, error) {
	c := &Clock{Default: byDefault}
	for _, r := range own {
		if problem := r.problem(); problem != "" {
			return nil, errors.New(problem)
		}
		if _, known := c.Regime(r.Name); known {
			return nil, errors.New("is given twice")
		}
		c.regimes = append(c.regimes, r)
	}
	for _, r := range BuiltIn() {
		if _, replaced := c.Regime(r.Name); !replaced {
			c.regimes = append(c.regimes, r)
		}
	}
	slices.SortFunc(c.regimes, func(a, b Regime) int { return strings.Compare(a.Name, b.Name) })
	if c.Default == "" {
		c.Default = GDPR
	}
	if _, known := c.Regime(c.Default); !known {
		return nil, fmt.Errorf("the default regime is none of %s", c.Names())
	}
	return c, nil
}

// Regime returns the regime of that name, and whether there is one.
func (c *Clock) Regime(name string) (Regime, bool) {
	for _, r := range c.regimes {
		if r.Name == name {
			return r, true
		}
	}
	return Regime{}, false
}

// Names lists the names of all regimes.
func (c *Clock) Names() string {
	names := make([]string, len(c.regimes))
	for i, r := range c.regimes {
		names[i] = r.Name
	}
	return strings.Join(names, ", ")
}

// BuiltIn returns the two regimes of the law, each in a zone of its own land.
// Neither has holidays: a deadline is then early by a holiday and never late.
func BuiltIn() []Regime {
	return []Regime{
		{
			Name: GDPR, Period: Period{Months: 1}, Extension: Period{Months: 2}, NextWorkingDay: true,
			Zone: mustZone("Europe/Brussels"),
		},
		{
			Name: CCPA, Period: Period{Days: 45}, Extension: Period{Days: 45}, Confirm: 10,
			Zone: mustZone("America/Los_Angeles"),
		},
	}
}

func mustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil { // it is linked in
		panic(err)
	}
	return zone
}

// A Period is a number of calendar months, calendar days or working days: one
// of them, or none for no period.
type Period struct{ Months, Days, BusinessDays int }

func (p Period) units() int {
	n := 0
	for _, v := range []int{p.Months, p.Days, p.BusinessDays} {
		if v != 0 {
			n++
		}
	}
	return n
}

// A Regime says how long a law gives for an answer. The day of receipt counts
// as none: the first day is the one after (Regulation (EEC, Euratom) 1182/71,
// Art. 3(1); California Civil Code 10). A period ends with the last second of
// its last day, in Zone (Art. 3(2)).
type Regime struct {
	Name           string
	Period         Period         // for the answer
	Extension      Period         // by which it may be extended once, or none
	Confirm        int            // working days in which the receipt is to be confirmed; 0 if it need not
	NextWorkingDay bool           // whether an end that is no working day moves to the next one (Art. 3(4))
	Holidays       Holidays       // days that are no working days, besides Saturdays and Sundays
	Zone           *time.Location // whose calendar counts; nil for UTC
}

// Limits of a regime of one's own: ten years, in each unit.
const (
	maxMonths = 120
	maxDays   = 3650
)

func (r Regime) problem() string {
	switch p, x := r.Period, r.Extension; {
	case !isCode(r.Name):
		return "name must be a code of lower-case letters, digits, dots and dashes, at most 32"
	case p.units() != 1:
		return "must have one of months, days and business_days"
	case x.units() > 1:
		return "must have at most one of extend_months and extend_days"
	case min(p.Months, p.Days, p.BusinessDays, x.Months, x.Days, x.BusinessDays, r.Confirm) < 0,
		max(p.Months, x.Months) > maxMonths, max(p.Days, p.BusinessDays, x.Days, x.BusinessDays, r.Confirm) > maxDays:
		return fmt.Sprintf("periods must be positive, of at most %d months or %d days", maxMonths, maxDays)
	}
	return ""
}

// Due returns the last second in which a request received at t is to be
// answered.
func (r Regime) Due(t time.Time) time.Time {
	if fault.Bug("jobs/due-late") {
		return r.end(r.add(r.day(t), Period{Months: 2}))
	}
	return r.end(r.add(r.day(t), r.Period))
}

// Extended returns the last second of the extended period, and whether the
// regime knows one. It is counted from receipt like the period itself, so that
// a month and two more are three months.
func (r Regime) Extended(t time.Time) (time.Time, bool) {
	p, x := r.Period, r.Extension
	if x.units() == 0 {
		return time.Time{}, false
	}
	day := r.day(t)
	if (p.Months == 0) != (x.Months == 0) || (p.Days == 0) != (x.Days == 0) { // of two units: one after the other
		return r.end(r.add(r.add(day, p), x)), true
	}
	return r.end(r.add(day, Period{p.Months + x.Months, p.Days + x.Days, p.BusinessDays + x.BusinessDays})), true
}

// ConfirmBy returns the last second in which the receipt of a request received
// at t is to be confirmed, and whether it is to be.
func (r Regime) ConfirmBy(t time.Time) (time.Time, bool) {
	if r.Confirm == 0 {
		return time.Time{}, false
	}
	return r.end(r.add(r.day(t), Period{BusinessDays: r.Confirm})), true
}

func (r Regime) zone() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}

// day is the day of receipt by the regime's calendar.
func (r Regime) day(t time.Time) date { return dateOf(t.In(r.zone())) }

// add counts a period from the day on which it begins to run.
func (r Regime) add(from date, p Period) date {
	day := from.addMonths(p.Months).addDays(p.Days)
	if fault.Bug("jobs/clock-30-days") {
		day = from.addDays(30*p.Months + p.Days)
	}
	for n := p.BusinessDays; n > 0; {
		if day = day.addDays(1); r.works(day) {
			n--
		}
	}
	return day
}

// end is the last second of a period whose last day is by count that day.
func (r Regime) end(day date) time.Time {
	for r.NextWorkingDay && !r.works(day) && !fault.Bug("jobs/clock-weekend") {
		day = day.addDays(1)
	}
	return day.last(r.zone())
}

func (r Regime) works(day date) bool {
	w := day.weekday()
	return w != time.Saturday && w != time.Sunday && !r.Holidays.has(day)
}

func isCode(s string) bool { return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,31}$`).MatchString(s) }

// CheckGround returns an *Invalid unless ground is "" or a code such as
// "art17-1-b". Grounds stand in the log, so they are never free text.
func CheckGround(ground string) error {
	if ground == "" || isCode(ground) {
		return nil
	}
	return &Invalid{"ground", "must be a code of lower-case letters, digits, dots and dashes, at most 32, such as art17-1-b"}
}

package jobs

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rickar/cal/v2"
)

// A date is a day of the calendar, at noon of which it is never another day.
type date struct{ noon time.Time }

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{time.Date(y, m, d, 12, 0, 0, 0, time.UTC)}
}

func (d date) weekday() time.Weekday { return d.noon.Weekday() }

func (d date) addDays(n int) date { return date{d.noon.AddDate(0, 0, n)} }

// addMonths returns the same day n months later or, where that does not exist,
// the last day of that month (Regulation 1182/71, Art. 3(2)(c)).
func (d date) addMonths(n int) date {
	later := d.noon.AddDate(0, n, 0)
	if later.Day() != d.noon.Day() { // AddDate ran over the end of a shorter month
		later = later.AddDate(0, 0, -later.Day())
	}
	return date{later}
}

// last is the last second of the day in a zone. There are zones that change
// their clocks at midnight, where a day begins at 01:00 or has 23:00 twice.
func (d date) last(zone *time.Location) time.Time {
	y, m, day := d.noon.Date()
	next := time.Date(y, m, day+1, 0, 0, 0, 0, zone)
	switch start, end := next.ZoneBounds(); {
	case dateOf(next) == d: // there is no midnight, and next fell before the gap
		next = end
	case next.Hour() > 0: // or after it
		next = start
	}
	if again := next.Add(-time.Hour); dateOf(again) == dateOf(next) { // the second midnight of two
		next = again
	}
	return next.Add(-time.Second)
}

// Holidays are days on which nobody works, besides Saturdays and Sundays.
type Holidays struct {
	rules []*cal.Holiday
	days  []date
}

// ReadHolidays reads a list of codes of countries and regions, see
// HolidayCodes, and of dates such as 2026-12-24. Its error names the place in
// the list and not what stands there.
func ReadHolidays(list []string) (h Holidays, err error) {
	known := calendars()
	for _, v := range list {
		if day, err := time.Parse(time.DateOnly, v); err == nil {
			h.days = append(h.days, dateOf(day))
			continue
		}
		rules, ok := known[v]
		if !ok {
			return h, errors.New("must be dates such as 2026-12-24, or codes of " + strings.Join(HolidayCodes(), " "))
		}
		h.rules = append(h.rules, rules...)
	}
	return h, nil
}

// HolidayCodes returns the codes that ReadHolidays knows, in order.
func HolidayCodes() []string { return slices.Sorted(maps.Keys(calendars())) }

func (h Holidays) has(day date) bool {
	if slices.Contains(h.days, day) {
		return true
	}
	// A holiday may be kept in the year beside its own: New Year's Day on 31
	// December.
	for _, rule := range h.rules {
		for year := day.noon.Year() - 1; year <= day.noon.Year()+1; year++ {
			actual, observed := rule.Calc(year)
			if !actual.IsZero() && dateOf(actual) == day || !observed.IsZero() && dateOf(observed) == day {
				return true
			}
		}
	}
	return false
}

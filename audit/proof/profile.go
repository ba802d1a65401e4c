package proof

import (
	"fmt"
	"slices"
	"time"
)

// A Time is a point in time in whole Unix seconds. The zero Time is absent. In
// an entry it is RFC 3339 in UTC, such as "2026-11-22T11:21:06Z".
type Time int64

// At returns t without the fraction of its second; the zero time is absent.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.Unix())
}

// AtPointer returns what t points to, or the absent Time for nil.
func AtPointer(t *time.Time) Time {
	if t == nil {
		return 0
	}
	return At(*t)
}

// Time returns t in UTC, or the zero time if t is absent.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(int64(t), 0).UTC()
}

// String returns t as entries have it, or "-" if it is absent.
func (t Time) String() string {
	if t == 0 {
		return "-"
	}
	return t.Time().Format(time.RFC3339)
}

// checks keeps the first thing that is wrong with an entry. Its texts name
// fields, never values.
type checks struct{ err error }

func (c *checks) that(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checks) origin(v string) {
	rule := logName{}.fault(v)
	c.that(rule == "", "origin %s", rule)
}

// names checks that there are stores and that each stands once.
func (c *checks) names(stores []string) {
	c.that(len(stores) > 0, "stores must not be empty")
	for i, name := range stores {
		c.that(!slices.Contains(stores[:i], name), "stores must each stand once")
	}
}

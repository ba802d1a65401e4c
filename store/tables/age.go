package tables

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"lethe/store"
)

// Offsets from UTC that are in use on earth, and so how much later a time without
// one can be than it would be in UTC.
const (
	farWest = -12 * time.Hour
	farEast = 14 * time.Hour
)

// Years of times that are believed. What is before is how programs write that there
// is none (0001-01-01, 1970-01-01); a number that is after is of another unit.
const (
	firstYear   = 1990
	firstSecond = 631152000  // 1990-01-01
	lastSecond  = 4102444800 // 2100-01-01
)

// never is how PostgreSQL writes a time that does not come.
const never = "infinity"

// A dating is what a row says about a time of its own.
type dating byte

const (
	silent  dating = iota // nothing
	unclear               // something that cannot be read
	dated
)

// readTime returns the last instant that what a row says about a time can mean. It
// says it as a JSON array of what several members hold, where there are several
// names for one: all that say anything must be readable, and the latest counts.
func readTime(said string) (time.Time, dating) {
	if said == "" {
		return time.Time{}, silent
	}
	var values []any
	d := json.NewDecoder(bytes.NewReader([]byte(said)))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		return time.Time{}, unclear
	}
	return latestOf(values)
}

func latestOf(values []any) (latest time.Time, how dating) {
	for _, value := range values {
		if value == nil || value == never {
			continue
		}
		at, ok := latestMeant(value)
		if !ok {
			return time.Time{}, unclear
		}
		if how == silent || at.After(latest) {
			latest, how = at, dated
		}
	}
	return latest, how
}

// latestMeant returns the last instant that a text or a number can mean anywhere on
// earth, to the nanosecond, and false for what is no time for sure.
func latestMeant(value any) (time.Time, bool) {
	switch v := value.(type) {
	case string:
		return readText(v)
	case json.Number:
		return readNumber(v.String())
	}
	return time.Time{}, false
}

// readNumber reads seconds, milliseconds or microseconds since 1970: which they
// are, their size says, since no two of them have a year in common.
func readNumber(literal string) (time.Time, bool) {
	n, err := strconv.ParseInt(literal, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(literal, 64)
		if err != nil || math.Abs(f) > 1<<53 {
			return time.Time{}, false
		}
		n = int64(math.Floor(f))
	}
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		each := int64(time.Second / unit)
		if firstSecond*each <= n && n < lastSecond*each {
			return endOf(time.Unix(n/each, n%each*int64(unit)), unit), true
		}
	}
	return time.Time{}, false
}

// endOf is the last nanosecond of a unit of time that begins at some time: who
// writes seconds has cut off the rest.
func endOf(begin time.Time, unit time.Duration) time.Time { return begin.Add(unit - 1).UTC() }

// readText reads a date, or a time as RFC 3339 or SQL write it: 2026-11-22,
// 2026-11-22T11:54:57.6Z, 2026-11-22 11:54, 2026-11-22 11:54:57+00. Anything else
// could be read in more than one way, and is not.
func readText(text string) (time.Time, bool) {
	r := reader{text}
	year, month, day := r.number(4), r.then("-", 2), r.then("-", 2)
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if year < 0 || date.Year() != year || int(date.Month()) != month || date.Day() != day {
		return time.Time{}, false
	}
	if r.rest == "" {
		return believed(endOf(date, 24*time.Hour).Add(-farWest))
	}
	if !r.skip("T") && !r.skip("t") && !r.skip(" ") {
		return time.Time{}, false
	}
	clock, unit, ok := r.clock()
	if !ok {
		return time.Time{}, false
	}
	offset, ok := r.offset()
	return at(ok, endOf(date.Add(clock), unit).Add(-offset))
}

func at(ok bool, t time.Time) (time.Time, bool) {
	if !ok {
		return time.Time{}, false
	}
	return believed(t)
}

func believed(t time.Time) (time.Time, bool) { return t, t.Year() >= firstYear }

// A reader reads a text from its beginning.
type reader struct{ rest string }

// skip reports whether the text goes on with a prefix, and goes behind it.
func (r *reader) skip(prefix string) bool {
	if len(r.rest) < len(prefix) || r.rest[:len(prefix)] != prefix {
		return false
	}
	r.rest = r.rest[len(prefix):]
	return true
}

// number reads so many decimal digits, and returns -1 for anything else.
func (r *reader) number(digits int) int {
	if len(r.rest) < digits {
		return -1
	}
	n := 0
	for _, c := range []byte(r.rest[:digits]) {
		if c < '0' || '9' < c {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	r.rest = r.rest[digits:]
	return n
}

// then reads a number behind a prefix, and returns -1 for anything else.
func (r *reader) then(prefix string, digits int) int {
	if !r.skip(prefix) {
		return -1
	}
	return r.number(digits)
}

// clock reads a time of day, and the unit that it is exact to. A leap second is the
// first of the next minute.
func (r *reader) clock() (since, unit time.Duration, ok bool) {
	hour, minute := r.number(2), r.then(":", 2)
	second, unit := 0, time.Minute
	if r.skip(":") {
		second, unit = r.number(2), time.Second
	}
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return 0, 0, false
	}
	since = time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if unit != time.Second || !r.skip(".") {
		return since, unit, true
	}
	digits := 0
	for ; len(r.rest) > 0 && '0' <= r.rest[0] && r.rest[0] <= '9'; digits++ {
		if unit > 1 {
			unit /= 10
			since += time.Duration(r.rest[0]-'0') * unit
		}
		r.rest = r.rest[1:]
	}
	return since, unit, digits > 0
}

// offset reads what is left: how far local time is ahead of UTC. Of a time that does
// not say so, it is that of the place where it is reached last.
func (r *reader) offset() (time.Duration, bool) {
	if r.rest == "" {
		return farWest, true
	}
	if r.skip("Z") || r.skip("z") || r.skip(" UTC") {
		return 0, r.rest == ""
	}
	r.skip(" ")
	sign := time.Duration(1)
	if r.skip("-") {
		sign = -1
	} else if !r.skip("+") {
		return 0, false
	}
	parts, colon := [3]int{r.number(2)}, ""
	if strings.HasPrefix(r.rest, ":") {
		colon = ":"
	}
	for i := 1; i < len(parts) && r.rest != ""; i++ {
		parts[i] = r.then(colon, 2)
	}
	offset := sign * (time.Duration(parts[0])*time.Hour + time.Duration(parts[1])*time.Minute + time.Duration(parts[2])*time.Second)
	ok := r.rest == "" && min(parts[0], parts[1], parts[2]) >= 0 && max(parts[1], parts[2]) < 60
	return offset, ok && farWest <= offset && offset <= farEast
}

// Ages are what a row says about when it was made and when it ends, see readTime.
// Those that nobody asked for are silent.
type ages struct{ Created, Expires sql.NullString }

// old reports whether a row is as old as sel wants it.
func (a ages) old(sel store.Selector) bool {
	return before(a.Created, sel.CreatedBefore) == yes && before(a.Expires, sel.ExpiredBefore) == yes
}

// undated reports whether a row would be as old as sel wants it, or not, depending
// on a time that cannot be read.
func (a ages) undated(sel store.Selector) bool {
	created, expires := before(a.Created, sel.CreatedBefore), before(a.Expires, sel.ExpiredBefore)
	if _, how := readTime(a.Expires.String); how == silent && !sel.ExpiredBefore.IsZero() {
		expires = no // it has no end
	}
	return created != no && expires != no && (created == perhaps || expires == perhaps)
}

type answer byte

const (
	no answer = iota
	perhaps
	yes
)

// before says whether a time that a row says is before a cut-off; the zero time is
// none.
func before(said sql.NullString, cutoff time.Time) answer {
	if cutoff.IsZero() {
		return yes
	}
	latest, how := readTime(said.String)
	switch {
	case how != dated:
		return perhaps
	case latest.Before(cutoff):
		return yes
	}
	return no
}

// A span is the oldest and the newest of some times.
type span struct{ oldest, newest time.Time }

// add adds what a selected row says of the time that sel is about.
func (s *span) add(sel store.Selector, a ages) {
	said := a.Created
	if !sel.ExpiredBefore.IsZero() {
		said = a.Expires
	}
	if t, how := readTime(said.String); how == dated {
		s.reach(t)
	}
}

func (s *span) reach(t time.Time) {
	if s.oldest.IsZero() || t.Before(s.oldest) {
		s.oldest = t
	}
	if t.After(s.newest) {
		s.newest = t
	}
}

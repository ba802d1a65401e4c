package jobs

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"lethe/audit/fault"
)

// Bounds of how often a policy may be due.
const (
	MinEvery = time.Minute
	MaxEvery = 366 * 24 * time.Hour
)

// A Schedule says when a policy is due. Its ticks are the same whoever asks, and
// whenever: they depend on nothing but the calendar. The zero Schedule is never
// due.
type Schedule struct {
	every time.Duration
	cron  *cron.SpecSchedule // on the clock on the wall
	zone  *time.Location
}

// Every returns a Schedule with a tick at each multiple of d since 1970 in UTC. d
// must be whole seconds from MinEvery to MaxEvery.
func Every(d time.Duration) (Schedule, error) {
	if d < fault.Pace(MinEvery) || d > MaxEvery || d%time.Second != 0 {
		return Schedule{}, fmt.Errorf("must be whole seconds from %s to %s", MinEvery, "366d")
	}
	return Schedule{every: d}, nil
}

// Cron returns a Schedule of five fields, minute, hour, day of the month, month
// and day of the week, by the clock of a time zone. A time that a clock change
// leaves out is due when the change happens or within the hour after it, one that it repeats is due the
// first time only: either way each is due once.
func Cron(spec string, zone *time.Location) (Schedule, error) {
	if strings.Contains(spec, "TZ=") {
		return Schedule{}, errors.New("must have five fields and no time zone: that is zone")
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(spec)
	fields, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Schedule{}, errors.New("must have five fields: minute, hour, day of the month, month, day of the week")
	}
	fields.Location = time.UTC
	s := Schedule{cron: fields, zone: zone}
	if _, ok := s.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return Schedule{}, errors.New("must name a day that exists")
	}
	return s, nil
}

// Next returns the first tick after t, in UTC; false if there is none.
func (s Schedule) Next(t time.Time) (time.Time, bool) {
	switch {
	case s.every > 0:
		step := int64(s.every / time.Second)
		n := t.Unix() / step
		if t.Unix()%step < 0 {
			n-- // before 1970
		}
		return time.Unix((n+1)*step, 0).UTC(), true
	case s.cron == nil:
		return time.Time{}, false
	}
	// The wall's clock is taken for one of UTC, in which every day has its hours.
	// It may be set back by some hours: begin before that.
	wall := onTheWall(t, s.zone).Add(-3 * time.Hour)
	for {
		if wall = s.cron.Next(wall); wall.IsZero() {
			return time.Time{}, false
		}
		if tick := offTheWall(wall, s.zone); tick.After(t) {
			return tick, true
		}
	}
}

// Last returns the last tick at t or before, after since, and how many there are in
// between; false if there is none.
func (s Schedule) Last(since, t time.Time) (last time.Time, n int, ok bool) {
	if s.every > 0 {
		first, _ := s.Next(since)
		if first.After(t) {
			return last, 0, false
		}
		n = int(t.Sub(first) / s.every)
		return first.Add(time.Duration(n) * s.every), n + 1, true
	}
	for next, more := s.Next(since); more && !next.After(t); next, more = s.Next(next) {
		last, n, ok = next, n+1, true
	}
	return last, n, ok
}

// onTheWall returns what a clock in a zone shows at t, as if it were UTC.
func onTheWall(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// offTheWall returns the first time at which a clock in a zone shows wall or, if
// it never does, at which it would if it had not been set forward.
func offTheWall(wall time.Time, zone *time.Location) time.Time {
	var found, before time.Time
	for _, by := range [...]time.Duration{-26 * time.Hour, 26 * time.Hour} {
		_, offset := wall.Add(by).In(zone).Zone() // before, and after, any change that day
		t := wall.Add(-time.Duration(offset) * time.Second)
		if before.IsZero() {
			before = t
		}
		if onTheWall(t, zone).Equal(wall) && (found.IsZero() || t.Before(found)) {
			found = t
		}
	}
	if found.IsZero() {
		return before
	}
	return found
}

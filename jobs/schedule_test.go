package jobs_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"lethe/jobs"
)

// On the days of a clock change each time of the schedule is due once, and none
// is left out.
func TestAClockChangeGivesEachTickOnce(t *testing.T) {
	for name, c := range map[string]struct {
		spec, zone, from string
		want             []string
	}{
		"an hour left out":   {"30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		"an hour repeated":   {"30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", []string{"2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"a day left out":     {"0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", []string{"2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T22:00:00Z"}},
		"half an hour":       {"15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00:00Z", []string{"2026-10-03T15:45:00Z", "2026-10-04T15:15:00Z"}},
		"a leap day":         {"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		"every hour, autumn": {"0 * * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", []string{"2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := jobs.Cron(c.spec, zone(t, c.zone))
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				at, _ = s.Next(at)
				if got := at.Format(time.RFC3339); got != want {
					t.Errorf("tick at %s, want %s", got, want)
				}
			}
		})
	}
}

// Whoever asks, and however often, sees the same ticks: asking in small steps,
// and asking once for all.
func TestTicksDependOnTheCalendarAlone(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"}
	specs := []string{"0 3 * * *", "30 2 * * 0", "*/20 * * * *", "0 0 29 2 *", "15 1 31 * *", "@daily", "0 2,3 * 3,10 *"}
	rapid.Check(t, func(rt *rapid.T) {
		s, err := jobs.Cron(rapid.SampledFrom(specs).Draw(rt, "spec"), zone(t, rapid.SampledFrom(zones).Draw(rt, "zone")))
		if rapid.Bool().Draw(rt, "every") {
			s, err = jobs.Every(time.Duration(rapid.IntRange(60, 400_000).Draw(rt, "seconds")) * time.Second)
		}
		if err != nil {
			rt.Fatal(err)
		}
		from := time.Unix(rapid.Int64Range(1_200_000_000, 2_000_000_000).Draw(rt, "from"), 0)
		span := time.Duration(rapid.IntRange(1, 100).Draw(rt, "hours")) * time.Hour
		last, n, ok := s.Last(from, from.Add(span))
		var steps int
		var newest time.Time
		for at, pace := from, span/7+time.Minute; at.Before(from.Add(span)); at = at.Add(pace) {
			to := at.Add(pace)
			if to.After(from.Add(span)) {
				to = from.Add(span)
			}
			if l, k, some := s.Last(at, to); some {
				steps, newest = steps+k, l
			}
		}
		if steps != n || ok && !newest.Equal(last) {
			rt.Fatalf("%d ticks in steps, last %s; %d at once, last %s", steps, newest, n, last)
		}
	})
}

// What is no schedule is refused when it is read, not found out later.
func TestASchedulesThatAreNoneAreRefused(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Hour, 90, time.Second, 90*time.Minute + 1, 367 * 24 * time.Hour, 1<<63 - 1, -1 << 63} {
		if _, err := jobs.Every(d); err == nil {
			t.Errorf("every %d ns was taken", d)
		}
	}
	for _, spec := range []string{"", "0", "0 3 * *", "61 * * * *", "0 0 30 2 *", "CRON_TZ=UTC 0 3 * * *", "@every 1h", "0 3 * * * *"} {
		if _, err := jobs.Cron(spec, time.UTC); err == nil {
			t.Errorf("cron %q was taken", spec)
		}
	}
}

package jobs_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
)

// found is a job in which one place has so many of so many rows.
func found(storeName string, rows, all int) jobs.Job {
	return jobs.Job{Store: storeName, Found: rows, Places: []jobs.PlaceCount{{Place: "p", Found: rows, Total: all}}}
}

func TestLimitsSayWhichPlansWait(t *testing.T) {
	limits := jobs.DefaultLimits()
	own := jobs.Rules{Limits: limits, Stores: map[string]jobs.Limits{"own": {MaxRows: 10, MaxFraction: 1, FractionFrom: 1}}}
	for name, tt := range map[string]struct {
		rules jobs.Rules
		list  []jobs.Job
		want  string
	}{
		"within":                        {jobs.Rules{Limits: limits}, []jobs.Job{found("a", 100_000, 1_000_000)}, "[]"},
		"one row too many":              {jobs.Rules{Limits: limits}, []jobs.Job{found("a", 100_001, 1_000_000)}, "[{max-rows   100001 100000}]"},
		"too many in two stores":        {jobs.Rules{Limits: limits}, []jobs.Job{found("a", 50_001, 1_000_000), found("b", 50_000, 1_000_000)}, "[{max-rows   100001 100000}]"},
		"all of a small store":          {jobs.Rules{Limits: limits}, []jobs.Job{found("a", 999, 999)}, "[]"},
		"a quarter of a larger one":     {jobs.Rules{Limits: limits}, []jobs.Job{found("a", 1000, 4000)}, "[]"},
		"more than a quarter":           {jobs.Rules{Limits: limits}, []jobs.Job{found("a", 1000, 3999)}, "[{max-fraction a p 1000 3999}]"},
		"a store that does not say":     {jobs.Rules{Limits: limits}, []jobs.Job{found("a", 1000, 0)}, "[{max-fraction a p 1000 1000}]"},
		"a store with its own limits":   {own, []jobs.Job{found("own", 11, 11)}, "[{max-rows own  11 10}]"},
		"rows of it are not the rest's": {own, []jobs.Job{found("own", 10, 10), found("a", 100_000, 1_000_000)}, "[]"},
		"IDs of places not counted":     {jobs.Rules{Limits: jobs.Limits{MaxRows: 2}}, []jobs.Job{{Store: "a", Found: 3}}, "[{max-rows   3 2}]"},
		"rows of later rounds":          {jobs.Rules{Limits: jobs.Limits{MaxRows: 4}}, []jobs.Job{{Store: "a", Found: 4, Residue: 2, Places: []jobs.PlaceCount{{Place: "p", Found: 3}}}}, "[{max-rows   5 4}]"},
		"always":                        {jobs.Rules{Always: true}, []jobs.Job{found("a", 0, 0)}, "[{always   0 0}]"},
		"no limits":                     {jobs.Rules{}, []jobs.Job{found("a", 1<<40, 1<<40)}, "[]"},
	} {
		if d := cmp.Diff(tt.want, fmt.Sprint(tt.rules.Judge(tt.list))); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}

func TestADriftIsMoreThanATenthAndAHundredRows(t *testing.T) {
	rules := jobs.Rules{Limits: jobs.DefaultLimits(), Stores: map[string]jobs.Limits{"strict": {}}}
	for _, tt := range []struct {
		store    string
		was, is  int
		drifted  bool
		otherMap bool
	}{
		{"a", 0, 100, false, false},
		{"a", 0, 101, true, false},
		{"a", 101, 0, true, false},
		{"a", 5000, 5500, false, false},
		{"a", 5000, 5501, true, false},
		{"a", 5000, 4499, true, false},
		{"a", 10, 110, false, false},
		{"a", 10, 10, true, true},
		{"strict", 10, 11, true, false},
		{"strict", 10, 10, false, false},
	} {
		now := jobs.Recount{Places: []jobs.PlaceCount{{Place: "p", Found: tt.is}}}
		if tt.otherMap {
			now.MapVersion = "m2"
		}
		if got := rules.Drift(found(tt.store, tt.was, 0), now); (len(got) > 0) != tt.drifted {
			t.Errorf("store %s, from %d to %d: %v", tt.store, tt.was, tt.is, got)
		}
	}
	gone := jobs.Recount{Places: []jobs.PlaceCount{{Place: "q", Found: 101}}}
	if got := rules.Drift(found("a", 0, 0), gone); len(got) != 1 {
		t.Errorf("a place that was not planned: %v", got)
	}
	if got := rules.Drift(found("a", 200, 0), jobs.Recount{}); len(got) != 1 {
		t.Errorf("a place that is not counted any more: %v", got)
	}
}

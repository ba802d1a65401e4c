//go:build torture

package main

import (
	"context"
	"slices"
)

// A lane is one kind of disaster. Its run makes cases by [run.cases], each of
// which ends with a phase in which nothing goes wrong any more and everything
// must finish, and with the oracle.
type lane struct {
	name string
	what string // in a few words, for the report
	n    map[string]int
	run  func(context.Context, *run) error
}

// shares says how the time of --for is shared out. What a lane leaves is for
// those after it. Lanes in one line run at the same time: they mostly wait.
func shares() []share {
	return []share{
		{8, []string{"kill", "redis"}},
		{3, []string{"power"}},
		{4, []string{"lies"}},
		{1, []string{"model"}},
		{2, []string{"fuzz"}},
		{4, []string{"bugs"}},
	}
}

// A share is a part of the time for some lanes.
type share struct {
	parts int
	lanes []string
}

// sizes are the sizes of a run, with the share of --for that they leave.
func sizes() map[string]bool { return map[string]bool{"smoke": true, "full": true, "long": true} }

func count(smoke, full, long int) map[string]int {
	return map[string]int{"smoke": smoke, "full": full, "long": long}
}

// lanes returns all lanes in the order in which they run.
func lanes() []lane {
	return []lane{
		{"kill", "kill -9, SIGTERM, SIGSTOP and panics at each fault point, then at random", count(24, 700, 20000), killLane},
		{"redis", "a Redis that dies, forgets, hangs, fills up, lies", count(14, 300, 5000), redisLane},
		{"power", "power cuts and I/O errors under the ledger and the log, 50 and 10 a case", count(2, 100, 2000), powerLane},
		{"lies", "stores that lie, fail, lag or change under the work", count(400, 100000, 5000000), liesLane},
		{"model", "concurrent clients against a small model of the intake", count(20, 1200, 20000), modelLane},
		{"fuzz", "decoders and parsers fed with garbage", count(1, 16, 16), fuzzLane},
		{"bugs", "planted bugs, each of which a lane must catch", count(6, 0, 0), bugsLane},
	}
}

func laneByName(name string) (lane, bool) {
	all := lanes()
	i := slices.IndexFunc(all, func(l lane) bool { return l.name == name })
	if i < 0 {
		return lane{}, false
	}
	return all[i], true
}

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
	name    string
	what    string // in a few words, for the report
	n       map[string]int
	run     func(context.Context, *run) error
	service bool // it runs the service's binary
	apart   bool // its cases may be shared among processes
}

// shares says how the time of --for is shared out: one part is a minute of the
// 18 that make torture has. What a lane leaves is for those after it. Lanes in
// one line run at the same time: they mostly wait.
func shares() []share {
	return []share{
		{7, []string{"kill", "redis"}},
		{4, []string{"power", "platform"}},
		{2, []string{"model"}},
		{3, []string{"fuzz"}},
		{2, []string{"bugs"}}, // which takes what it needs,
	}
}

// besides are the lanes that run beside all others for as long as those do, at
// a lower priority: with what they leave of the processors, which is much while
// they wait for leases, restarts and timeouts.
func besides() []string { return []string{"lies"} }

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

// lanes returns all lanes in the order in which they are reported.
func lanes() []lane {
	return []lane{
		{name: "kill", what: "kill -9, SIGTERM, SIGSTOP and panics at each fault point, then at random", n: count(14, 700, 20000), run: killLane, service: true},
		{name: "redis", what: "a Redis that dies, forgets, hangs, fills up, lies", n: count(14, 300, 5000), run: redisLane, service: true},
		{name: "power", what: "power cuts and I/O errors under the ledger and the log, 50 and 10 a case", n: count(2, 100, 2000), run: powerLane},
		{name: "platform", what: "Mem0's Platform: busy, failing, cut off, talking nonsense, and the service killed meanwhile", n: count(4, 120, 3000), run: platformLane, service: true},
		{name: "lies", what: "stores that lie, fail, lag or change under the work", n: count(400, 100000, 5000000), run: liesLane, apart: true},
		{name: "model", what: "concurrent clients against a small model of the intake", n: count(20, 1200, 20000), run: modelLane},
		{name: "fuzz", what: "decoders and parsers fed with garbage", n: count(1, 16, 16), run: fuzzLane},
		{name: "bugs", what: "planted bugs, each of which a lane must catch", n: count(4, 0, 0), run: bugsLane, service: true},
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

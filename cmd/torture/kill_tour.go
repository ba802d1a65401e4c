//go:build torture

package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// others is how many of the cases before this one are none of the tour's.
func others(number int) int {
	n := 3 * (number / poisonEvery)
	for _, at := range []int{leasedAt, poisonedAt, returnedAt} {
		if number%poisonEvery > at {
			n++
		}
	}
	return n
}

// aimed is a case of lives that go to these plans, which are of one kind, and
// then of such as chance makes.
func (c *kase) aimed(ctx context.Context, d *database, lives int, plans ...string) error {
	var blows []blow
	for _, plan := range plans {
		one := blow{plan: plan, or: 120 + c.rng.IntN(60)}
		if c.number >= againFrom { // this point and no other
			one.or = 0
		}
		blows = append(blows, one)
	}
	if len(plans) > 0 && kindOf(plans[0]) == kindShared {
		return c.shared(ctx, d, blows[:min(len(blows), 1+lives/4)])
	}
	var s story
	if len(plans) > 0 {
		s = storyOf(plans[0])
		if s.people {
			for i, plan := range plans {
				blows[i].or = 0 // there is more to do before it
				s.parts = append(s.parts, partFor(plan))
			}
		}
		blows = append(slices.Clone(s.before), blows...)
		if s.late != "" { // what comes too late is written in this while
			blows[0].plan = "worker/erased:*:sleep=1500," + plans[0]
		}
	}
	if len(plans) == 0 && c.number%peopleEvery == peopleAt {
		s.people = true
	}
	points, err := faultPoints()
	if err != nil {
		return err
	}
	if len(plans) == 0 && !s.people {
		s.sweeps = c.rng.IntN(sweepsEvery) == 0
	}
	points = slices.DeleteFunc(points, func(p string) bool { // some are not passed
		return !s.people && ofPeople(p) || !s.sweeps && ofSweeps(p) || isOfReturns(p)
	})
	for n := lives + c.rng.IntN(1+lives/2); len(blows) < n; {
		blows = append(blows, c.blow(points))
	}
	if !s.whole {
		s.lives = len(blows)
	}
	return c.killed(ctx, blows, s)
}

// two is a case of two processes and of blows that chance makes, most of them
// while tasks are carried out.
func (c *kase) two(ctx context.Context, d *database, points []string) error {
	works := slices.DeleteFunc(slices.Clone(points), func(p string) bool {
		return !strings.HasPrefix(p, "worker/") || p == "worker/residue" || p == "worker/poison" || ofPeople(p)
	})
	var blows []blow
	for range sharedBlows {
		if c.rng.IntN(4) == 0 {
			blows = append(blows, c.blow(points))
			continue
		}
		blows = append(blows, blow{plan: fmt.Sprintf("%s:%d:%s", works[c.rng.IntN(len(works))], 1+c.rng.IntN(3), pick(c.rng, "kill", "kill", "kill", "kill", "kill", "stop")), or: 120})
	}
	return c.shared(ctx, d, blows)
}

// kinds of fault points: those of one kind need one story.
const (
	kindAny    = ""
	kindKeys   = "keys"
	kindLate   = "late"
	kindPeople = "people" // passed only if somebody decides
	kindPurge  = "purge"
	kindRedis  = "redis"
	kindShared = "shared" // passed only if the ledger is in PostgreSQL
	kindSweeps = "sweeps" // passed only if there are policies
)

func kindOf(plan string) string {
	point, _, _ := strings.Cut(plan, ":")
	switch {
	case point == "jobs/key-destroyed":
		return kindKeys
	case point == "worker/residue":
		return kindLate
	case ofPeople(point):
		return kindPeople
	case ofSweeps(point):
		return kindSweeps
	case strings.HasPrefix(point, "worker/purge"):
		return kindPurge
	case point == "ledger/posting" || point == "ledger/posted" || point == "audit/sequencing" || point == "audit/sequenced":
		return kindShared
	case point == "jobs/cancel-marked" || point == "jobs/queue-lost":
		return kindRedis
	}
	return kindAny
}

// ofPeople reports whether a point is passed only where people decide, or where
// somebody is told what became of a request.
func ofPeople(point string) bool {
	return strings.HasPrefix(point, "jobs/hold-") || strings.HasPrefix(point, "webhook/") || slices.Contains([]string{
		"jobs/approved", "jobs/rejected", "ledger/plan-waits", "ledger/approved", "ledger/recounted", "ledger/drifted", "ledger/exempted",
		"ledger/hold-clear", "ledger/set-aside", "ledger/notified", "worker/recount-begun", "worker/recounted", "worker/compare-holds", "worker/set-aside",
	}, point)
}

// ofSweeps reports whether a point is passed only where there are policies.
func ofSweeps(point string) bool { return strings.HasPrefix(point, "sweep/") }

// partFor returns what somebody has to do so that a point is passed.
func partFor(plan string) string {
	point, _, _ := strings.Cut(plan, ":")
	switch {
	case point == "jobs/rejected":
		return partReject
	case point == "ledger/drifted":
		return partDrift
	case point == "ledger/exempted":
		return partExempt
	case strings.Contains(point, "hold") || strings.Contains(point, "set-aside"):
		return partHold
	}
	return partNone
}

// storyOf returns the story that leads to a plan: some points are not passed in
// every life.
func storyOf(plan string) story {
	switch kindOf(plan) {
	case kindKeys: // by the start after the end of a request
		return story{extra: "subject_key_retention: 1ms\n", before: []blow{{plan: "worker/certified:1:kill"}}}
	case kindLate:
		return story{late: "yes"}
	case kindPeople:
		return story{people: true}
	case kindPurge:
		return story{purge: "always"}
	case kindRedis:
		return story{whole: true, queue: "redis"}
	case kindSweeps:
		return story{sweeps: true}
	}
	return story{}
}

const (
	fullLife   = 12 // blows of a case, at least
	shortLife  = 4  // likewise, of a case of the smoke's
	tourAtOnce = 7  // plans of the tour in one case

	peopleAtOnce = 4 // likewise, of those about what people decide

	sweepsEvery = 3 // one of so many of the cases that are left to chance has policies
)

// tourOf lists every point with every action and further hits, as cases of
// plans that one story leads to. Each case has a mix of them. Those that need a
// story which is over after the first life have one each.
func tourOf(points []string) [][]string {
	byKind := map[string][]string{}
	for hit := 1; hit <= 3; hit++ {
		for _, action := range []string{"kill", "term", "panic", "stop"} {
			for _, p := range points {
				if isOfReturns(p) {
					continue // of cases of their own
				}
				alone := slices.Contains([]string{kindKeys, kindLate, kindPeople, kindRedis}, kindOf(p))
				if hit > 1 && (alone || action != "kill") {
					continue
				}
				byKind[kindOf(p)] = append(byKind[kindOf(p)], fmt.Sprintf("%s:%d:%s", p, hit, action))
			}
		}
	}
	type stage struct {
		plans []string
		at    float64
	}
	var all []stage
	for kind, most := range map[string]int{kindAny: tourAtOnce, kindPurge: tourAtOnce, kindShared: sharedBlows, kindSweeps: tourAtOnce, kindKeys: 1, kindLate: 1, kindPeople: peopleAtOnce, kindRedis: 1} {
		of := byKind[kind]
		n := (len(of) + most - 1) / most
		cases := make([][]string, n)
		for i, plan := range of {
			cases[i%n] = append(cases[i%n], plan)
		}
		for i, plans := range cases { // of every kind some come early
			all = append(all, stage{plans, (float64(i) + 0.5) / float64(n)})
		}
	}
	slices.SortFunc(all, func(a, b stage) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.plans[0], b.plans[0])) })
	var tour [][]string
	for _, s := range all {
		tour = append(tour, s.plans)
	}
	return tour
}

// blow makes one by chance.
func (c *kase) blow(points []string) blow {
	action := pick(c.rng, "kill", "kill", "kill", "kill", "kill", "kill", "term", "panic")
	if c.rng.IntN(200) == 0 {
		action = "stop"
	}
	or := 60 + c.rng.IntN(60)
	switch c.rng.IntN(6) {
	case 0:
		return blow{after: time.Duration(c.rng.IntN(400)) * time.Millisecond}
	case 1, 2:
		return blow{plan: fmt.Sprintf("%s:%d:%s", points[c.rng.IntN(len(points))], 1+c.rng.IntN(4), action), or: or}
	}
	return blow{plan: fmt.Sprintf("*:%d:%s", 1+c.rng.IntN(55), action), or: or}
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

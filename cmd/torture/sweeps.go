//go:build torture

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"lethe/store/tables"
)

// pace is by how many times the lab shortens the minute of retention sweeps: a tick
// comes every two seconds, and what was broken off is tried again as soon.
const (
	pace      = 30
	tickEvery = time.Minute / pace
	sweptAge  = time.Hour       // the least that a policy may ask for
	comeOfAge = 8 * time.Second // while the service is at work, some rows do
	mostRows  = 3               // beyond which a sweep of the policy with brakes waits; with their history, each memory is two
)

// Names of policies. The first has one tick in a case, and is listed first, so that
// it is known before any other has a tick.
const (
	policyEnded  = "ended"  // what has expired; once
	policyOld    = "old"    // what is older than an hour; all the time
	policyBraked = "braked" // likewise, and there is more of it than may go by itself
)

// runOf says by which run a policy selects. It is in the configuration, and so no
// word of the world's.
func runOf(policy string) string {
	return map[string]string{policyEnded: "trial", policyOld: "nightly", policyBraked: "bulk"}[policy]
}

// An aging is what the oracle knows of the age of a row.
type aging struct {
	policy string    // that selects it, if it is old enough
	made   time.Time // to the millisecond; zero for a row that no policy is ever to take
	says   string    // what the row says: when it was made or, of policyEnded, when it ends; "" for nothing
	held   bool      // by a hold that stood before the row was written
}

// crosses is when a row has the age that its policy asks for.
func (a *aging) crosses() time.Time { return a.made.Add(sweptAge) }

// A broom is what the oracle knows of the policies of a case. They are about rows
// that nobody asks for.
type broom struct {
	tick     time.Time     // the only one of policyEnded
	every    time.Duration // from one of its ticks to the next
	settled  time.Time     // when nothing comes of age any more
	approves bool          // what has brakes is approved; else it waits, for good
	reason   string        // of the hold

	// Of the goroutine that tends to it.
	stock  [][]*thing // what is still to be written, in portions; the first ones are held
	stands bool       // the hold, answered
	since  time.Time  // when policyEnded was first seen, as the ledger has it; zero before
	waits  time.Time  // since when something is to be approved; zero before

	mu    sync.Mutex
	spans []span // in which there was something to sweep
	state string // what is left to be done; "" for nothing
}

// A span is a time; its end is zero while it lasts.
type span struct{ from, to time.Time }

// sweeping puts policies into a case, and what they are about into its world.
func (c *kase) sweeping(ctx context.Context, w *world, s story, set *settings) (*broom, error) {
	now := time.Now()
	br := &broom{approves: c.rng.IntN(3) > 0, reason: fmt.Sprintf("hold-%d", c.number), settled: now.Add(comeOfAge), state: "not looked at"}
	br.tick, br.every = onlyTick(now.Add(time.Duration(5+c.rng.IntN(5)) * time.Second))
	var names []string
	for i, in := range w.stores {
		names = append(names, in.name)
		rows := agedRows(c.rng, w.token, now)
		if i == 0 {
			rows = append(rows, endedRows(c.rng, w.token)...)
			rows = append(rows, bulkRows(c.rng, w.token, now)...)
		}
		rows = append(rows, linking(c.rng, w.token, rows)...)
		if err := in.write(ctx, rows); err != nil {
			return nil, err
		}
		in.rows = append(in.rows, rows...)
		var err error
		if in.first, err = in.snapshot(ctx); err != nil {
			return nil, err
		}
	}
	br.stock = append(br.stock, lateOnes(c.rng, w.token, heldUser(w.token), 1+c.rng.IntN(3)))
	for range 2 + s.lives/3 {
		br.stock = append(br.stock, lateOnes(c.rng, w.token, "kept."+w.token, 1+c.rng.IntN(4)))
	}
	set.extra += fmt.Sprintf(`policies:
  - {name: %s, stores: [%s], every: %s, where: {expired: true, run_id: %s}}
  - {name: %s, stores: [%s], every: %s, where: {older_than: %s, run_id: %s}}
  - {name: %s, stores: [%s], every: %s, max_rows: %d, where: {older_than: %s, run_id: %s}}
`, policyEnded, names[0], br.every, runOf(policyEnded),
		policyOld, strings.Join(names, ", "), tickEvery, sweptAge, runOf(policyOld),
		policyBraked, names[0], tickEvery, mostRows, sweptAge, runOf(policyBraked))
	return br, nil
}

// onlyTick returns a time soon after t, and an interval of some minutes of which it
// is a multiple: no other multiple comes in a case.
func onlyTick(t time.Time) (time.Time, time.Duration) {
	for at := t.Unix(); ; at++ {
		for every := int64(3600); every >= 900; every-- {
			if at%every == 0 {
				return time.Unix(at, 0), time.Duration(every) * time.Second
			}
		}
	}
}

// dated makes a memory that says when it was made.
func dated(rng *rand.Rand, token, user, policy string, made time.Time) *thing {
	made = made.Truncate(time.Millisecond)
	return &thing{
		place: "memories", id: newID(rng), user: user, secret: token + newToken(rng),
		age: &aging{policy: policy, made: made, says: made.UTC().Format("2006-01-02T15:04:05.000Z07:00")},
	}
}

// agedRows are those that policyOld is about: old ones, young ones, and some that
// come of age while the service is at work.
func agedRows(rng *rand.Rand, token string, now time.Time) []*thing {
	user := "kept." + token
	some := func(ago time.Duration) *thing { return dated(rng, token, user, policyOld, now.Add(-ago)) }
	var rows []*thing
	for range 1 + rng.IntN(4) {
		rows = append(rows, some(sweptAge+time.Second+time.Duration(rng.Int64N(int64(300*time.Hour)))))
	}
	for range 1 + rng.IntN(3) { // an hour is never over
		rows = append(rows, some(time.Duration(1+rng.IntN(40))*time.Minute))
	}
	for range 1 + rng.IntN(4) {
		rows = append(rows, some(sweptAge-time.Duration(rng.Int64N(int64(comeOfAge)))))
	}
	for i := range 4 { // messages, which say it in a column
		m := some([]time.Duration{2 * sweptAge, sweptAge / 2}[i%2])
		m.place = "messages"
		rows = append(rows, m)
	}
	for _, says := range []string{"", "yesterday"} { // undated ones are never meant
		t := some(0)
		t.age.made, t.age.says = time.Time{}, says
		rows = append(rows, t)
	}
	return rows
}

// endedRows are those that policyEnded is about.
func endedRows(rng *rand.Rand, token string) []*thing {
	var rows []*thing
	for _, says := range []string{"2026-01-31", "2025-06-30", "2999-12-31", ""} {
		t := dated(rng, token, "guest."+token, policyEnded, time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC))
		if t.age.says = says; says == "" || says > "2900" {
			t.age.made = time.Time{}
		}
		rows = append(rows, t)
	}
	return rows
}

// bulkRows are those that policyBraked is about.
func bulkRows(rng *rand.Rand, token string, now time.Time) []*thing {
	var rows []*thing
	for range mostRows/2 + 1 + rng.IntN(3) {
		rows = append(rows, dated(rng, token, "bulk."+token, policyBraked, now.Add(-30*time.Hour)))
	}
	return append(rows, dated(rng, token, "bulk."+token, policyBraked, now.Add(-time.Minute)))
}

// linking are entities: of one row that goes and one that stays, and of one that
// goes alone. They say no time, and are never meant themselves.
func linking(rng *rand.Rand, token string, rows []*thing) []*thing {
	old, young := rows[0].id, ""
	for _, t := range rows {
		if t.place == "memories" && t.age.made.IsZero() {
			young = t.id
		}
	}
	var all []*thing
	for _, links := range [][]string{{old, young}, {old}} {
		all = append(all, &thing{place: "entities", id: newID(rng), user: "kept." + token, links: links, secret: token + newToken(rng)})
	}
	return all
}

// heldUser is whose rows are held.
func heldUser(token string) string { return "held." + token }

// lateOnes are old memories that are still to be written.
func lateOnes(rng *rand.Rand, token, user string, n int) []*thing {
	var rows []*thing
	for range n {
		t := dated(rng, token, user, policyOld, time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC))
		t.late, t.age.held = &lateness{}, user == heldUser(token)
		rows = append(rows, t)
	}
	return rows
}

// tell puts what a row says of its run and its age into its payload.
func (a *aging) tell(payload map[string]any) {
	payload["run_id"] = runOf(a.policy)
	delete(payload, "createdAt")
	switch {
	case a.says == "":
	case a.policy == policyEnded:
		payload["expiration_date"] = a.says
	default:
		payload["createdAt"] = a.says
	}
}

// session is the scope of a message, and when it was made.
func (t *thing) session() (scope, made string) {
	if t.age == nil {
		return tables.FormatScope("", "", t.user), "2026-11-22"
	}
	return tables.FormatScope("", runOf(t.age.policy), t.user), t.age.says
}

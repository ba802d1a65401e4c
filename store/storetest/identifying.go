package storetest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"lethe/store"
)

func identifiersAreAll(c contract) {
	c.sweepable()
	s, ok := c.s.(store.Identifying)
	if !ok {
		c.Skip("the store lists no identifiers")
	}
	rng := rand.New(rand.NewPCG(8, 2))
	some := func(values ...string) string { return append(values, "")[rng.IntN(len(values)+1)] }
	made := slices.Sorted(maps.Keys(times()))
	var world []Record
	for i := range 80 {
		world = append(world, Record{
			ID: "m" + itoa(i), UserID: some("alice", "Alice", "a&b=c", "42", "zo\u00eb", "zoe\u0308"), AgentID: some("bot", "bot "), AppID: some("app"),
			RunID: some("run-1", "run-2"), Text: "t" + itoa(i), Created: made[rng.IntN(len(made))], Message: i%4 == 0,
		})
	}
	c.add(world...)
	got := make(map[store.Field]store.Identifier)
	for id, err := range s.Identifiers(c.ctx) {
		if err != nil {
			c.Fatal(err)
		}
		if _, twice := got[id.Field]; twice {
			c.Errorf("a %s is listed twice", id.Name)
		}
		got[id.Field] = id
	}
	want := make(map[store.Field]bool)
	for _, r := range world {
		for _, f := range r.identity() {
			want[f] = true
		}
	}
	for f := range got {
		if !want[f] {
			c.Errorf("a %s is listed that no row has", f.Name)
		}
	}
	for f := range want {
		c.identifier(f, got[f], world)
	}
	c.listed(want)
}

// identifier compares what is said of an identifier with Find and with the records.
func (c contract) identifier(f store.Field, got store.Identifier, world []Record) {
	c.Helper()
	sel := f.Selector()
	if rows := len(c.find(sel)); got.Rows != rows {
		c.Errorf("%s %q: %d rows, find yields %d", f.Name, f.Value, got.Rows, rows)
	}
	if !c.reaches("memories", store.Selector{CreatedBefore: noon()}) {
		return
	}
	var oldest, newest time.Time
	for _, r := range world {
		at := times()[r.Created]
		if at.IsZero() || !r.selects(sel) {
			continue
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
		if at.After(newest) {
			newest = at
		}
	}
	if !got.Oldest.Equal(oldest) || !got.Newest.Equal(newest) || got.Undated > got.Rows {
		c.Errorf("%s %q: %v to %v, want %v to %v; %d of %d undated", f.Name, f.Value, got.Oldest, got.Newest, oldest, newest, got.Undated, got.Rows)
	}
}

package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
)

// Matching implements store.Matcher.
func (m *Memory) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	if err := sel.Validate(); err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	if err := m.enter(ctx, Matching, ids); err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var held []store.ID
	for _, id := range ids {
		r, there := m.rows[id]
		matches := there && !sel.ByID() && m.selects(r, sel)
		if sel.Orphaned {
			matches = slices.Contains(m.orphans(), id)
		}
		if sel.ByID() {
			matches = id.Place == "memories" && m.left(id) && slices.Contains(sel.IDs, id.Key)
		}
		if matches && !slices.Contains(held, id) {
			held = append(held, id)
		}
	}
	return held, nil
}

// selects reports whether sel, which lists no IDs, selects a row.
func (m *Memory) selects(r row, sel store.Selector) bool {
	return m.means(r, sel) && r.record.age(sel) == oldEnough
}

// means is selects without regard to the row's age.
func (m *Memory) means(r row, sel store.Selector) bool {
	return (r.id.Place != "messages" || session(sel)) && r.record.selects(sel) && !sel.Orphaned
}

// matching asks which of ids are held, or skips the promise.
func (c contract) matching(sel store.Selector, ids []store.ID) []store.ID {
	c.Helper()
	m, ok := c.s.(store.Matcher)
	if !ok {
		c.Skip("the store is asked with Find")
	}
	var all []store.ID
	for batch := range slices.Chunk(ids, store.MaxBatch) {
		held, err := m.Matching(c.ctx, sel, batch)
		if err != nil {
			c.Fatalf("matching: %v", err)
		}
		all = append(all, held...)
	}
	return all
}

// matchingEqualsFind compares the two for random people, rows and batches.
func matchingEqualsFind(c contract) {
	c.matching(store.Selector{UserID: "nobody"}, nil)
	rng := rand.New(rand.NewPCG(6, 3))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	users := []string{"alice", "Alice", "a_b", "axb", "a%b", "alic", "alice ", "07", "7"}
	some := func(v string) string {
		if rng.IntN(2) == 0 {
			return ""
		}
		return v
	}
	value := func() store.Value {
		n, _ := store.NumberValue("7")
		return []store.Value{store.StringValue("7"), n, store.BoolValue(true), store.StringValue("true")}[rng.IntN(4)]
	}
	var world []Record
	for i := range 90 {
		r := Record{
			ID: "m" + itoa(i), UserID: pick(users...), AgentID: some(pick("bot", "Bot", "b_t")), RunID: some("run-" + itoa(rng.IntN(3))),
			Text: "text " + itoa(i), Message: rng.IntN(3) == 0,
		}
		if rng.IntN(2) == 0 {
			r.Metadata = map[string]store.Value{pick("tier", "Tier"): value()}
		}
		world = append(world, r)
	}
	c.add(world...)
	var all []store.ID
	for _, u := range users {
		all = append(all, c.find(store.Selector{UserID: u})...)
	}
	c.erase(all[:len(all)/10]) // some are gone when they are asked for
	for i := range 60 {
		sel := store.Selector{UserID: some(pick(users...)), AgentID: some(pick("bot", "Bot", "b_t")), RunID: some("run-" + itoa(rng.IntN(3)))}
		if rng.IntN(3) == 0 {
			sel.Metadata = map[string]store.Value{pick("tier", "Tier"): value()}
		}
		if sel.Validate() != nil {
			sel = store.Selector{IDs: []string{"nobody's", "m" + itoa(rng.IntN(90)), "M1", world[rng.IntN(90)].ID, all[rng.IntN(len(all))].Key}}
		}
		var ids []store.ID
		for _, id := range all {
			if rng.IntN(3) > 0 {
				ids = append(ids, id)
			}
		}
		rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		found := c.find(sel)
		var want []store.ID
		for _, id := range ids {
			if slices.Contains(found, id) {
				want = append(want, id)
			}
		}
		var got []store.ID
		for _, id := range c.matching(sel, ids) {
			if !c.gathers(id) || slices.Contains(want, id) {
				got = append(got, id)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			c.Fatalf("selector %d: of %d ids (-find +matching)\n%s", i, len(ids), diff)
		}
	}
}

// gathers reports whether id stands for all memories of somebody.
func (c contract) gathers(id store.ID) bool {
	g, ok := c.fix.(Gatherer)
	return ok && g.Gathers() == id.Place
}

// whatLinksIsHeld holds a row that would lose its links with the rows it links to.
func whatLinksIsHeld(c contract) {
	c.add(of("alice", 9)...)
	ids := c.find(store.Selector{UserID: "alice"})
	i := slices.IndexFunc(ids, func(id store.ID) bool { return id.Place == "entities" && !c.gathers(id) })
	if i < 0 {
		c.Skip("nothing links to memories here")
	}
	entity := store.Selector{IDs: []string{ids[i].Key}}
	held := c.matching(entity, ids)
	if !slices.Contains(held, ids[i]) || len(held) < 2 {
		c.Errorf("%d ids are held with an entity that memories are linked from", len(held))
	}
	before := c.rows()
	c.erase(slices.DeleteFunc(slices.Clone(ids), func(id store.ID) bool { return slices.Contains(held, id) }))
	if !slices.Contains(c.find(entity), ids[i]) {
		c.Error("the entity is gone")
	}
	kept := 0
	for name, text := range c.rows() {
		if before[name] == text {
			kept++
		}
	}
	if left := len(c.rows()); kept != left {
		c.Errorf("of %d rows that are left, %d have changed", left, left-kept)
	}
}

// matchingChangesNothing and refuses what Erase refuses.
func matchingChangesNothing(c contract) {
	c.add(of("alice", 9)...)
	before := c.rows()
	c.matching(store.Selector{UserID: "alice"}, c.find(store.Selector{UserID: "alice"}))
	if diff := cmp.Diff(before, c.rows()); diff != "" {
		c.Errorf("rows changed:\n%s", diff)
	}
	m := c.s.(store.Matcher)
	for name, ask := range map[string]func() error{
		"no selector": func() error { _, err := m.Matching(c.ctx, store.Selector{}, nil); return err },
		"an unknown place": func() error {
			_, err := m.Matching(c.ctx, store.Selector{UserID: "alice"}, []store.ID{{Place: "nowhere", Key: "1"}})
			return err
		},
		"too many": func() error {
			_, err := m.Matching(c.ctx, store.Selector{UserID: "alice"}, make([]store.ID, store.MaxBatch+1))
			return err
		},
	} {
		if ask() == nil {
			c.Errorf("%s: no error", name)
		}
	}
}

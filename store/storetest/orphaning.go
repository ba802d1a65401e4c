package storetest

import (
	"bytes"
	"strings"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
)

func orphansAreFoundAndNothingElse(c contract) {
	c.sweepable()
	c.add(of("alice", 9)...)
	c.add(of("bob", 9)...)
	sel := store.Selector{Orphaned: true}
	if got := c.find(sel); len(got) > 0 {
		c.Fatalf("%d orphans in a store that has none", len(got))
	}
	const ghost = "SECRET-ghost"
	for _, memory := range []string{"gone", "gone", "gone too", "back"} {
		c.history(memory, ghost+" of "+memory)
	}
	want := []string{"back", "gone", "gone too"}
	if diff := cmp.Diff(want, c.memories(sel)); diff != "" {
		c.Fatalf("orphans: (-want +got)\n%s", diff)
	}
	ids := c.find(sel)
	if len(ids) != len(want) {
		c.Errorf("%d ids, want %d", len(ids), len(want))
	}
	c.agrees(sel)
	census, err := c.s.Count(c.ctx, sel.Only())
	if err != nil || census.Unattributable != 0 || rowsBelow(census) < 4 {
		c.Errorf("%d rows hang on what is gone and %d on nobody's, error %v", rowsBelow(census), census.Unattributable, err)
	}
	if census, err = c.s.Count(c.ctx, store.Selector{UserID: "alice"}.Only()); err != nil || census.Unattributable == 0 {
		c.Errorf("without being asked for none is unattributable, error %v", err)
	}
	c.add(Record{ID: "back", UserID: "carol", Text: "I am back"})
	before := c.rows()
	receipt, err := c.s.Erase(store.WithStill(c.ctx, sel), append(ids, store.ID{Place: "memories", Key: "alice-a-0"}))
	if err != nil || receipt.Count(store.Erased) != 2 || receipt.Count(store.Kept) != 2 {
		c.Fatalf("receipt %s, error %v; want two erased and two kept", receipt, err)
	}
	after := c.rows()
	for name, text := range before {
		if after[name] != text && !strings.Contains(text, ghost) {
			c.Errorf("row %s has changed", name)
		}
	}
	if got := c.memories(sel); len(got) > 0 {
		c.Errorf("left: %q", got)
	}
	c.forgot(ghost + " of gone")
}

func rowsBelow(census store.Census) int {
	n := 0
	for _, p := range census.Places {
		if p.With != "" {
			n += p.Found
		}
	}
	return n
}

// forgot looks for a text in the rows and, of a store that can purge, in the files.
func (c contract) forgot(text string) {
	c.Helper()
	for name, row := range c.rows() {
		if strings.Contains(row, text) {
			c.Errorf("row %s is left", name)
		}
	}
	p, ok := c.s.(store.Purger)
	if !ok {
		return
	}
	if err := p.Purge(c.ctx); err != nil {
		c.Fatal(err)
	}
	all, err := c.fix.Bytes(c.ctx)
	if n := bytes.Count(all, []byte(text)); err != nil || n > 0 {
		c.Errorf("%d copies left in the files, error %v", n, err)
	}
}

package storetest

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
)

func eraseIsIdempotent(c contract) {
	c.add(of("alice", 10)...)
	ids := c.find(store.Selector{UserID: "alice"})
	if got := c.erase(ids).Count(store.Erased); got != len(ids) {
		c.Errorf("first: erased %d, want %d", got, len(ids))
	}
	rows := c.rows()
	if got := c.erase(ids).Count(store.Absent); got != len(ids) {
		c.Errorf("again: absent %d, want %d", got, len(ids))
	}
	if diff := cmp.Diff(rows, c.rows()); diff != "" {
		c.Errorf("the second erase changed rows:\n%s", diff)
	}
	if r := c.erase(nil); len(r) != 0 {
		c.Errorf("an empty batch has a receipt of %d", len(r))
	}
}

func keysAreExact(c contract) {
	keys := []string{"k1", "K1", "k1 ", " k1", "k_1", "k%1", "07", "7", "7.0", "'k1'", `"k1"`, "k,1", "[1]", "zo\u00eb", "zoe\u0308", "m/k1"}
	for _, k := range keys {
		c.add(Record{ID: k, UserID: "u", Text: "t", Entities: []string{"thing"}})
	}
	for i, k := range keys {
		id := []store.ID{{Place: "memories", Key: k}}
		if r := c.erase(id); r[0] != store.Erased {
			c.Errorf("key %q: outcome %c", k, r[0])
		}
		if left := c.remaining(id); len(left) > 0 {
			c.Errorf("key %q: remaining", k)
		}
		if got, want := len(c.memories(store.Selector{UserID: "u"})), len(keys)-i-1; got != want {
			c.Errorf("key %q: %d memories left, want %d", k, got, want)
		}
	}
}

func othersAreUntouched(c contract) {
	c.add(of("alice", 40)...)
	c.add(of("bob", 40)...)
	want := c.rows()
	for name, text := range want {
		if strings.Contains(text, marker) {
			delete(want, name)
		}
	}
	ids := c.find(store.Selector{UserID: "alice"})
	c.erase(ids)
	if diff := cmp.Diff(want, c.rows()); diff != "" {
		c.Errorf("rows: (-want +got)\n%s", diff)
	}
	if p, ok := c.s.(store.Purger); ok {
		if err := p.Purge(c.ctx); err != nil {
			c.Fatal(err)
		}
		if diff := cmp.Diff(want, c.rows()); diff != "" {
			c.Errorf("rows after purge: (-want +got)\n%s", diff)
		}
	}
}

func historyWrittenLaterGoesToo(c contract) {
	c.add(of("alice", 3)...)
	c.add(of("bob", 3)...)
	ids := c.find(store.Selector{UserID: "alice"})
	c.history("alice-a-0", marker+" later")
	if c.erase(ids).Count(store.Erased) != len(ids) {
		c.Error("not all erased")
	}
	for name, text := range c.rows() {
		if strings.Contains(text, marker) {
			c.Errorf("row %s is still there", name)
		}
	}
	c.history("alice-b-1", marker+" after erasure")
	late := store.ID{Place: "memories", Key: "alice-b-1"}
	if left := c.remaining(ids); !slices.Contains(left, late) || len(left) != 1 {
		c.Errorf("%d remaining, want the one with new history", len(left))
	}
	if r := c.erase([]store.ID{late}); r[0] != store.Erased {
		c.Errorf("outcome %c, want erased", r[0])
	}
	if left := c.remaining(ids); len(left) > 0 {
		c.Errorf("%d remaining at the end", len(left))
	}
}

func remainingSeesWhatEraseMissed(c contract) {
	records := of("alice", 12)
	c.add(records...)
	ids := c.find(store.Selector{UserID: "alice"})
	if left := c.remaining(ids); !slices.Equal(left, ids) {
		c.Errorf("before: %d remaining, want all %d, in order", len(left), len(ids))
	}
	c.erase(ids)
	if left := c.remaining(ids); len(left) > 0 {
		c.Errorf("after: %d remaining", len(left))
	}
	back := records[5]
	back.Entities, back.Message = nil, false
	c.add(back) // as if the erasure had not reached it
	want := []store.ID{{Place: "memories", Key: back.ID}}
	if left := c.remaining(ids); !slices.Equal(left, want) {
		c.Errorf("one back: %d remaining, want that one", len(left))
	}
}

func concurrentErasesAgree(c contract) {
	c.add(of("alice", 300)...)
	c.add(of("bob", 50)...)
	ids := c.find(store.Selector{UserID: "alice"})
	var wg sync.WaitGroup
	receipts := make([]store.Receipt, 4)
	for i := range receipts {
		wg.Go(func() {
			for {
				r, err := c.s.Erase(c.ctx, ids)
				if err == nil {
					receipts[i] = r
					return
				}
			}
		})
	}
	wg.Wait()
	erased := 0
	for _, r := range receipts {
		erased += r.Count(store.Erased)
		if r.Count(store.Erased)+r.Count(store.Absent) != len(ids) {
			c.Error("a receipt has other outcomes than erased and absent")
		}
	}
	if erased != len(ids) {
		c.Errorf("erased %d times, want each of %d ids once", erased, len(ids))
	}
	if left := c.memories(store.Selector{UserID: "bob"}); len(left) != 50 {
		c.Errorf("bob has %d memories, want 50", len(left))
	}
}

func leavesNoCopy(c contract) {
	p, ok := c.s.(store.Purger)
	if !ok {
		c.Skip("not a Purger")
	}
	c.add(of("bob", 60)...)
	c.add(of("alice", 200)...)
	c.add(of("carol", 60)...)
	c.erase(c.find(store.Selector{UserID: "alice"}))
	if err := p.Purge(c.ctx); err != nil {
		c.Fatal(err)
	}
	all, err := c.fix.Bytes(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	if n := bytes.Count(all, []byte(marker)); n > 0 {
		c.Errorf("%d copies left in the files", n)
	}
	if !bytes.Contains(all, []byte("SECRET-bob")) {
		c.Error("bob's are gone too, or the fixture looks at the wrong files")
	}
	if err := p.Purge(c.ctx); err != nil {
		c.Errorf("a second purge: %v", err)
	}
}

func checkFindsNoProblem(c contract) {
	k, ok := c.s.(store.Checker)
	if !ok {
		c.Skip("not a Checker")
	}
	findings, err := k.Check(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	if len(findings) == 0 {
		c.Error("no findings at all")
	}
	for _, f := range findings {
		// What is unmapped and no problem, such as another schema, has a note.
		if f.Problem != "" || f.Place == "" && f.Waived == "" && f.Note == "" {
			c.Errorf("table %s column %s: problem %q", f.Table, f.Column, f.Problem)
		}
	}
}

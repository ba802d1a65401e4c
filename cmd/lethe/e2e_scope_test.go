package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0"
)

// without returns the rows that do not have the mark, and how many do.
func without(rows map[string]string, mark string) (rest map[string]string, n int) {
	rest = map[string]string{}
	for name, text := range rows {
		if strings.Contains(text, mark) {
			n++
			continue
		}
		rest[name] = text
	}
	return rest, n
}

// TestEverySizeIsErased has sizes around the limit of a batch.
func TestEverySizeIsErased(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sizes := []int{0, 1, 999, 1000, 1001, 2500}
	mems := map[int]mem0.SQLiteConfig{}
	rests := map[int]map[string]string{}
	marked := map[int]int{}
	var stores []StoreConfig
	for _, n := range sizes {
		name := fmt.Sprintf("s%d", n)
		mems[n] = newMem0(t, filepath.Join(dir, name), slices.Collect(mem0.Sample("bob", 30))...)
		write(t, mems[n], slices.Collect(mem0.Sample("alice", n))...)
		rests[n], marked[n] = without(rowsOf(t, mems[n]), "alice")
		stores = append(stores, configured(name, mems[n]))
	}
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, stores...), nil)
	ids := map[int]string{}
	for _, n := range sizes {
		ids[n] = r.forget("alice", fmt.Sprintf("s%d", n))
	}
	for _, n := range sizes {
		c := r.completed(ids[n]).Stores[0]
		found := marked[n] - n // every row but the history, which goes with its memory
		if c.Found != found || c.Erased != found || c.Requested != found || c.Rounds != 1 || c.Batches != (found+999)/1000 {
			t.Errorf("size %d: %s, %d batches; want %d", n, said(c), c.Batches, found)
		}
	}
	r.stop()
	for _, n := range sizes {
		if diff := cmp.Diff(rests[n], rowsOf(t, mems[n])); diff != "" {
			t.Errorf("size %d: the rest of the world (-before +after)\n%s", n, diff)
		}
	}
}

// TestExplicitIDsOfEverySize asks for memories by their IDs, over HTTP.
func TestExplicitIDsOfEverySize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all []mem0.Memory
	for m := range mem0.Sample("alice", 2600) {
		m.ID, m.Entities, m.Message = fmt.Sprintf("id-%04d", len(all)), nil, false
		all = append(all, m)
	}
	mem := newMem0(t, filepath.Join(dir, "mem0"), all...)
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("mem0", mem)), nil)
	next := 0
	for _, c := range []struct{ n, absent int }{{1, 0}, {1001, 3}, {1500, 1}, {0, 2}} {
		var ids []string
		for ; len(ids) < c.n; next++ {
			ids = append(ids, all[next].ID)
		}
		for i := range c.absent {
			ids = append(ids, fmt.Sprintf("absent-%d", i))
		}
		ids = append(ids, ids[0]) // one twice
		id := r.submit(api.Submission{Selector: store.Selector{IDs: ids}})
		want := fmt.Sprintf("requested %d found %d erased %d absent %d unattributable 0 rounds 1 purged", c.n+c.absent, c.n, c.n, c.absent)
		if got := said(r.completed(id).Stores[0]); got != want {
			t.Errorf("certificate: %s\nwant %s", got, want)
		}
	}
	r.stop()
	left := 0
	for name := range rowsOf(t, mem) {
		if strings.HasPrefix(name, "vector_store.db vectors id-") {
			left++
		}
	}
	if left != len(all)-next {
		t.Errorf("%d memories left, want %d", left, len(all)-next)
	}
}

// TestNeighboursAreNotTouched erases each of many users with names alike, in a
// store of its own, and wants every row of all the others as it was.
func TestNeighboursAreNotTouched(t *testing.T) {
	t.Parallel()
	users := []string{
		"alice", "Alice", "ALICE", "alice2", "alic", "alice ", " alice", "a_b", "axb", "a%b", "a'b", `a"b`, `a\b`, "a;b", "a=b", "a&b",
		"alice@example.com", "Alice@example.com", "alice@example.co", "jos\u00e9", "jose\u0301", "jose", "7", "07", "7.0", "null", "true", "[]", "{}",
		"user_id=alice", "alice&user_id=bob", "İ", "i̇", "ſ", "s", "\u200balice",
	}
	mark := func(i int) string { return fmt.Sprintf("mark-%d.", i) }
	var memories []mem0.Memory
	for i, u := range users {
		for k := range 2 {
			m := mem0.Memory{ID: fmt.Sprintf("m%d-%d", i, k), UserID: u, Text: "a text " + mark(i), Metadata: map[string]any{"n": k}}
			if k == 0 {
				m.Message, m.Entities = true, []string{"a thing " + mark(i)}
			}
			memories = append(memories, m)
		}
	}
	dir := t.TempDir()
	var stores []StoreConfig
	var mems []mem0.SQLiteConfig
	for i := range users {
		name := fmt.Sprintf("s%d", i)
		mems = append(mems, newMem0(t, filepath.Join(dir, name), memories...))
		stores = append(stores, configured(name, mems[i]))
	}
	rests := make([]map[string]string, len(users))
	for i := range users {
		var n int
		if rests[i], n = without(rowsOf(t, mems[i]), mark(i)); n != 6 {
			t.Fatalf("user %d has %d rows, want 6", i, n)
		}
	}
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, stores...), nil)
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = r.forget(u, fmt.Sprintf("s%d", i))
	}
	for i, u := range users {
		if c := r.completed(ids[i]).Stores[0]; c.Erased != 4 || c.Found != 4 {
			t.Errorf("%q: %s, want 4", u, said(c))
		}
	}
	r.stop()
	for i, u := range users {
		if diff := cmp.Diff(rests[i], rowsOf(t, mems[i])); diff != "" {
			t.Errorf("%q: the others (-before +after)\n%s", u, diff)
		}
	}
}

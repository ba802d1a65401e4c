package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// conversations are three memories of alice, two of what an assistant said about
// her, an older one that her first has replaced, and one of bob.
func conversations() *storetest.Memory {
	all := people(3, "alice")
	return storetest.NewMemory(append(all,
		storetest.Record{ID: "said-0", AgentID: "bot", About: "alice", Text: "likes tea"},
		storetest.Record{ID: "said-1", AgentID: "bot", About: "alice", Text: "likes coffee"},
		storetest.Record{ID: "older", AgentID: "bot", About: "alice-0000", Text: "liked milk"},
		storetest.Record{ID: "bob-0000", UserID: "bob", Text: "a text"},
	)...)
}

// codes are what a certificate says was not reached.
func codes(c *proof.Completed) (list []string) {
	for _, x := range c.Exclusions {
		list = append(list, x.Code+" of "+x.Store)
	}
	return list
}

// TestWhatIsRelatedIsErasedIfTheRequestSaysSo, and is counted and named if not.
func TestWhatIsRelatedIsErasedIfTheRequestSaysSo(t *testing.T) {
	t.Parallel()
	alice := jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}}
	for _, c := range []struct {
		name    string
		ids     []string
		related bool
		want    string
		left    string
	}{
		{"by name", nil, false, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged", "bob-0000 older said-0 said-1"},
		{"by name, related", nil, true, "requested 5 found 5 erased 5 absent 0 batches 1 rounds 1 purged", "bob-0000 older"},
		{"by ID", []string{"alice-0000", "nobody"}, false, "requested 2 found 1 erased 1 absent 1 batches 1 rounds 1 purged", "alice-0001 alice-0002 bob-0000 older said-0 said-1"},
		{"by ID, related", []string{"alice-0000", "nobody"}, true, "requested 3 found 2 erased 2 absent 1 batches 1 rounds 1 purged", "alice-0001 alice-0002 bob-0000 said-0 said-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m", "other")
			m := conversations()
			s := alice
			if c.ids != nil {
				st, err := h.intake.Stage(t.Context())
				if err == nil {
					err = st.Add(t.Context(), c.ids)
				}
				if err != nil {
					t.Fatal(err)
				}
				s.Selector, s.Staged = store.Selector{}, st
			}
			s.Related, s.Stores = c.related, []string{"m"}
			plan, err := (&worker.Surveyor{Stores: []*worker.Store{kept("m", m)}}).Plan(t.Context(), s)
			about := map[bool]int{true: 1, false: 2}[c.ids != nil]
			if err != nil || plan.Stores[0].Related != about {
				t.Errorf("the dry run says %d related, want %d; error %v", plan.Stores[0].Related, about, err)
			}
			id := h.submit(s)
			for range 20 { // every task is another process's
				if e := h.eraser(kept("m", m)); !h.turn(e) {
					h.clock.add(time.Minute)
					h.reconcile()
				}
				h.restart()
			}
			h.wantCounts(id, c.want)
			j := h.request(id).Jobs[0]
			if h.request(id).Related != c.related || j.Related != about {
				t.Errorf("the request says related %t, its job %d; want %t, %d", h.request(id).Related, j.Related, c.related, about)
			}
			if got := slices.Contains(codes(h.completed(id)), "related-rows of m"); got == c.related {
				t.Errorf("exclusions %v", codes(h.completed(id)))
			}
			var left []string
			for name := range rows(t, m) {
				if key, ok := strings.CutPrefix(name, "memories/"); ok {
					left = append(left, key)
				}
			}
			slices.Sort(left)
			if got := strings.Join(left, " "); got != c.left {
				t.Errorf("left are %s\nwant %s", got, c.left)
			}
		})
	}
}

// TestRelatedReachesEveryPieceOfALongList of IDs, which a store gets in pieces.
func TestRelatedReachesEveryPieceOfALongList(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	all := people(2300, "alice")
	var ids []string
	for i := range all {
		ids = append(ids, all[i].ID)
	}
	for _, of := range []int{0, 1500, 2299} {
		all = append(all, storetest.Record{ID: fmt.Sprint("older-", of), About: ids[of], Text: "older"})
	}
	m := storetest.NewMemory(all...)
	st, err := h.intake.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(ids, store.MaxBatch) {
		if err := st.Add(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	id := h.submit(jobs.Submission{By: jobs.ActorLocal, Staged: st, Related: true})
	h.finish(h.eraser(kept("m", m)), id)
	h.wantCounts(id, "requested 2303 found 2303 erased 2303 absent 0 batches 3 rounds 1 purged")
	if m.Len() != 0 || h.request(id).Jobs[0].Related != 3 {
		t.Errorf("%d rows are left, %d were related", m.Len(), h.request(id).Jobs[0].Related)
	}
}

// TestRelatedRowsThatComeLaterAreErasedOrNamedToo.
func TestRelatedRowsThatComeLaterAreErasedOrNamedToo(t *testing.T) {
	t.Parallel()
	for _, related := range []bool{true, false} {
		t.Run(fmt.Sprint(related), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "m")
			m := storetest.NewMemory(people(3, "alice")...)
			m.Set(func(f *storetest.Faults) {
				f.Arrive = []storetest.Record{{ID: "said-late", AgentID: "bot", About: "alice", Text: "likes tea"}}
			})
			id := h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}, Related: related})
			h.finish(h.eraser(kept("m", m)), id)
			c := h.completed(id)
			if gone := m.Len() == 0; gone != related || slices.Contains(codes(c), "related-rows of m") == related {
				t.Errorf("gone: %t, exclusions %v, %s", gone, codes(c), counts(c.Stores[0]))
			}
		})
	}
}

// TestAStoreThatKeepsMoreIsErasedAtMost: it is never called verified, nor purged
// though it could purge; and the ledger takes no certificate that does not say
// what it keeps.
func TestAStoreThatKeepsMoreIsErasedAtMost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m", "n")
	m, n := storetest.NewMemory(people(3, "alice")...), storetest.NewMemory(people(2, "alice")...)
	atMost := kept("m", m)
	atMost.AtMost = store.EvidenceErased
	id := h.forget("alice")
	e := h.eraser(atMost, kept("n", n))
	for range 20 {
		if !h.turn(e) {
			h.clock.add(time.Minute)
			h.reconcile()
		}
		for _, j := range h.request(id).Jobs {
			if j.Store == "m" && (j.Evidence == store.EvidenceVerified || j.Evidence == store.EvidencePurged || j.PurgedAt != nil) {
				t.Fatalf("stage %s: evidence %s", j.Stage, j.Evidence)
			}
		}
	}
	h.wantNoCertificate(id) // residue is not named: an operator's mistake must not be certified
	if m.Len()+n.Len() != 0 {
		t.Errorf("%d rows are left", m.Len()+n.Len())
	}
	atMost.Exclusions = []jobs.Exclusion{{Code: proof.ExcludesResidue + "history"}}
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 erased", "requested 2 found 2 erased 2 absent 0 batches 1 rounds 1 purged")
	if got := codes(h.completed(id)); !slices.Equal(got, []string{"residue-history of m", "wal of m"}) {
		t.Errorf("exclusions %v", got)
	}
	if m.Calls(storetest.Purge) != 0 {
		t.Error("it was purged")
	}
}

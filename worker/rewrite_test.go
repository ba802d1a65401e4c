package worker_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
)

// A dim store rewrites its tables, and cannot look into their files.
type dim struct{ *storetest.Memory }

func (d dim) Purge(ctx ctx) error {
	if err := d.Memory.Purge(ctx); err != nil {
		return err
	}
	return fmt.Errorf("purge: %w: GRANT more", store.ErrUnseen)
}

func TestACertificateSaysWhatARewriteHasShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "seen", "unseen")
	seen, unseen := kept("seen", storetest.NewMemory(people(2, "alice")...)), kept("unseen", dim{storetest.NewMemory(people(2, "alice")...)})
	seen.Rewrites, unseen.Rewrites = true, true
	id := h.forget("alice")
	e := h.eraser(seen, unseen)
	h.finish(e, id)
	c := h.completed(id)
	var got []string
	for _, s := range c.Stores {
		got = append(got, s.Name+" "+s.Evidence+" "+s.Method)
	}
	want := []string{"seen purged remaining+find+rewrite", "unseen verified remaining+find+rewrite-unseen"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stores (-want +got)\n%s", diff)
	}
	wal := proof.Exclusions{{Code: proof.ExcludesWAL, Store: "seen"}, {Code: proof.ExcludesWAL, Store: "unseen"}}
	if diff := cmp.Diff(wal, c.Exclusions); diff != "" {
		t.Errorf("exclusions (-want +got)\n%s", diff)
	}
	for i, j := range h.request(id).Jobs {
		if j.Stage != jobs.StageDone || (j.PurgedAt != nil) != (i == 0) {
			t.Errorf("%s: stage %s, purged at %v", j.Store, j.Stage, j.PurgedAt)
		}
	}
}

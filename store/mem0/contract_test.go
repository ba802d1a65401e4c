package mem0_test

import (
	"bytes"
	"testing"

	"lethe/store"
	"lethe/store/mem0"
	"lethe/store/storetest"
)

func TestSQLiteKeepsTheContract(t *testing.T) {
	for _, v := range variants() {
		if v.paths {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Fixture { return v.open(t) })
		})
	}
}

// TestOtherPathsToTheSameFiles erases through links and a file named twice.
func TestOtherPathsToTheSameFiles(t *testing.T) {
	for _, v := range variants() {
		if !v.paths {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			f := v.open(t)
			for _, user := range []string{"alice", "bob"} {
				if err := mem0.WriteSQLite(t.Context(), f.config, mem0.Sample(user, 50)); err != nil {
					t.Fatal(err)
				}
			}
			ids := find(t, f.s, store.Selector{UserID: "alice"})
			if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != len(ids) || len(ids) < 50 {
				t.Errorf("erased %d of %d, error %v", r.Count(store.Erased), len(ids), err)
			}
			if err := f.s.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, err := f.Bytes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(all, []byte("alice")) || !bytes.Contains(all, []byte("bob")) {
				t.Error("alice is left, or bob is not")
			}
		})
	}
}

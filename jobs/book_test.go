package jobs_test

import (
	"path/filepath"
	"testing"
	"time"

	"lethe/audit/keyfile"
	"lethe/jobs"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
)

var clock = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newIntake returns the book over a real ledger, with two stores.
func newIntake(t *testing.T) (*jobs.Intake, *ledger.Ledger) {
	t.Helper()
	dir := t.TempDir()
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.Open(filepath.Join(dir, "log.key"), "log.example/lethe")
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return clock }
	l, err := ledger.Open(t.Context(), ledger.Options{Dir: filepath.Join(dir, "data"), Keys: keys, Origin: key.Origin, Signer: key.Signer, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &jobs.Intake{
		Ledger: l, Keys: keys, KeepKey: 24 * time.Hour, Now: now,
		Stores: []jobs.StoreName{{Name: "memories", Kind: "mem0-sqlite"}, {Name: "notes", Kind: "tables-sqlite"}},
	}, l
}

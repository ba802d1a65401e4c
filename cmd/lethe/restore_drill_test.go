package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit"
	"lethe/store/mem0"
)

// The worst day but one: the ledger is lost, though not the keys, and the store was put
// back as well. Who was erased before the ledger's backup is known by the ledger, who was
// erased after it by the log; both are erased again, and nobody else.
func TestDrillPutsTheLedgerBackAndErasesAgainWhatTheStoreBroughtBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, memories, kept, mirror := filepath.Join(dir, "data"), filepath.Join(dir, "m"), filepath.Join(dir, "kept"), filepath.Join(dir, "mirror")
	var list []mem0.Memory
	for i, name := range []string{"canary-alice", "canary-bob", "canary-carol"} {
		list = append(list, mem0.Memory{ID: "5b0c3a52-7d1f-4f0e-9a51-00000000000" + string(rune('1'+i)), UserID: name, Text: name + " likes tea", Created: new("2026-01-02T03:04:05Z")})
	}
	files := newMem0(t, memories, list...)
	if err := os.CopyFS(kept, os.DirFS(memories)); err != nil {
		t.Fatal(err)
	}
	c := configFor(data, queueEmbedded, configured("assistant", files))
	r := start(t, c, nil)
	alice := r.forget("canary-alice")
	r.completed(alice)
	file := backedUp(t, data)
	r.completed(r.forget("canary-bob"))
	if status, _, talk := lethe(t, "log", "export", mirror, "--data", data); status != 0 {
		t.Fatal(talk)
	}
	r.stop()

	text, err := os.ReadFile(file)
	for _, old := range []string{ledgerFile, ledgerFile + "-wal", ledgerFile + "-shm"} {
		_ = os.Remove(filepath.Join(data, old))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(data, ledgerFile), text, 0o600), os.RemoveAll(memories), os.CopyFS(memories, os.DirFS(kept)))
	if err != nil {
		t.Fatal(err)
	}
	if n := rowsAbout(t, files, "canary-alice") * rowsAbout(t, files, "canary-bob"); n == 0 {
		t.Fatal("the store has brought nobody back")
	}
	if refusal := refusalAt(t, c); !errors.Is(refusal, audit.ErrBehind) {
		t.Errorf("refusal = %v, want log.head to tell", refusal)
	}
	if status, lost, talk := lethe(t, "log", "import", mirror, "--data", data); status != 0 || lost != "" {
		t.Fatalf("status %d: %s%s", status, lost, talk)
	}
	r = start(t, c, nil)
	carol := rowsAbout(t, files, "canary-carol")
	if status, out, talk := lethe(t, "replay", "--store", "assistant", "--wait", "--server", r.s.URL()); status != 0 {
		t.Fatalf("status %d: %s%s", status, out, talk)
	}
	for _, name := range []string{"canary-alice", "canary-bob"} {
		if n := rowsAbout(t, files, name); n > 0 {
			t.Errorf("%d rows of %s are back, and stay", n, name)
		}
	}
	if n := rowsAbout(t, files, "canary-carol"); n != carol || n == 0 {
		t.Errorf("%d rows of somebody else, before %d", n, carol)
	}
	if _, err := r.client.Reissued(t.Context(), alice, false); err != nil {
		t.Error(err)
	}
}

func rowsAbout(t *testing.T, c mem0.SQLiteConfig, name string) (n int) {
	t.Helper()
	for _, row := range rowsOf(t, c) {
		if strings.Contains(row, name) {
			n++
		}
	}
	return n
}

// refusalAt opens a ledger as its service would, and returns what its log says.
func refusalAt(t *testing.T, c Config) error {
	t.Helper()
	s, err := openService(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.ledger.Refusal(t.Context())
}

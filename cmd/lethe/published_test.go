package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"
)

// newLog returns a log with n entries, as kept in a database and as published.
func newLog(t *testing.T, n int) (*audit.Log, *publishedLog) {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	db, err := sqlx.Open("sqlite3", "file:"+filepath.Join(dir, "l.db")+"?_synchronous=FULL&_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	key, err := keyfile.Open(filepath.Join(dir, logKeyFile), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Migrate(ctx, db); err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(ctx, db, audit.Options{Signers: []audit.Signer{{Name: key.Origin, Key: key.Signer}}, Verifier: key.Verifier, Origin: key.Origin})
	if err != nil {
		t.Fatal(err)
	}
	appendEntries(t, db, l, n)
	server := httptest.NewServer(l.Handler())
	t.Cleanup(server.Close)
	keys, err := proof.ParseKeys([]byte(key.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	return l, &publishedLog{fetch: publishedAt(ctx)(server.URL + "/log"), keys: keys}
}

// What is kept as a pin is what was checked, whatever the server says next.
func TestACommandSeesOneHead(t *testing.T) {
	_, older := newLog(t, 3)
	_, newer := newLog(t, 5)
	before, err := older.fetch("checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	p := readPublished(func(path string) ([]byte, error) {
		if asked++; asked == 1 && path == "checkpoint" {
			return before, nil
		}
		return newer.fetch(path)
	}, newer.keys)
	head, err := p.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report, err := p.Check(t.Context()); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("the head of another log would be kept, after a check of %d entries: %q", report.Size, head)
	}
}

func appendEntries(t *testing.T, db *sqlx.DB, l *audit.Log, n int) {
	t.Helper()
	tx, err := db.BeginTxx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	entries := make([]proof.Entry, n)
	for i := range entries {
		entries[i] = &proof.SubjectKeyDestroyed{RequestID: uuid.Must(uuid.NewV7()).String(), DestroyedAt: proof.At(time.Now())}
	}
	if _, err := l.Append(t.Context(), tx, entries...); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestPublishedLogIsReadAsTheKeptOne(t *testing.T) {
	for _, n := range []int{1, 255, 256, 257, 700} {
		kept, published := newLog(t, n)
		want, err := kept.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := published.Check(t.Context())
		if err != nil || got.Size != want.Size || got.Root != want.Root {
			t.Errorf("%d entries: Check = size %d root %s, %v, want size %d root %s", n, got.Size, got.Root, err, want.Size, want.Root)
		}
		a, errA := kept.Tail(t.Context(), 300)
		b, errB := published.Tail(t.Context(), 300)
		if errA != nil || errB != nil || len(a) != len(b) || len(a) != min(n, 300) {
			t.Fatalf("%d entries: Tail = %d, %v, want %d, %v", n, len(b), errB, len(a), errA)
		}
		for i := range a {
			if a[i].Index != b[i].Index || a[i].Entry.ID() != b[i].Entry.ID() {
				t.Errorf("%d entries: line %d differs", n, i)
			}
		}
	}
}

func TestChangedBundleOfAPublishedLogIsRefused(t *testing.T) {
	_, honest := newLog(t, 300)
	dir := t.TempDir()
	if err := honest.Export(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tile", "entries", "000")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(text) - 60; i < len(text); i++ { // within the last entry of the bundle
		if text[i] >= '0' && text[i] <= '8' {
			text[i]++
			break
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	changed := &publishedLog{fetch: folder(dir), keys: honest.keys}
	if _, err := changed.Check(t.Context()); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("Check = %v, want it refused", err)
	}
	if _, err := changed.Tail(t.Context(), 50); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("Tail = %v, want it refused", err)
	}
	if _, err := changed.Tail(t.Context(), 10); err != nil {
		t.Errorf("Tail of the bundle that was not changed: %v", err)
	}
}

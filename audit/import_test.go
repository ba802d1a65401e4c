package audit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
)

// mirror exports a log and reads the export.
func mirror(t testing.TB, l *ledger) proof.Fetch {
	t.Helper()
	dir := t.TempDir()
	if err := l.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, path)) }
}

// rolledBack returns a log of n entries that was put back to a copy of its
// first, with an anchor that keeps its last head.
func rolledBack(t testing.TB, first, n int) (lost, back *ledger, anchor *shelf) {
	t.Helper()
	lost = newLedger(t)
	grow(t, lost, 0, first)
	old := lost.backup(t)
	grow(t, lost, first, n)
	anchor = &shelf{name: "a"}
	anchor.keep(t, lost)
	return lost, lost.restored(t, old, anchor), anchor
}

func TestImportBringsBack(t *testing.T) {
	for _, sizes := range [][2]int{{0, 1}, {2, 4}, {2, 700}, {256, 512}, {300, 301}} {
		lost, back, anchor := rolledBack(t, sizes[0], sizes[1])
		var told []string
		in := audit.Import{Fetch: mirror(t, lost), Write: back.commit, Each: func(_ context.Context, tx *sqlx.Tx, x audit.Line) error {
			if tx == nil || x.Index != int64(sizes[0]+len(told)) {
				t.Errorf("told of entry %d, want %d", x.Index, sizes[0]+len(told))
			}
			told = append(told, x.Entry.ID())
			return nil
		}}
		n, err := back.Import(t.Context(), in)
		if err != nil || n != int64(sizes[1]-sizes[0]) || len(told) != int(n) || told[len(told)-1] != entryID(sizes[1]-1) {
			t.Fatalf("%v: imported %d, told of %d, %v", sizes, n, len(told), err)
		}
		if _, err := back.Check(t.Context()); err != nil {
			t.Error(err)
		}
		want, got := anchor.kept(), []byte(nil)
		if got, err = back.Checkpoint(t.Context()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: the head is not the one that was signed then: %s", sizes, cmp.Diff(string(want), string(got)))
		}
		n, err = back.Import(t.Context(), in) // twice is harmless
		if err != nil || n != 0 {
			t.Errorf("%v: again: imported %d, %v", sizes, n, err)
		}
		appends(t, back)
		if err := lost.CheckPin(t.Context(), want); err != nil {
			t.Error(err)
		}
	}
}

func TestImportNeverSigns(t *testing.T) {
	lost, back, anchor := rolledBack(t, 2, 9)
	var err error
	back.Log, err = audit.Open(t.Context(), back.read, audit.Options{Verifier: back.key.Verifier, Origin: back.key.Origin, Anchors: []audit.Anchor{anchor}})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := back.Import(t.Context(), audit.Import{Fetch: mirror(t, lost), Write: back.commit}); err != nil || n != 7 {
		t.Errorf("imported %d, %v without a key", n, err)
	}
	if err := back.Refusal(); err != nil {
		t.Error(err)
	}
}

func TestImportBelievesNoMirror(t *testing.T) {
	lost, back, anchor := rolledBack(t, 2, 700)
	sound := mirror(t, lost)
	changed := func(path string, change func([]byte) []byte) proof.Fetch {
		return func(p string) ([]byte, error) {
			b, err := sound(p)
			if p == path {
				b = change(b)
			}
			return b, err
		}
	}
	short := lost.restored(t, back.backup(t))
	grow(t, short, 2, 10)
	fork := lost.restored(t, back.backup(t))
	grow(t, fork, 5000, 6000)
	otherPast := newLedger(t)
	otherPast.key = lost.key
	otherPast = ledgerAt(t, filepath.Join(t.TempDir(), "x.db"), lost.key)
	grow(t, otherPast, 1, 1000)
	otherLog := newLedger(t)
	grow(t, otherLog, 0, 700)
	for name, tt := range map[string]struct {
		fetch proof.Fetch
		want  error
		text  string
	}{
		"a changed body": {changed("tile/entries/001", func(b []byte) []byte {
			return bytes.Replace(b, []byte("2026"), []byte("2025"), 1)
		}), proof.ErrNotVerified, "do not give the root"},
		"two entries swapped": {changed("tile/entries/001", func(b []byte) []byte {
			n := 2 + binary.BigEndian.Uint16(b)
			m := n + 2 + binary.BigEndian.Uint16(b[n:])
			return bytes.Join([][]byte{b[n:m], b[:n], b[m:]}, nil)
		}), proof.ErrNotVerified, "do not give the root"},
		"what is no entry": {changed("tile/entries/001", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"kind"`), []byte(`"kinb"`), 1)
		}), proof.ErrNotVerified, "entry 256"},
		"a bundle cut short": {changed("tile/entries/001", func(b []byte) []byte { return b[:len(b)-1] }), proof.ErrNotVerified, "cut short"},
		"a bundle that is gone": {func(p string) ([]byte, error) {
			if strings.HasPrefix(p, "tile/entries/001") {
				return nil, os.ErrNotExist
			}
			return sound(p)
		}, os.ErrNotExist, "read the copy's entries"},
		"a changed tile": {changed("tile/0/000", func(b []byte) []byte { b[33] ^= 1; return b }), proof.ErrNotVerified, ""},
		"an edited head": {changed("checkpoint", func(b []byte) []byte {
			return bytes.Replace(b, []byte("\n700\n"), []byte("\n701\n"), 1)
		}), proof.ErrNotVerified, "the copy's head"},
		"another log":         {mirror(t, otherLog), proof.ErrNotVerified, "the copy's head"},
		"behind the pin":      {mirror(t, short), audit.ErrBehind, "the head kept at a has 700 entries, the copy 10: entries 10 to 699 are still missing"},
		"a fork, ahead":       {mirror(t, fork), proof.ErrDiverged, "the head kept at a"},
		"another past, ahead": {mirror(t, otherPast), proof.ErrDiverged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := back.Import(t.Context(), audit.Import{Fetch: tt.fetch, Write: back.commit, Each: func(_ context.Context, _ *sqlx.Tx, x audit.Line) error {
				if x.Index < 3 { // once says it
					t.Error("somebody is told of entries that no head vouches for")
				}
				return nil
			}})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("err = %v\nwant %v with %q", err, tt.want, tt.text)
			}
			refuses(t, back, audit.ErrBehind, "entries 2 to 699 are missing")
			if r, err := back.Check(t.Context()); err != nil || r.Size != 2 {
				t.Errorf("the database has changed: size %d, %v", r.Size, err)
			}
		})
	}
	anchor.fail(errors.New("no route"))
	if _, err := back.Import(t.Context(), audit.Import{Fetch: sound, Write: back.commit}); !errors.Is(err, audit.ErrUnread) {
		t.Errorf("with an anchor that cannot be read: %v", err)
	}
}

// Without an anchor only the database itself contradicts the mirror.
func TestImportIntoAnotherPastIsRefused(t *testing.T) {
	lost := newLedger(t)
	grow(t, lost, 0, 2)
	old := lost.backup(t)
	grow(t, lost, 2, 30)
	back := lost.restored(t, old)
	grow(t, back, 100, 103)
	_, err := back.Import(t.Context(), audit.Import{Fetch: mirror(t, lost), Write: back.commit})
	if !errors.Is(err, proof.ErrDiverged) || !strings.Contains(err.Error(), "the database") {
		t.Errorf("err = %v, want ErrDiverged", err)
	}
}

func TestImportThatIsNotFollowedChangesNothing(t *testing.T) {
	lost, back, _ := rolledBack(t, 2, 9)
	sick := errors.New("the ledger does not follow")
	_, err := back.Import(t.Context(), audit.Import{Fetch: mirror(t, lost), Write: back.commit, Each: func(_ context.Context, _ *sqlx.Tx, x audit.Line) error {
		if x.Index == 5 {
			return sick
		}
		return nil
	}})
	if size, _ := back.Size(t.Context()); !errors.Is(err, sick) || size != 2 {
		t.Errorf("size %d, %v", size, err)
	}
}

func TestImportMendsNoBrokenDatabase(t *testing.T) {
	lost, back, _ := rolledBack(t, 7, 9)
	back.tamper(t, `UPDATE audit_hash SET h = zeroblob(32) WHERE id = 4`)
	_, err := back.Import(t.Context(), audit.Import{Fetch: mirror(t, lost), Write: back.commit})
	if size, _ := back.Size(t.Context()); !errors.Is(err, audit.ErrBroken) || size != 7 {
		t.Errorf("size %d, err = %v, want 7 and ErrBroken", size, err)
	}
}

func TestExportSpoilsNoCopyThatHasMore(t *testing.T) {
	lost, back, _ := rolledBack(t, 2, 9)
	dir := t.TempDir()
	if err := lost.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Export(t.Context(), dir); !errors.Is(err, audit.ErrBehind) {
		t.Errorf("err = %v, want ErrBehind", err)
	}
	if is, err := os.ReadFile(filepath.Join(dir, "checkpoint")); err != nil || !bytes.Equal(is, was) {
		t.Errorf("the copy's head has changed, %v", err)
	}
}

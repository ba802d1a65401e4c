package audit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

func TestCheckOfASoundLog(t *testing.T) {
	l := newLedger(t)
	for _, n := range []int{0, 1, 2, 3, 255, 256, 257, 2100} {
		have, err := l.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := int(have); i < n; {
			var entries []proof.Entry
			for range min(n-i, 150) {
				entries = append(entries, entry(i))
				i++
			}
			if _, err := l.add(entries...); err != nil {
				t.Fatal(err)
			}
		}
		r, err := l.Check(t.Context())
		if err != nil || r.Size != int64(n) || r.Kinds[proof.KindSubjectKeyDestroyed] != n {
			t.Errorf("size %d, kinds %v, %v, want %d", r.Size, r.Kinds, err, n)
		}
		h, err := l.Head(t.Context())
		if err != nil || h.Root != r.Root {
			t.Errorf("root %v, want %v, %v", r.Root, h.Root, err)
		}
		if _, err := l.open(t.Context()); err != nil {
			t.Errorf("size %d: %v", n, err)
		}
	}
}

func TestTamperingIsFound(t *testing.T) {
	const swap = `UPDATE audit_entry SET idx = -1, entry_id = 'x' WHERE idx = 20; UPDATE audit_entry SET idx = 20 WHERE idx = 21; UPDATE audit_entry SET idx = 21 WHERE idx = -1`
	rows := map[string]string{
		"a body":                   `UPDATE audit_entry SET body = CAST(replace(CAST(body AS TEXT), '2026', '2025') AS BLOB) WHERE idx = 20`,
		"an entry's ID":            `UPDATE audit_entry SET entry_id = 'x' WHERE idx = 20`,
		"an entry gone":            `DELETE FROM audit_entry WHERE idx = 20`,
		"the last entry gone":      `DELETE FROM audit_entry WHERE idx = 29`,
		"an entry too many":        `INSERT INTO audit_entry SELECT 30, 'x', body FROM audit_entry WHERE idx = 1`,
		"two entries swapped":      swap,
		"a leaf hash":              `UPDATE audit_hash SET h = zeroblob(32) WHERE id = 0`,
		"an interior hash":         `UPDATE audit_hash SET h = zeroblob(32) WHERE id = 2`,
		"the last hash":            `UPDATE audit_hash SET h = zeroblob(32) WHERE id = (SELECT max(id) FROM audit_hash)`,
		"a hash gone":              `DELETE FROM audit_hash WHERE id = 5`,
		"a hash too many":          `INSERT INTO audit_hash VALUES (1000, zeroblob(32))`,
		"a head's root":            `UPDATE audit_checkpoint SET root = zeroblob(32) WHERE size = 30`,
		"an old head's root":       `UPDATE audit_checkpoint SET root = zeroblob(32) WHERE size = 3`,
		"a head's note":            `UPDATE audit_checkpoint SET note = (SELECT note FROM audit_checkpoint WHERE size = 3) WHERE size = 30`,
		"a head's signature":       `UPDATE audit_checkpoint SET note = CAST(replace(CAST(note AS TEXT), 'A', 'B') AS BLOB) WHERE size = 30`,
		"the newest head gone":     `DELETE FROM audit_checkpoint WHERE size = 30`,
		"every head gone":          `DELETE FROM audit_checkpoint`,
		"a head too many":          `INSERT INTO audit_checkpoint SELECT 2, root, note, at FROM audit_checkpoint WHERE size = 30`,
		"a head of what never was": `INSERT INTO audit_checkpoint SELECT 99, root, note, at FROM audit_checkpoint WHERE size = 30`,
		"everything gone":          `DELETE FROM audit_entry; DELETE FROM audit_hash`,
	}
	opens := map[string]bool{"an old head's root": true, "a head too many": true, "an entry's ID": true} // what only Check reads
	sound := newLedger(t)
	sound.fill(t, 30)
	for name, statement := range rows {
		l := sound.restored(t, sound.backup(t))
		l.tamper(t, statement)
		r, err := l.Check(t.Context())
		if !errors.Is(err, audit.ErrBroken) || len(r.Problems) == 0 {
			t.Errorf("%s: Check says %v, want ErrBroken", name, err)
		}
		again, err := l.open(t.Context())
		if err != nil {
			t.Fatalf("%s: cannot be opened for reading: %v", name, err)
		}
		if err := again.Refusal(); errors.Is(err, audit.ErrBroken) == opens[name] {
			t.Errorf("%s: Open says %v", name, err)
		}
	}
}

func TestAFalseHeadIsFoundThoughWellSigned(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 30)
	root := bytes.Repeat([]byte{1}, 32)
	signer, err := proof.NewSigner(l.Origin(), l.key.Signer)
	if err != nil {
		t.Fatal(err)
	}
	text, err := note.Sign(&note.Note{Text: proof.FormatHead(l.Origin(), 2, [32]byte(root))}, signer)
	if err != nil {
		t.Fatal(err)
	}
	l.tamper(t)
	if _, err := l.write.Exec(l.write.Rebind(`INSERT INTO audit_checkpoint VALUES (2, ?, ?, 0)`), root, text); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Check(t.Context()); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("Check says %v, want ErrBroken", err)
	}
	if err := l.CheckPin(t.Context(), text); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("CheckPin says %v, want ErrDiverged", err)
	}
}

func TestNothingIsSignedOnABrokenLog(t *testing.T) {
	for _, statement := range []string{
		`DELETE FROM audit_entry WHERE idx = 29`,
		`UPDATE audit_hash SET h = zeroblob(32) WHERE id = (SELECT max(id) FROM audit_hash)`,
		`DELETE FROM audit_checkpoint WHERE size = 30`,
		`UPDATE audit_checkpoint SET root = zeroblob(32) WHERE size = 30`,
	} {
		l := newLedger(t)
		l.fill(t, 30)
		l.tamper(t, statement)
		if _, err := l.add(entry(30)); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: Append says %v, want ErrBroken", statement, err)
		}
	}
}

func TestPinsFindARestoredDatabase(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 20)
	pin, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := l.Certificate(t.Context(), entryID(19))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.CheckPin(t.Context(), pin), l.CheckPin(t.Context(), cert)); err != nil {
		t.Errorf("at once: %v", err)
	}
	// The same database as it was at 10, which then takes another way.
	old := newLedger(t)
	old.key = l.key
	if old.Log, err = old.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	old.fill(t, 10)
	if err := old.CheckPin(t.Context(), pin); !errors.Is(err, audit.ErrBehind) {
		t.Errorf("rolled back: err = %v, want ErrBehind", err)
	}
	for i := range 15 {
		if _, err := old.add(entry(500 + i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := old.Check(t.Context()); err != nil {
		t.Errorf("the fork is sound in itself: %v", err)
	}
	if err := old.CheckPin(t.Context(), pin); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("forked: err = %v, want ErrDiverged", err)
	}
	fork, err := old.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Consistent(t.Context(), fork, pin); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("two heads: err = %v, want ErrDiverged", err)
	}
	l.fill(t, 0)
	for i := range 30 {
		if _, err := l.add(entry(100 + i)); err != nil {
			t.Fatal(err)
		}
	}
	now, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.CheckPin(t.Context(), pin), l.Consistent(t.Context(), cert, now), l.Consistent(t.Context(), now, pin)); err != nil {
		t.Errorf("grown: %v", err)
	}
	path, err := l.ConsistencyProof(t.Context(), 20, 50)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(l.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	a, errA := proof.OpenHead(pin, keys)
	b, errB := proof.OpenHead(now, keys)
	if err := errors.Join(errA, errB, proof.Consistent(a, b, path)); err != nil {
		t.Error(err)
	}
	if err := l.CheckPin(t.Context(), []byte(strings.Replace(string(pin), "20", "21", 1))); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("a forged pin: err = %v, want ErrNotVerified", err)
	}
	// A log whose stored hashes are wrong accuses nobody.
	l.tamper(t, `UPDATE audit_hash SET h = zeroblob(32) WHERE id < 50`)
	if err := l.CheckPin(t.Context(), pin); !errors.Is(err, audit.ErrBroken) || errors.Is(err, proof.ErrDiverged) {
		t.Errorf("broken: err = %v, want ErrBroken", err)
	}
}

package proof_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// fork returns a log that has the entries of l up to at, and others from there.
func (l *tree) fork(t testing.TB, at, size int) *tree {
	t.Helper()
	var f tree
	for i := range size {
		if i < at {
			f.append(t, l.bodies[i])
			continue
		}
		e := keyDestroyed()
		e.DestroyedAt += proof.Time(1_000_000 + i)
		f.append(t, encode(t, e))
	}
	return &f
}

// evidence is that of the heads of two trees.
func evidence(t testing.TB, policy *proof.Policy, small, large *tree, m, n int, signer note.Signer) *proof.Evidence {
	t.Helper()
	e, err := proof.NewEvidence(open(t, small.checkpoint(t, m, signer), policy), open(t, large.checkpoint(t, n, signer), policy), large)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEvidenceOfAForkProvesItself(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	policy := parseKeys(t, vkey)
	const most = 26
	l := newTree(t, most)
	f := l.fork(t, 0, most)
	for n := 1; n <= most; n++ {
		for m := 1; m <= n; m++ {
			if raceEnabled && (3*m+n)%7 > 0 {
				continue
			}
			text := evidence(t, policy, f, l, m, n, signer).Text()
			heads, err := proof.VerifyEvidence(text, policy)
			if err != nil || heads[0].Size != int64(m) || heads[1].Size != int64(n) {
				t.Fatalf("sizes %d and %d: %v, %v", m, n, heads, err)
			}
			again, err := proof.ParseEvidence(text)
			if err != nil || !bytes.Equal(again.Text(), text) {
				t.Fatalf("sizes %d and %d: read again: %v", m, n, err)
			}
			// The same log is no fork of itself.
			text = evidence(t, policy, l, l, m, n, signer).Text()
			if _, err := proof.VerifyEvidence(text, policy); !errors.Is(err, proof.ErrNotVerified) || errors.Is(err, proof.ErrDiverged) {
				t.Fatalf("sizes %d and %d of one log: err = %v, want ErrNotVerified", m, n, err)
			}
		}
	}
}

func TestEvidenceIsMadeWhereForksAreFound(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	policy := parseKeys(t, vkey)
	l := newTree(t, 600)
	f := l.fork(t, 299, 600)
	heads := func(l *tree, n int) proof.Head { return open(t, l.checkpoint(t, n, signer), policy) }
	for _, row := range []struct{ m, n int }{{300, 600}, {512, 600}, {256, 256}, {1, 600}, {600, 600}, {300, 300}, {299, 600}, {300, 301}} {
		for _, swap := range []bool{false, true} {
			a, b := heads(f, row.m), heads(l, row.n)
			if swap {
				a, b = b, a
			}
			err := proof.ConsistentByTiles(a, b, l.fetch(t, row.n, signer))
			e := proof.EvidenceOf(err)
			if forked := row.m >= 300; forked != (e != nil) || forked != errors.Is(err, proof.ErrDiverged) {
				t.Errorf("sizes %d and %d: %v, evidence %v", row.m, row.n, err, e)
			}
			if e == nil {
				continue
			}
			if _, err := proof.VerifyEvidence(e.Text(), policy); err != nil {
				t.Errorf("sizes %d and %d: %v", row.m, row.n, err)
			}
		}
	}
	if e := proof.EvidenceOf(proof.ErrDiverged); e != nil {
		t.Errorf("evidence of nothing: %v", e)
	}
}

func TestForgedEvidenceIsRefused(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	stranger, _ := newKey(t, 2, origin)
	elsewhere, otherKey := newKey(t, 3, "log.example/other")
	policy := parseKeys(t, vkey, otherKey)
	l := newTree(t, 20)
	f := l.fork(t, 5, 20)
	good := evidence(t, policy, f, l, 11, 20, signer)
	same := evidence(t, policy, f, l, 20, 20, signer)
	if _, err := proof.VerifyEvidence(good.Text(), policy); err != nil {
		t.Fatal(err)
	}
	change := func(of *proof.Evidence, f func(*proof.Evidence)) []byte {
		e := proof.Evidence{Hashes: append([]tlog.Hash(nil), of.Hashes...), Heads: of.Heads}
		f(&e)
		return e.Text()
	}
	// Hashes that give a wrong root of size 11 but not the signed one of 20.
	invented := evidence(t, policy, l, f, 11, 20, signer)
	for name, text := range map[string][]byte{
		"empty":              nil,
		"header only":        []byte("lethe/fork-evidence@v1\n"),
		"other version":      bytes.Replace(good.Text(), []byte("@v1"), []byte("@v2"), 1),
		"one hash changed":   change(good, func(e *proof.Evidence) { e.Hashes[0][0]++ }),
		"last hash changed":  change(good, func(e *proof.Evidence) { e.Hashes[len(e.Hashes)-1][0]++ }),
		"hash dropped":       change(good, func(e *proof.Evidence) { e.Hashes = e.Hashes[1:] }),
		"hash added":         change(good, func(e *proof.Evidence) { e.Hashes = append(e.Hashes, tlog.Hash{}) }),
		"hash added below":   change(good, func(e *proof.Evidence) { e.Hashes = append([]tlog.Hash{{}}, e.Hashes...) }),
		"hash added within":  change(good, func(e *proof.Evidence) { e.Hashes = slices.Insert(e.Hashes, 1, tlog.Hash{}) }),
		"no hashes":          change(good, func(e *proof.Evidence) { e.Hashes = nil }),
		"too many hashes":    change(good, func(e *proof.Evidence) { e.Hashes = make([]tlog.Hash, 100) }),
		"other hashes":       change(good, func(e *proof.Evidence) { e.Hashes = invented.Hashes }),
		"heads swapped":      change(good, func(e *proof.Evidence) { e.Heads[0], e.Heads[1] = e.Heads[1], e.Heads[0] }),
		"one head twice":     change(same, func(e *proof.Evidence) { e.Heads[0] = e.Heads[1] }),
		"of one size, moved": change(same, func(e *proof.Evidence) { e.Heads[0], e.Heads[1] = e.Heads[1], e.Heads[0] }),
		"hashes of one size": change(same, func(e *proof.Evidence) { e.Hashes = good.Hashes }),
		"a stranger's head":  change(good, func(e *proof.Evidence) { e.Heads[0] = f.checkpoint(t, 11, stranger) }),
		"another log's head": change(good, func(e *proof.Evidence) { e.Heads[0] = f.checkpoint(t, 11, elsewhere) }),
		"an honest head":     change(good, func(e *proof.Evidence) { e.Heads[0] = l.checkpoint(t, 11, signer) }),
		"size 0":             change(good, func(e *proof.Evidence) { e.Heads[0] = sign(t, proof.FormatHead(origin, 0, tlog.Hash{1}), signer) }),
		"two of size 0": change(same, func(e *proof.Evidence) {
			for i := range e.Heads {
				e.Heads[i] = sign(t, proof.FormatHead(origin, 0, tlog.Hash{byte(i)}), signer)
			}
		}),
		"an unsigned head": change(good, func(e *proof.Evidence) { e.Heads[0] = []byte(headText(t, f, 11) + "\n") }),
		"a certificate":    change(good, func(e *proof.Evidence) { e.Heads[0] = l.certificate(t, 3, 11, signer).Text() }),
		"CRLF":             bytes.ReplaceAll(good.Text(), []byte("\n"), []byte("\r\n")),
		"trailing newline": append(good.Text(), '\n'),
		"trailing bytes":   append(good.Text(), "x\n"...),
		"no final newline": bytes.TrimSuffix(good.Text(), []byte("\n")),
		"a third head":     append(append(good.Text(), '\n'), l.checkpoint(t, 20, signer)...),
	} {
		if heads, err := proof.VerifyEvidence(text, policy); !errors.Is(err, proof.ErrNotVerified) || errors.Is(err, proof.ErrDiverged) {
			t.Errorf("%s: %v, %v, want ErrNotVerified", name, heads, err)
		}
	}
	text := good.Text()
	for i := range text {
		if raceEnabled && i%4 > 0 {
			continue
		}
		forged := bytes.Clone(text)
		forged[i] ^= 1 << (i % 7)
		if _, err := proof.VerifyEvidence(forged, policy); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("byte %d (%q) changed: err = %v", i, text[i], err)
		}
	}
}

func TestEvidenceOverwritesNothing(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	policy := parseKeys(t, vkey)
	l := newTree(t, 20)
	f := l.fork(t, 5, 20)
	dir := t.TempDir()
	first, second := evidence(t, policy, f, l, 11, 20, signer), evidence(t, policy, f, l, 11, 19, signer)
	for _, row := range []struct {
		e    *proof.Evidence
		name string
	}{
		{first, "fork-log.example-lethe-11.evidence"},
		{second, "fork-log.example-lethe-11-2.evidence"},
		{first, "fork-log.example-lethe-11.evidence"}, // it is there already
		{second, "fork-log.example-lethe-11-2.evidence"},
	} {
		path, err := row.e.Save(dir)
		if err != nil || path != filepath.Join(dir, row.name) {
			t.Fatalf("%s, %v, want %s", path, err, row.name)
		}
		if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, row.e.Text()) {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%v, %v, want two files", files, err)
	}
	if path, err := first.Save(filepath.Join(dir, "missing")); err == nil {
		t.Errorf("saved in a folder that is not there: %s", path)
	}
	// An origin may have slashes and dots, but the file stays in its folder.
	climber, cKey := newKey(t, 1, "../../"+strings.Repeat("x", 200))
	path, err := evidence(t, parseKeys(t, cKey), f, l, 20, 20, climber).Save(dir)
	if err != nil || filepath.Dir(path) != dir || len(filepath.Base(path)) > 160 {
		t.Errorf("%s, %v", path, err)
	}
}

func FuzzParseEvidence(f *testing.F) {
	signer, vkey := newKey(f, 1, origin)
	policy := parseKeys(f, vkey)
	l := newTree(f, 20)
	other := l.fork(f, 5, 20)
	f.Add(evidence(f, policy, other, l, 11, 20, signer).Text())
	f.Add(evidence(f, policy, other, l, 8, 20, signer).Text())
	f.Add(evidence(f, policy, other, l, 20, 20, signer).Text())
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := proof.ParseEvidence(text)
		if err == nil && !bytes.Equal(e.Text(), text) {
			t.Fatalf("accepted %q, writes %q", text, e.Text())
		}
		if err != nil && !errors.Is(err, proof.ErrNotVerified) {
			t.Fatalf("err = %v, want ErrNotVerified", err)
		}
		if heads, err := proof.VerifyEvidence(text, policy); err == nil && heads[0].Root == heads[1].Root {
			t.Fatalf("evidence of nothing: %q", text)
		}
	})
}

func FuzzOpenHead(f *testing.F) {
	signer, vkey := newKey(f, 1, origin)
	w, wKey := newWitness(f, 100, "witness.example/w", noon)
	policy := parsePolicy(f, "log "+vkey+"\nwitness w "+wKey+"\nquorum w\n")
	l := newTree(f, 9)
	f.Add(l.checkpoint(f, 9, signer))
	f.Add(l.checkpoint(f, 9, signer, newClock(f, 1, noon), w))
	f.Add(l.certificate(f, 3, 9, signer, w).Text())
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := proof.OpenHead(text, policy)
		if err != nil {
			if !errors.Is(err, proof.ErrNotVerified) {
				t.Fatalf("err = %v, want ErrNotVerified", err)
			}
			return
		}
		if !bytes.HasSuffix(text, h.Note) || !bytes.HasPrefix(h.Note, []byte(proof.FormatHead(h.Origin, h.Size, h.Root)+"\n")) {
			t.Fatalf("accepted %q as %+v", text, h)
		}
	})
}

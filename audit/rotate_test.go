package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

// newKey makes a key of the ledger's log.
func newKey(t testing.TB) *keyfile.Key {
	t.Helper()
	k, err := keyfile.Open(filepath.Join(t.TempDir(), "k"), "log.example/lethe")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signer(k *keyfile.Key) audit.Signer { return audit.Signer{Name: k.Origin, Key: k.Signer} }

// restart opens the log anew, with keys to sign with, of which the first is
// believed.
func (l *ledger) restart(t testing.TB, keys ...*keyfile.Key) {
	t.Helper()
	o := audit.Options{Verifier: keys[0].Verifier, Origin: keys[0].Origin, Now: clock, Anchors: l.anchors, AnchorWait: 100 * time.Millisecond}
	for _, k := range keys {
		o.Signers = append(o.Signers, signer(k))
	}
	var err error
	if l.Log, err = audit.Open(t.Context(), l.read, o); err != nil {
		t.Fatal(err)
	}
}

// reader opens the log for reading alone.
func (l *ledger) reader(t testing.TB, verifiers string) (*audit.Log, error) {
	t.Helper()
	return audit.Open(t.Context(), l.read, audit.Options{Verifier: verifiers, Origin: l.key.Origin})
}

func (l *ledger) mustAdd(t testing.TB, entries ...proof.Entry) {
	t.Helper()
	if _, err := l.add(entries...); err != nil {
		t.Fatal(err)
	}
}

func (l *ledger) announce(t testing.TB, next *keyfile.Key) {
	t.Helper()
	if err := l.Rotate(t.Context(), l.commit, signer(next), time.Hour); err != nil {
		t.Fatal(err)
	}
}

func (l *ledger) retire(t testing.TB) {
	t.Helper()
	if err := l.Retire(t.Context(), l.commit); err != nil {
		t.Fatal(err)
	}
}

func (l *ledger) keyList(t testing.TB) string {
	t.Helper()
	text, err := l.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// verifies reports whether a certificate verifies under verifier keys.
func verifies(t testing.TB, text []byte, verifiers string) bool {
	t.Helper()
	p, err := proof.ParseKeys([]byte(verifiers))
	if err != nil {
		t.Fatal(err)
	}
	_, err = proof.Verify(text, p)
	return err == nil
}

func (l *ledger) certificate(t testing.TB, i int) []byte {
	t.Helper()
	text, err := l.Certificate(t.Context(), entryID(i))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (l *ledger) sound(t testing.TB) {
	t.Helper()
	if _, err := l.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Guard(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEachTimeOfARotationVerifiesUnderTheKeysOfIt(t *testing.T) {
	l := newLedger(t)
	old, next := l.key, newKey(t)
	l.mustAdd(t, entry(0))
	before := l.certificate(t, 0)
	l.announce(t, next)
	if r, err := l.Rotation(t.Context()); err != nil || r == nil || r.Old != old.Verifier || r.New != next.Verifier || r.Until.Sub(r.Begun) != time.Hour {
		t.Errorf("rotation %+v, %v", r, err)
	}
	if l.Verifier() != old.Verifier || l.keyList(t) != old.Verifier+"\n"+next.Verifier+"\n" {
		t.Errorf("in force %s, all\n%s", l.Verifier(), l.keyList(t))
	}
	announced, err := l.Certificate(t.Context(), (&proof.KeyRotated{NewKey: next.Verifier}).ID())
	if err != nil || !verifies(t, announced, old.Verifier) || !verifies(t, announced, next.Verifier) {
		t.Errorf("the announcement is not certified under both keys: %v", err)
	}
	l.mustAdd(t, entry(1))
	overlap := l.certificate(t, 1)
	l.retire(t)
	l.mustAdd(t, entry(2))
	after := l.certificate(t, 2)
	all := l.keyList(t)
	if l.Verifier() != next.Verifier || !strings.Contains(all, "\n#lethe:until "+strings.Join(strings.Split(old.Verifier, "+")[:2], "+")+" 3\n") {
		t.Errorf("in force %s, all\n%s", l.Verifier(), all)
	}
	for _, tt := range []struct {
		name           string
		text           []byte
		old, next, all bool
	}{
		{"before", before, true, false, true},
		{"overlap", overlap, true, true, true},
		{"after", after, false, true, true},
	} {
		if o, n, a := verifies(t, tt.text, old.Verifier), verifies(t, tt.text, next.Verifier), verifies(t, tt.text, all); o != tt.old || n != tt.next || a != tt.all {
			t.Errorf("%s: verifies under the old key %v, the new %v, all %v", tt.name, o, n, a)
		}
	}
	if !bytes.Equal(l.certificate(t, 0), before) || !bytes.Equal(l.certificate(t, 1), overlap) {
		t.Error("a certificate has other bytes after the rotation")
	}
	l.sound(t)
}

func TestARetiredKeySignsNoLargerHead(t *testing.T) {
	l := newLedger(t)
	old, next := l.key, newKey(t)
	l.mustAdd(t, entry(0))
	l.announce(t, next)
	l.retire(t)
	l.mustAdd(t, entry(1), entry(2))
	h, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := proof.NewSigner(old.Origin, old.Signer)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(size int64) []byte {
		text, err := note.Sign(&note.Note{Text: proof.FormatHead(old.Origin, size, h.Root)}, s)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, size := range []int64{3, h.Size, h.Size + 5} {
		if err := l.CheckPin(t.Context(), forge(size)); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("size %d: err = %v, want ErrNotVerified", size, err)
		}
	}
	// Of size 2 the old key signed together with the new one, of size 1 alone.
	if err := l.CheckPin(t.Context(), forge(2)); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("of the overlap, by one key: err = %v, want ErrNotVerified", err)
	}
	if err := l.CheckPin(t.Context(), forge(1)); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("of before, another root: err = %v, want ErrDiverged", err)
	}
	l.anchors = []audit.Anchor{&shelf{name: "shelf", head: forge(h.Size)}}
	l.restart(t, next)
	if err := l.Refusal(); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("refusal %v, want ErrNotVerified", err)
	}
}

func TestAHeadOfTheOverlapNeedsBothSignatures(t *testing.T) {
	for i, name := range []string{"old", "new"} {
		l := newLedger(t)
		old, next := l.key, newKey(t)
		l.mustAdd(t, entry(0))
		l.announce(t, next)
		h, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(h.Note), "\n")
		if len(lines) != 9 { // three, an empty one, four signatures and what is after the last
			t.Fatalf("head is\n%s", h.Note)
		}
		stripped := strings.Join(append(lines[:4:4], lines[4+2*i:6+2*i]...), "")
		l.tamper(t, fmt.Sprintf(`UPDATE audit_checkpoint SET note = CAST('%s' AS BLOB) WHERE size = %d`, stripped, h.Size))
		if _, err := l.Check(t.Context()); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("only the %s key: err = %v, want ErrBroken", name, err)
		}
		if err := l.CheckPin(t.Context(), []byte(stripped)); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("only the %s key: err = %v, want ErrNotVerified", name, err)
		}
		l.restart(t, old, next)
		if err := l.Refusal(); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("only the %s key: refusal %v, want ErrBroken", name, err)
		}
	}
}

func TestOnlyWhatFollowsIsSaidOfKeys(t *testing.T) {
	l := newLedger(t)
	old, next, other := l.key, newKey(t), newKey(t)
	rotated := func(from, to *keyfile.Key) proof.Entry {
		return &proof.KeyRotated{OldKey: from.Verifier, NewKey: to.Verifier, RotatedAt: proof.At(clock()), OverlapUntil: proof.At(clock())}
	}
	retired := func(k *keyfile.Key) proof.Entry {
		return &proof.KeyRetired{Key: k.Verifier, RetiredAt: proof.At(clock())}
	}
	l.mustAdd(t, entry(0))
	if err := l.Hire(signer(next), signer(other)); err != nil {
		t.Fatal(err)
	}
	refuse := func(when string, entries ...proof.Entry) {
		t.Helper()
		if _, err := l.add(entries...); !errors.Is(err, audit.ErrRotation) {
			t.Errorf("%s: err = %v, want ErrRotation", when, err)
		}
	}
	refuse("retire the only key", retired(old))
	refuse("replace a key that is not in force", rotated(other, next))
	refuse("announce and retire under one head", rotated(old, next), retired(old))
	refuse("announce twice under one head", rotated(old, next), rotated(next, other))
	l.mustAdd(t, rotated(old, next))
	refuse("a second rotation", rotated(old, other))
	refuse("a second rotation, of the new key", rotated(next, other))
	refuse("retire the new key", retired(next))
	if err := l.Rotate(t.Context(), l.commit, signer(other), 0); !errors.Is(err, audit.ErrRotation) {
		t.Errorf("err = %v, want ErrRotation", err)
	}
	if err := l.Rotate(t.Context(), l.commit, signer(next), 0); err != nil {
		t.Errorf("announced again: %v", err)
	}
	l.mustAdd(t, retired(old))
	refuse("a key that was", rotated(next, old))
	refuse("retire the only key again", retired(next))
	if size, _ := l.Size(t.Context()); size != 3 || l.Refusal() != nil {
		t.Errorf("size %d, refusal %v", size, l.Refusal())
	}
	l.sound(t)
}

func TestRotationsFollowOneAnother(t *testing.T) {
	l := newLedger(t)
	keys := []*keyfile.Key{l.key, newKey(t), newKey(t), newKey(t)}
	var texts [][]byte
	for i, k := range keys {
		if i > 0 {
			l.announce(t, k)
			l.mustAdd(t, entry(10*i))
			l.retire(t)
		}
		l.mustAdd(t, entry(i))
		texts = append(texts, l.certificate(t, i))
		l.restart(t, k)
		if l.Refusal() != nil {
			t.Fatal(l.Refusal())
		}
	}
	for i, text := range texts {
		if !verifies(t, text, l.keyList(t)) || !verifies(t, text, keys[i].Verifier) || verifies(t, text, keys[(i+1)%4].Verifier) {
			t.Errorf("the certificate of key %d does not verify under it alone", i)
		}
	}
	l.sound(t)
	// Whoever has kept any of the keys finds the others in the log.
	for i, k := range keys {
		r, err := l.reader(t, k.Verifier)
		if err != nil || r.Refusal() != nil {
			t.Fatalf("key %d: %v, %v", i, err, r.Refusal())
		}
		if text, err := r.Keys(t.Context()); err != nil || string(text) != l.keyList(t) {
			t.Errorf("key %d: %s, %v", i, text, err)
		}
	}
}

// Every append reads what the log says of its keys, so it must not read the log.
func TestKeysAreFoundWithoutWalkingTheLog(t *testing.T) {
	l := newLedger(t)
	var plan []struct {
		ID, Parent, Notused int
		Detail              string
	}
	if err := l.write.Select(&plan, `EXPLAIN QUERY PLAN `+audit.ToldSQLite, 0, int64(1)<<48); err != nil {
		t.Fatal(err)
	}
	if len(plan) == 0 || !strings.Contains(plan[0].Detail, "entry_id>? AND entry_id<?") {
		t.Errorf("the plan is %v, want a search by entry_id", plan)
	}
}

package audit_test

import (
	"errors"
	"testing"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"
)

// A database that was put back to before a rotation has heads of the old key
// alone, and the anchor one of the new key alone.
func TestALogThatLostARotationIsSucceededAndRead(t *testing.T) {
	for _, written := range []bool{false, true} { // by a Writer, which remembers what the database says
		l := newLedger(t)
		old, next := l.key, newKey(t)
		l.mustAdd(t, entry(0))
		backup := l.backup(t)
		l.announce(t, next)
		l.mustAdd(t, entry(1))
		l.retire(t)
		anchor := &shelf{name: "a"}
		anchor.keep(t, l)
		back := l.restored(t, backup)
		reopen(t, back, audit.Options{Verifier: next.Verifier + "\n" + old.Verifier, Origin: old.Origin}, next, anchor)
		if written {
			if _, err := audit.NewWriter(t.Context(), back.Log, back.write); err != nil {
				t.Fatal(err)
			}
		}
		key, h := heir(t, "log.example/2")
		if err := succeed(back, h); err != nil {
			t.Fatal(err)
		}
		second := back
		reopen(t, second, audit.Options{Verifier: key.Verifier, Origin: key.Origin, Earlier: []string{old.Verifier, next.Verifier}}, key, anchor)
		appends(t, second)
		if e, err := second.Entry(t.Context(), 0); err != nil || e.(*proof.LogSucceeded).OldKey != next.Verifier {
			t.Errorf("entry 0 is %v, %v, want the key that signed the head it names", e, err)
		}
		if text, err := second.Certificate(t.Context(), entryID(0)); err != nil || !verifies(t, text, old.Verifier) {
			t.Errorf("a certificate of the old log: %v", err)
		}
	}
}

func reopen(t *testing.T, l *ledger, o audit.Options, key *keyfile.Key, anchors ...audit.Anchor) {
	t.Helper()
	o.Signers, o.Now, o.Anchors = []audit.Signer{signer(key)}, clock, anchors
	var err error
	if l.Log, err = audit.Open(t.Context(), l.read, o); err != nil {
		t.Fatal(err)
	}
}

// The key file says that the log was succeeded, the database was put back to
// before that, and the anchor knows the heir: it must not begin a second time.
func TestAnHeirIsNotBegunTwice(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 3)
	backup := l.backup(t)
	key, next := heir(t, "log.example/2")
	if err := succeed(l, next); err != nil {
		t.Fatal(err)
	}
	second := ledgerAt(t, l.path, key)
	anchor := &shelf{name: "a"}
	anchor.keep(t, second)

	back := l.restored(t, backup, anchor)
	if err := succeed(back, next); !errors.Is(err, audit.ErrBehind) {
		t.Errorf("begun again: %v, want ErrBehind", err)
	}
	if _, err := audit.Open(t.Context(), back.read, audit.Options{Verifier: key.Verifier, Origin: key.Origin}); !errors.Is(err, audit.ErrOther) {
		t.Errorf("the heir is there: %v", err)
	}
	if _, third := heir(t, "log.example/3"); succeed(back, third) != nil {
		t.Error("a log of another origin does not begin")
	}
	if err := succeed(ledgerAt(t, l.path, l.key, anchor), next); err != nil {
		t.Errorf("where it has followed: %v", err)
	}
}

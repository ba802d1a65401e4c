package audit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lethe/audit"
)

// putBack opens the log as a backup that was put back.
func (l *ledger) putBack(t *testing.T, anchors ...audit.Anchor) *ledger {
	t.Helper()
	back := *l
	var err error
	back.Log, err = audit.Open(t.Context(), l.read, audit.Options{
		Signers: []audit.Signer{{Name: l.key.Origin, Key: l.key.Signer}}, Verifier: l.key.Verifier, Origin: l.key.Origin, Now: clock,
		Anchors: anchors, AnchorWait: time.Second, Restored: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &back
}

// The database alone cannot say that it is the newest, and neither can an anchor that
// keeps less than it has.
func TestABackupThatWasPutBackDoesNotAppendUntilSomebodyVouches(t *testing.T) {
	l := newLedger(t)
	older, same, newer, silent, empty := &shelf{name: "older"}, &shelf{name: "same"}, &shelf{name: "newer"}, &shelf{name: "silent", err: errors.New("no route")}, &shelf{name: "empty"}
	l.fill(t, 3)
	older.keep(t, l)
	short := mirror(t, l)
	grow(t, l, 3, 5)
	same.keep(t, l)
	whole := mirror(t, l)
	old := l.backup(t)
	grow(t, l, 5, 6)
	newer.keep(t, l)
	l = l.restored(t, old)
	for name, anchors := range map[string][]audit.Anchor{
		"no anchor": nil, "an anchor that keeps none": {empty}, "an anchor that keeps less": {older}, "one that vouches and one that is silent": {same, silent},
	} {
		t.Log(name)
		refuses(t, l.putBack(t, anchors...), audit.ErrRestored, "")
	}
	refuses(t, l.putBack(t, newer), audit.ErrBehind, "")

	back := l.putBack(t)
	if _, err := back.Import(t.Context(), audit.Import{Fetch: short, Write: back.commit}); !errors.Is(err, audit.ErrRestored) {
		t.Errorf("a copy that is older than the backup vouches for it: %v", err)
	}
	refuses(t, back, audit.ErrRestored, "")
	if n, err := back.Import(t.Context(), audit.Import{Fetch: whole, Write: back.commit}); err != nil || n != 0 {
		t.Errorf("a copy of the same size: %d, %v", n, err)
	}
	appends(t, back)
}

func TestAnAnchorOfTheSameSizeVouchesForABackup(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 5)
	anchor := &shelf{name: "same"}
	anchor.keep(t, l)
	appends(t, l.putBack(t, anchor))
}

// What an anchor says later is said to a process that starts then, which notes it in
// the database.
func TestABackupIsNotBelievedInPassing(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 5)
	anchor := &shelf{name: "same"}
	anchor.keep(t, l)
	anchor.fail(errors.New("no route"))
	back := l.putBack(t, anchor)
	anchor.fail(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := back.Recover(ctx, time.Millisecond); err != nil {
		t.Error(err)
	}
	refuses(t, back, audit.ErrRestored, "")
}

package audit_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"
)

// refuses makes sure that a log can be read, does not append, and says why.
func refuses(t *testing.T, l *ledger, reason error, text string) {
	t.Helper()
	err := l.Refusal()
	if !errors.Is(err, audit.ErrRefused) || !errors.Is(err, reason) || !strings.Contains(err.Error(), text) {
		t.Errorf("refusal = %v\nwant %v with %q", err, reason, text)
	}
	size, err := l.Size(t.Context())
	if err != nil {
		t.Errorf("cannot be read: %v", err)
	}
	if _, err := l.add(entry(9000)); !errors.Is(err, audit.ErrRefused) || !errors.Is(err, reason) {
		t.Errorf("append = %v, want %v", err, reason)
	}
	if after, err := l.Size(t.Context()); err != nil || after != size {
		t.Errorf("size %d, %v after a refused append, want %d", after, err, size)
	}
}

// appends makes sure that a log appends.
func appends(t *testing.T, l *ledger) {
	t.Helper()
	if err := l.Refusal(); err != nil {
		t.Errorf("refusal = %v, want none", err)
	}
	if _, err := l.add(entry(9001)); err != nil {
		t.Error(err)
	}
}

func TestGuardRefusesRollback(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 2)
	old := l.backup(t)
	if _, err := l.add(entry(2), entry(3)); err != nil {
		t.Fatal(err)
	}
	anchor := &shelf{name: "the shelf"}
	anchor.keep(t, l)
	back := l.restored(t, old, anchor)
	refuses(t, back, audit.ErrBehind, "the head kept at the shelf has 4 entries, the log 2: entries 2 to 3 are missing")
	if _, err := back.Certificate(t.Context(), entryID(1)); err != nil {
		t.Errorf("a certificate of what is still there: %v", err)
	}
	if _, err := back.Check(t.Context()); err != nil {
		t.Errorf("what is there is sound, but Check says %v", err)
	}
}

func TestPinAheadNamesMissing(t *testing.T) {
	for missing, want := range map[int]string{1: "entry 3 is missing", 2: "entries 3 to 4 are missing", 700: "entries 3 to 702 are missing"} {
		l := newLedger(t)
		l.fill(t, 3)
		old := l.backup(t)
		grow(t, l, 3, 3+missing)
		anchor := &shelf{name: "a"}
		anchor.keep(t, l)
		refuses(t, l.restored(t, old, anchor), audit.ErrBehind, want)
	}
	// All of it.
	l := newLedger(t)
	old := l.backup(t)
	l.fill(t, 3)
	anchor := &shelf{name: "a"}
	anchor.keep(t, l)
	refuses(t, l.restored(t, old, anchor), audit.ErrBehind, "has 3 entries, the log 0: entries 0 to 2 are missing")
}

func TestGuardRefusesForkedPin(t *testing.T) {
	for name, more := range map[string]int{"of the log's size": 0, "of a smaller size": 300} {
		l := newLedger(t)
		l.fill(t, 30)
		old := l.backup(t)
		if _, err := l.add(entry(30)); err != nil {
			t.Fatal(err)
		}
		anchor := &shelf{name: "the shelf"}
		anchor.keep(t, l)
		fork := l.restored(t, old) // nobody compares: it goes on
		if _, err := fork.add(entry(31)); err != nil {
			t.Fatal(err)
		}
		grow(t, fork, 100, 100+more)
		again := l.restored(t, old, anchor)
		refuses(t, again, proof.ErrDiverged, "the head kept at the shelf: ")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestGuardRefusesAPinThatIsNotTheLogs(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 3)
	stranger, err := keyfile.Open(filepath.Join(t.TempDir(), "k"), l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	other := ledgerAt(t, filepath.Join(t.TempDir(), "other.db"), stranger)
	other.fill(t, 2)
	anchor := &shelf{name: "a"}
	anchor.keep(t, other)
	refuses(t, l.restored(t, l.backup(t), anchor), proof.ErrNotVerified, "the head kept at a: ")
	anchor.head = []byte("rubbish")
	refuses(t, l.restored(t, l.backup(t), anchor), proof.ErrNotVerified, "the head kept at a: ")
}

func TestGuardNamesEveryReason(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 2)
	old := l.backup(t)
	if _, err := l.add(entry(2)); err != nil {
		t.Fatal(err)
	}
	ahead := &shelf{name: "ahead"}
	ahead.keep(t, l)
	fork := l.restored(t, old)
	if _, err := fork.add(entry(7)); err != nil {
		t.Fatal(err)
	}
	if _, err := fork.add(entry(8)); err != nil {
		t.Fatal(err)
	}
	mute := &shelf{name: "mute", err: errors.New("switched off")}
	sound := &shelf{name: "sound"}
	sound.keep(t, fork)
	again := l.restored(t, old, sound, ahead, mute)
	refuses(t, again, proof.ErrDiverged, "ahead")
	refuses(t, again, audit.ErrUnread, "mute: switched off")
	if strings.Contains(again.Refusal().Error(), "sound") {
		t.Errorf("names an anchor that agrees: %v", again.Refusal())
	}
}

func TestASoundLogAppendsAndANewAnchorIsReported(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 300)
	same, older, fresh := &shelf{name: "same"}, &shelf{name: "older"}, &shelf{name: "fresh"}
	older.keep(t, l)
	if _, err := l.add(entry(300), entry(301)); err != nil {
		t.Fatal(err)
	}
	same.keep(t, l)
	again := l.restored(t, l.backup(t), same, older, fresh)
	if w := again.Warnings(); len(w) != 1 || !strings.Contains(w[0], "fresh keeps no head") {
		t.Errorf("warnings = %q", w)
	}
	appends(t, again)
	empty := ledgerAt(t, filepath.Join(t.TempDir(), "new.db"), l.key, fresh)
	if w := empty.Warnings(); len(w) != 0 {
		t.Errorf("warnings of an empty log = %q", w)
	}
	appends(t, empty)
}

func TestGuardAfterRestore(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 2)
	old := l.backup(t)
	if _, err := l.add(entry(2)); err != nil {
		t.Fatal(err)
	}
	anchor := &shelf{name: "a"}
	anchor.keep(t, l)
	newer := l.backup(t)
	refuses(t, l.restored(t, old, anchor), audit.ErrBehind, "entry 2 is missing")
	appends(t, l.restored(t, newer, anchor)) // the right backup this time
}

func TestHungAnchorDoesNotHangTheStart(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 2)
	hung := &shelf{name: "hung", hang: make(chan struct{})}
	sound := &shelf{name: "sound"}
	sound.keep(t, l)
	again := l.restored(t, l.backup(t), hung, sound)
	refuses(t, again, audit.ErrUnread, "hung: no answer within 100ms")
	close(hung.hang)
	if err := again.Guard(t.Context()); err != nil {
		t.Error(err)
	}
	appends(t, again)
}

func TestUnreadableAnchorRecoversByItself(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 2)
	old := l.backup(t)
	if _, err := l.add(entry(2)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		backup string
		reason error
	}{"and the log goes on": {l.backup(t), nil}, "and tells of a rollback": {old, audit.ErrBehind}} {
		t.Run(name, func(t *testing.T) {
			anchor := &shelf{name: "a", err: errors.New("no route")}
			anchor.keep(t, l)
			again := l.restored(t, tt.backup, anchor)
			refuses(t, again, audit.ErrUnread, "no route; it is tried again")
			anchor.fail(nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- again.Recover(ctx, time.Millisecond) }()
			for end := time.Now().Add(10 * time.Second); errors.Is(again.Refusal(), audit.ErrUnread) && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			if tt.reason == nil {
				appends(t, again)
			} else {
				refuses(t, again, tt.reason, "entry 2 is missing")
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheProcessRemembersWhatItHasSeen(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 30)
	if err := l.Guard(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.tamper(t, `DELETE FROM audit_checkpoint WHERE size > 28`, `DELETE FROM audit_entry WHERE idx >= 28`, `DELETE FROM audit_hash WHERE id >= 53`)
	if _, err := l.add(entry(40)); !errors.Is(err, audit.ErrBehind) || !errors.Is(err, audit.ErrRefused) {
		t.Errorf("append = %v, want ErrBehind", err)
	}
	refuses(t, l, audit.ErrBehind, "entries 28 to 29 are missing")
	if err := l.Guard(t.Context()); !errors.Is(err, audit.ErrBehind) {
		t.Errorf("guard = %v, want ErrBehind", err)
	}
}

func TestABrokenEdgeOpensForReading(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 30)
	l.tamper(t, `UPDATE audit_hash SET h = zeroblob(32) WHERE id = (SELECT max(id) FROM audit_hash)`)
	refuses(t, l.restored(t, l.backup(t)), audit.ErrBroken, "")
}

func TestGuardBesideAnAppenderFindsNothing(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 3)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 100; i < 200 && err == nil; i++ {
			_, err = l.add(entry(i))
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if err := l.Guard(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A doubt that comes up while a guard looks is not the guard's to settle.
func TestAGuardPardonsNoDoubtThatIsNewer(t *testing.T) {
	anchor := &shelf{name: "a"}
	l := withAnchors(t, 3, anchor)
	anchor.keep(t, l)
	l.tamper(t)
	anchor.mu.Lock()
	anchor.loading = func() {
		for _, s := range []string{
			`CREATE TABLE was AS SELECT note FROM audit_checkpoint WHERE size = 3`,
			`UPDATE audit_checkpoint SET note = x'00' WHERE size = 3`,
		} {
			l.write.MustExec(s)
		}
		if _, err := l.add(entry(3)); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("append = %v, want ErrBroken", err)
		}
		l.write.MustExec(`UPDATE audit_checkpoint SET note = (SELECT note FROM was) WHERE size = 3`)
	}
	anchor.mu.Unlock()
	if err := l.Guard(t.Context()); err != nil {
		t.Fatal(err)
	}
	refuses(t, l, audit.ErrBroken, "")
	anchor.mu.Lock()
	anchor.loading = nil
	anchor.mu.Unlock()
	if err := l.Guard(t.Context()); err != nil {
		t.Fatal(err)
	}
	appends(t, l)
}

package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

// rotated returns a log that has had two keys, with entries of each time.
func rotated(t testing.TB) (l *ledger, next *keyfile.Key) {
	t.Helper()
	l, next = newLedger(t), newKey(t)
	l.mustAdd(t, entry(0))
	l.announce(t, next)
	l.mustAdd(t, entry(1))
	l.retire(t)
	l.mustAdd(t, entry(2), entry(3))
	return l, next
}

func TestALogWithoutAnAnnouncedKeyRefuses(t *testing.T) {
	l := newLedger(t)
	old, next := l.key, newKey(t)
	l.mustAdd(t, entry(0))
	l.announce(t, next)
	for name, keys := range map[string][]*keyfile.Key{"without it": {old}, "with another one": {old, newKey(t)}} {
		l.restart(t, keys...)
		if err := l.Refusal(); !errors.Is(err, audit.ErrNoKey) || !strings.Contains(err.Error(), strings.Join(strings.Split(next.Verifier, "+")[:2], "+")) {
			t.Errorf("%s: refusal %v, want ErrNoKey with the key's name", name, err)
		}
		if _, err := l.add(entry(1)); !errors.Is(err, audit.ErrRefused) {
			t.Errorf("%s: err = %v, want ErrRefused", name, err)
		}
	}
	if err := l.Hire(signer(next)); err != nil {
		t.Fatal(err)
	}
	if err := l.Guard(t.Context()); err != nil {
		t.Errorf("with it: %v", err)
	}
	l.mustAdd(t, entry(1))
	l.restart(t, old, next)
	l.mustAdd(t, entry(2))
	l.sound(t)
}

func TestALogThatLostTheOldKeyRetiresIt(t *testing.T) {
	l := newLedger(t)
	old, next := l.key, newKey(t)
	l.mustAdd(t, entry(0))
	l.announce(t, next)
	l.restart(t, next)
	if l.Refusal() != nil {
		t.Fatal(l.Refusal())
	}
	if _, err := l.add(entry(1)); !errors.Is(err, audit.ErrNoKey) {
		t.Errorf("err = %v, want ErrNoKey", err)
	}
	l.retire(t)
	l.mustAdd(t, entry(1))
	if text := l.certificate(t, 1); verifies(t, text, old.Verifier) || !verifies(t, text, next.Verifier) {
		t.Error("the head is not signed by the new key alone")
	}
	l.sound(t)
}

func TestAnOldKeyLeadsToNoOtherThanItAnnounced(t *testing.T) {
	l, next := rotated(t)
	r, err := l.reader(t, l.key.Verifier)
	if err != nil || r.Refusal() != nil {
		t.Fatal(err, r.Refusal())
	}
	// A thief of the database alone has another key announced, and cannot sign
	// with the old one.
	var notes []string
	if err := l.read.Select(&notes, `SELECT note FROM audit_checkpoint WHERE size IN (2, 3) ORDER BY size`); err != nil {
		t.Fatal(err)
	}
	for i, text := range notes {
		lines := strings.SplitAfter(text, "\n")
		l.tamper(t, fmt.Sprintf(`UPDATE audit_checkpoint SET note = CAST('%s' AS BLOB) WHERE size = %d`, strings.Join(append(lines[:4:4], lines[6:]...), ""), i+2))
	}
	if r, err = l.reader(t, l.key.Verifier); err != nil || !errors.Is(r.Refusal(), audit.ErrBroken) {
		t.Errorf("%v, refusal %v, want ErrBroken", err, r.Refusal())
	}
	l.tamper(t, `DELETE FROM audit_checkpoint WHERE size IN (2, 3)`)
	if r, err = l.reader(t, l.key.Verifier); err != nil || !errors.Is(r.Refusal(), proof.ErrNotVerified) {
		t.Errorf("%v, refusal %v, want ErrNotVerified", err, r.Refusal())
	}
	if r, err = l.reader(t, next.Verifier); err != nil || r.Refusal() != nil {
		t.Errorf("under the key in force: %v, %v", err, r.Refusal())
	}
	if r, err = l.reader(t, newKey(t).Verifier); err != nil || !errors.Is(r.Refusal(), audit.ErrBroken) {
		t.Errorf("under a stranger's key: %v, refusal %v, want ErrBroken", err, r.Refusal())
	}
}

func TestWhatWasSaidOfKeysCannotBeChanged(t *testing.T) {
	for name, change := range map[string]string{
		"removed":    `DELETE FROM audit_entry WHERE entry_id LIKE 'key/%'`,
		"hidden":     `UPDATE audit_entry SET entry_id = 'x' || entry_id WHERE entry_id LIKE 'key/%'`,
		"one hidden": `UPDATE audit_entry SET entry_id = 'x' || entry_id WHERE entry_id LIKE '%retired%'`,
		"changed":    `UPDATE audit_entry SET body = CAST(replace(body, '2026-11-22T13', '2026-11-22T14') AS BLOB) WHERE entry_id LIKE '%rotated%'`,
	} {
		l, next := rotated(t)
		l.tamper(t, change)
		if _, err := l.add(entry(4)); !errors.Is(err, audit.ErrBroken) || l.Refusal() == nil {
			t.Errorf("%s under a log: err = %v, want ErrBroken", name, err)
		}
		l.restart(t, next)
		if _, err := l.Check(t.Context()); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: check: %v, want ErrBroken", name, err)
		}
	}
}

func TestAWriterRotatesTheKey(t *testing.T) {
	l := newLedger(t)
	old, next := l.key, newKey(t)
	w := l.newWriter(t)
	log := func(entries ...proof.Entry) error {
		return w.Do(t.Context(), func(_ context.Context, tx *audit.Tx) error { return tx.Log(entries...) })
	}
	if err := errors.Join(log(entry(0)), l.Hire(signer(next))); err != nil {
		t.Fatal(err)
	}
	say := func(now proof.Time) (proof.Entry, proof.Entry) {
		return &proof.KeyRotated{OldKey: old.Verifier, NewKey: next.Verifier, RotatedAt: now, OverlapUntil: now}, &proof.KeyRetired{Key: old.Verifier, RetiredAt: now}
	}
	announce, retire := say(proof.At(clock()))
	if err := log(announce, retire); !errors.Is(err, audit.ErrRotation) {
		t.Errorf("under one head: err = %v, want ErrRotation", err)
	}
	if err := log(entry(1), announce, entry(2)); err != nil {
		t.Fatal(err)
	}
	if err := log(entry(3), entry(4), retire, entry(5)); err != nil {
		t.Fatal(err)
	}
	if err := log(entry(6)); err != nil {
		t.Fatal(err)
	}
	if l.Verifier() != next.Verifier || !strings.Contains(l.keyList(t), " 6\n") {
		t.Errorf("in force %s, all\n%s", l.Verifier(), l.keyList(t))
	}
	for i, want := range []string{old.Verifier, old.Verifier, next.Verifier, next.Verifier, next.Verifier, next.Verifier} {
		if !verifies(t, l.certificate(t, i), want) {
			t.Errorf("entry %d: not under the key of its time", i)
		}
	}
	l.sound(t)
}

func TestImportBringsKeysBack(t *testing.T) {
	for _, until := range []string{"announced", "retired"} {
		l := newLedger(t)
		old, next := l.key, newKey(t)
		l.mustAdd(t, entry(0))
		backup := l.backup(t)
		l.announce(t, next)
		verifiers, keys := old.Verifier+"\n"+next.Verifier, []audit.Signer{signer(old), signer(next)}
		if until == "retired" {
			l.mustAdd(t, entry(1))
			l.retire(t)
			verifiers, keys = next.Verifier+"\n"+old.Verifier, []audit.Signer{signer(next)}
		}
		anchor := &shelf{name: "a"}
		anchor.keep(t, l)
		back := l.restored(t, backup)
		var err error
		back.Log, err = audit.Open(t.Context(), back.read, audit.Options{Verifier: verifiers, Signers: keys, Origin: old.Origin, Now: clock, Anchors: []audit.Anchor{anchor}})
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(back.Refusal(), audit.ErrBehind) {
			t.Errorf("%s: refusal %v, want ErrBehind", until, back.Refusal())
		}
		if _, err := back.Import(t.Context(), audit.Import{Fetch: mirror(t, l), Write: back.commit}); err != nil {
			t.Fatalf("%s: %v", until, err)
		}
		back.mustAdd(t, entry(7))
		if back.keyList(t) != l.keyList(t) {
			t.Errorf("%s: keys\n%swant\n%s", until, back.keyList(t), l.keyList(t))
		}
		back.sound(t)
	}
}

func TestARotationThatIsNotCommittedLeavesNothing(t *testing.T) {
	l := newLedger(t)
	next := newKey(t)
	l.mustAdd(t, entry(0))
	undone := errors.New("undone")
	fail := func(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error {
		return l.commit(ctx, func(ctx context.Context, tx *sqlx.Tx) error { return errors.Join(f(ctx, tx), undone) })
	}
	if err := l.Rotate(t.Context(), fail, signer(next), 0); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	l.mustAdd(t, entry(1))
	if r, err := l.Rotation(t.Context()); r != nil || err != nil || verifies(t, l.certificate(t, 1), next.Verifier) {
		t.Errorf("rotation %+v, %v, or a head signed by a key that nobody announced", r, err)
	}
	l.announce(t, next)
	if err := l.Retire(t.Context(), fail); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	l.mustAdd(t, entry(2))
	if text := l.certificate(t, 2); !verifies(t, text, l.key.Verifier) || !verifies(t, text, next.Verifier) {
		t.Error("both keys must still sign")
	}
	l.retire(t)
	l.sound(t)
}

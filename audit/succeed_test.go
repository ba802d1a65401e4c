package audit_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"path/filepath"
	"testing"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
)

func heir(t testing.TB, origin string) (*keyfile.Key, audit.Heir) {
	t.Helper()
	key, err := keyfile.Open(filepath.Join(t.TempDir(), "next.key"), origin)
	if err != nil {
		t.Fatal(err)
	}
	return key, audit.Heir{Origin: key.Origin, Reason: "rolled-back", Key: func() (crypto.Signer, error) { return key.Signer, nil }}
}

func succeed(l *ledger, next audit.Heir) error {
	_, err := l.Succeed(context.Background(), l.commit, next)
	return err
}

func heldBy(t testing.TB, l *ledger, text []byte) proof.Head {
	t.Helper()
	keys, err := proof.ParseKeys([]byte(l.key.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	h, err := proof.OpenHead(text, keys)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSucceedNamesTheOldHead(t *testing.T) {
	_, back, anchor := rolledBack(t, 2, 9)
	pin := heldBy(t, back, anchor.kept())
	key, next := heir(t, "log.example/second")
	if err := succeed(back, next); err != nil {
		t.Fatal(err)
	}
	refuses(t, back, audit.ErrSucceeded, "")
	second := ledgerAt(t, back.path, key, anchor)
	if w := second.Warnings(); len(w) != 1 || w[0] != "a keeps a head of the log before this one" {
		t.Errorf("warnings = %q", w)
	}
	e, err := second.Entry(t.Context(), 0)
	want := &proof.LogSucceeded{
		Header: proof.Header{Origin: "log.example/second"}, OldOrigin: back.Origin(), OldSize: 9, OldRoot: proof.Digest(pin.Root),
		OldKey: back.Verifier(), Reason: "rolled-back", SucceededAt: proof.At(clock()),
	}
	if d := cmp.Diff(proof.Entry(want), e); err != nil || d != "" {
		t.Error(err, d)
	}
	appends(t, second)
	anchor.keep(t, second)
	again := ledgerAt(t, back.path, key, anchor)
	if _, err := again.Check(t.Context()); err != nil || again.Refusal() != nil || len(again.Warnings()) > 0 {
		t.Errorf("%v, %v, %q", err, again.Refusal(), again.Warnings())
	}

	// The old log is read, by its own name and through the new one.
	old := ledgerAt(t, back.path, back.key, anchor)
	refuses(t, old, audit.ErrSucceeded, "")
	if r, err := old.Check(t.Context()); err != nil || r.Size != 2 {
		t.Errorf("the old log: size %d, %v", r.Size, err)
	}
	direct, err := old.Certificate(t.Context(), entryID(1))
	if err != nil {
		t.Fatal(err)
	}
	through, err := again.Certificate(t.Context(), entryID(1))
	if err != nil || !bytes.Equal(direct, through) {
		t.Errorf("through the new log: %v, the same: %t", err, bytes.Equal(direct, through))
	}
	if _, err := again.Certificate(t.Context(), entryID(5)); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("what was lost: %v, want ErrNotFound", err)
	}
}

func TestSucceedTakesTheNewestHeadThatAnyoneHolds(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 10)
	older, ahead, rubbish := &shelf{name: "older"}, &shelf{name: "ahead"}, &shelf{name: "rubbish", head: []byte("x")}
	older.keep(t, l)
	if _, err := l.add(entry(10), entry(11)); err != nil {
		t.Fatal(err)
	}
	old := l.backup(t)
	if _, err := l.add(entry(12)); err != nil {
		t.Fatal(err)
	}
	ahead.keep(t, l)
	for name, tt := range map[string]struct {
		anchors []audit.Anchor
		tamper  string
		want    int64
	}{
		"the database":        {anchors: []audit.Anchor{older, rubbish}, want: 12},
		"an anchor":           {anchors: []audit.Anchor{older, ahead, rubbish}, want: 13},
		"a smaller anchor":    {anchors: []audit.Anchor{older}, tamper: `UPDATE audit_checkpoint SET note = x'00'`, want: 10},
		"nobody":              {tamper: `UPDATE audit_checkpoint SET note = x'00'`, want: 0},
		"a broken database's": {tamper: `UPDATE audit_hash SET h = zeroblob(32) WHERE id = 3`, want: 12},
	} {
		back := l.restored(t, old)
		back = l.restored(t, back.backup(t), tt.anchors...)
		if tt.tamper != "" {
			back.tamper(t, tt.tamper)
		}
		h, err := back.Held(t.Context())
		if err != nil || h.Size != tt.want {
			t.Errorf("%s: size %d, %v, want %d", name, h.Size, err, tt.want)
		}
		key, next := heir(t, "log.example/2")
		if err := succeed(back, next); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		second := ledgerAt(t, back.path, key)
		e, err := second.Entry(t.Context(), 0)
		if s, ok := e.(*proof.LogSucceeded); err != nil || !ok || s.OldSize != tt.want {
			t.Errorf("%s: entry 0 is %v, %v", name, e, err)
		}
	}
}

func TestSucceedTouchesNoKeyBeforeAllIsMadeSureOf(t *testing.T) {
	_, back, anchor := rolledBack(t, 2, 9)
	_, next := heir(t, "log.example/second")
	next.Key = func() (crypto.Signer, error) { t.Error("the key was replaced"); return nil, errors.New("no") }
	for name, bad := range map[string]audit.Heir{
		"a reason that is no code": {Origin: next.Origin, Reason: "Because I say so", Key: next.Key},
		"no reason":                {Origin: next.Origin, Key: next.Key},
		"an origin that is none":   {Origin: "a b", Reason: "x", Key: next.Key},
		"the old origin":           {Origin: back.Origin(), Reason: "x", Key: next.Key},
	} {
		if err := succeed(back, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	anchor.fail(errors.New("no route"))
	if err := succeed(back, next); !errors.Is(err, audit.ErrUnread) {
		t.Errorf("err = %v, want ErrUnread", err)
	}
}

// Whatever becomes of the transaction, calling again is right.
func TestSucceedMayBeCalledAgain(t *testing.T) {
	_, back, anchor := rolledBack(t, 2, 9)
	key, next := heir(t, "log.example/second")
	sick := errors.New("the disk is full")
	fails := func(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error {
		return back.commit(ctx, func(ctx context.Context, tx *sqlx.Tx) error { return errors.Join(f(ctx, tx), sick) })
	}
	if _, err := back.Succeed(t.Context(), fails, next); !errors.Is(err, sick) {
		t.Fatal(err)
	}
	refuses(t, ledgerAt(t, back.path, back.key, anchor), audit.ErrBehind, "")
	unsure := func(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error {
		return errors.Join(back.commit(ctx, f), sick)
	}
	if _, err := back.Succeed(t.Context(), unsure, next); !errors.Is(err, sick) {
		t.Fatal(err)
	}
	again := ledgerAt(t, back.path, back.key, anchor)
	if err := succeed(again, next); err != nil {
		t.Error(err)
	}
	if _, other := heir(t, "log.example/third"); !errors.Is(succeed(again, other), audit.ErrSucceeded) {
		t.Error("a second log has followed")
	}
	appends(t, ledgerAt(t, back.path, key, anchor))
}

func TestALogCanBeSucceededTwice(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 3)
	anchor := &shelf{name: "a"}
	anchor.keep(t, l)
	at := l
	for i, origin := range []string{"log.example/2", "log.example/3"} {
		key, next := heir(t, origin)
		if err := succeed(at, next); err != nil {
			t.Fatal(err)
		}
		at = ledgerAt(t, l.path, key, anchor)
		if _, err := at.add(entry(10 + i)); err != nil {
			t.Fatal(err)
		}
	}
	if w := at.Warnings(); len(w) != 1 {
		t.Errorf("warnings = %q", w)
	}
	for i, origin := range map[int]string{1: "log.example/lethe", 10: "log.example/2", 11: "log.example/3"} {
		text, err := at.Certificate(t.Context(), entryID(i))
		if err != nil || !bytes.Contains(text, []byte("\n"+origin+"\n")) {
			t.Errorf("entry %d: %v, want a certificate of %s:\n%s", i, err, origin, text)
		}
	}
	if _, again := heir(t, "log.example/2"); succeed(at, again) == nil {
		t.Error("a log was succeeded by one of a name that was had before")
	}
}

// Whoever succeeded the log did not ask the anchor that knew more.
func TestAnAnchorThatKnewMoreOfTheOldLogIsReported(t *testing.T) {
	_, back, anchor := rolledBack(t, 2, 9)
	blind := back.restored(t, back.backup(t))
	key, next := heir(t, "log.example/second")
	if err := succeed(blind, next); err != nil {
		t.Fatal(err)
	}
	second := ledgerAt(t, blind.path, key, anchor)
	want := "a keeps a head of the log before this one, of 9 entries: more than the 2 that the log is said to have had"
	if w := second.Warnings(); len(w) != 1 || w[0] != want {
		t.Errorf("warnings = %q", w)
	}
}

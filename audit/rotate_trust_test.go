package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// forged is a head signed by keys of the log, as the log signs.
func forged(t testing.TB, size int64, root tlog.Hash, keys ...*keyfile.Key) string {
	t.Helper()
	var signers []note.Signer
	for _, k := range keys {
		s, err := proof.NewSigner(k.Origin, k.Signer)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
	}
	text, err := note.Sign(&note.Note{Text: proof.FormatHead("log.example/lethe", size, root)}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whoever can write the database and has no key hides that a key was replaced.
func TestAProcessRemembersTheKeysItHasSeen(t *testing.T) {
	for name, find := range map[string]func(*ledger) error{
		"append": func(l *ledger) error { _, err := l.add(entry(9)); return err },
		"guard":  func(l *ledger) error { return l.Guard(t.Context()) },
	} {
		l, next := rotated(t)
		l.restart(t, next)
		l.tamper(t, `UPDATE audit_entry SET entry_id = 'x' || entry_id WHERE entry_id LIKE 'key/%'`)
		if err := find(l); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: err = %v, want ErrBroken", name, err)
		}
	}
}

func TestWhatIsSaidOfKeysIsProvenHoweverOldItIs(t *testing.T) {
	l, next := rotated(t)
	var more []proof.Entry
	for i := 10; i < 310; i++ { // beyond what the guard hashes again
		more = append(more, entry(i))
	}
	l.mustAdd(t, more...)
	l.tamper(t, `UPDATE audit_entry SET body = CAST(replace(body, '2026-11-22T13', '2026-11-22T14') AS BLOB) WHERE entry_id LIKE '%rotated%'`)
	l.restart(t, next)
	if err := l.Refusal(); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("refusal %v, want ErrBroken", err)
	}
}

func TestAKeyIsHandedOnInAHeadOfThisLog(t *testing.T) {
	l, next := rotated(t)
	fork := forged(t, 3, tlog.Hash{1}, l.key, next)
	l.tamper(t, fmt.Sprintf(`UPDATE audit_checkpoint SET note = CAST('%s' AS BLOB), root = x'01%s' WHERE size = 3`, fork, strings.Repeat("00", 31)))
	r, err := l.reader(t, l.key.Verifier)
	if err != nil || !errors.Is(r.Refusal(), audit.ErrBroken) {
		t.Errorf("%v, refusal %v, want ErrBroken", err, r.Refusal())
	}
}

func TestTheFinalSizeIsWhereTheEntryStands(t *testing.T) {
	l := newLedger(t)
	next := newKey(t)
	l.mustAdd(t, entry(0))
	l.announce(t, next)
	retire := &proof.KeyRetired{Key: l.key.Verifier, RetiredAt: proof.At(clock())}
	if _, err := l.add(entry(0), retire); !errors.Is(err, audit.ErrRotation) {
		t.Errorf("behind an entry that is there already: err = %v, want ErrRotation", err)
	}
	l.mustAdd(t, entry(1), entry(2), retire, entry(3))
	if retire.FinalSize != 4 || !strings.Contains(l.keyList(t), " 4\n") {
		t.Errorf("final size %d, keys\n%s", retire.FinalSize, l.keyList(t))
	}
	l.sound(t)
}

func TestAnnouncingAgainChangesNothing(t *testing.T) {
	l := newLedger(t)
	next := newKey(t)
	l.mustAdd(t, entry(0))
	l.announce(t, next)
	if err := l.Rotate(t.Context(), l.commit, signer(next), 5*time.Hour); err != nil {
		t.Error(err)
	}
	if r, err := l.Rotation(t.Context()); err != nil || r.Until.Sub(r.Begun) != time.Hour {
		t.Errorf("rotation %+v, %v", r, err)
	}
}

func TestImportTakesNoHeadThatLacksASignature(t *testing.T) {
	l := newLedger(t)
	old, next := l.key, newKey(t)
	l.mustAdd(t, entry(0))
	backup := l.backup(t)
	l.announce(t, next)
	h, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sound := mirror(t, l)
	in := audit.Import{Fetch: func(path string) ([]byte, error) {
		if path == "checkpoint" {
			return []byte(forged(t, h.Size, h.Root, old)), nil
		}
		return sound(path)
	}}
	back := l.restored(t, backup)
	back.restart(t, old, next)
	in.Write = back.commit
	if _, err := back.Import(t.Context(), in); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("err = %v, want ErrBroken", err)
	}
	if size, err := back.Size(t.Context()); size != 1 || err != nil {
		t.Errorf("size %d, %v: want the database as it was", size, err)
	}
}

func TestTwoHeadsBeyondTheLogAreCompared(t *testing.T) {
	l := newLedger(t)
	l.mustAdd(t, entry(0))
	err := l.Consistent(t.Context(), []byte(forged(t, 5, tlog.Hash{1}, l.key)), []byte(forged(t, 5, tlog.Hash{2}, l.key)))
	if !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("err = %v, want ErrDiverged", err)
	}
}

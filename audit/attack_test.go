package audit_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// attackTable says who notices what, "y" for yes, in the order of observers:
//
//	the hashes alone, without a key
//	the whole check with the log's public key
//	the same, and a head that was kept elsewhere at size 300
//	who holds certificates of the sizes 100 and 300 and asks for the log
//	a witness that cosigned size 300 and is asked for the next cosignature
//
// Two rows besides the control have no y: what nobody else has seen yet, and
// what was never logged, cannot be seen by anyone.
const attackTable = `
-----  none
yyy--  modify entry 120 in place
-yyy-  modify entry 120, recompute every hash
yyy--  delete entry 120, leave a gap
-yyy-  delete entry 120, renumber, recompute
-yyy-  insert a false entry at 120, recompute
-yyy-  swap entries 120 and 121, recompute
yyy--  flip one stored interior hash
yyy--  truncate the last 20 entries, and nothing else
--yyy  truncate the last 20 with their hashes and heads
--yyy  put the whole database back to an older state
--yyy  put it back, then go on signing to 350
--yyy  with the log's key: modify entry 120, sign all anew
--yyy  with the log's key: drop the last 20, sign all anew
---yy  with the key and the pin: modify entry 120, sign and pin anew
-----  with the key: rewrite only what nobody else has seen
-yyyy  rewrite and sign all under a new key of the same name
yyyyy  delete every head
-----  leave an entry out before it is logged
`

// A scene is a log of 300 entries with what others hold of it.
type scene struct {
	*ledger
	now  *history
	then *history // at size 200
	keys *proof.Policy
	pin  []byte
	held [2]proof.Head // of certificates
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{ledger: newLedger(t)}
	var err error
	if s.keys, err = proof.ParseKeys([]byte(s.key.Verifier)); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < 300; at += 10 {
		s.grow(t, s.Log, at)
		switch at + 10 {
		case 100:
			s.held[0] = s.certificate(t, 42)
		case 200:
			s.then = readHistory(t, s.ledger)
		case 300:
			s.held[1] = s.certificate(t, 295)
		}
	}
	if s.pin, err = s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.now = readHistory(t, s.ledger)
	return s
}

// grow commits ten entries and a head.
func (s *scene) grow(t testing.TB, l *audit.Log, at int) {
	t.Helper()
	var ten []proof.Entry
	for i := range 10 {
		ten = append(ten, entry(at+i))
	}
	if _, err := (&ledger{write: s.write, Log: l}).add(ten...); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) certificate(t testing.TB, i int) proof.Head {
	t.Helper()
	text, err := s.Certificate(t.Context(), entryID(i))
	if err != nil {
		t.Fatal(err)
	}
	r, err := proof.Verify(text, s.keys)
	if err != nil {
		t.Fatal(err)
	}
	return r.Head
}

// fetch reads what the log publishes.
func (s *scene) fetch(path string) ([]byte, error) {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/log/"+path, nil))
	if w.Code != http.StatusOK {
		return nil, fmt.Errorf("status %d", w.Code)
	}
	return w.Body.Bytes(), nil
}

// hashesAlone is a check that trusts no key: do bodies, hashes and roots fit?
func (s *scene) hashesAlone(t testing.TB) error {
	h := readHistory(t, s.ledger)
	var last int
	if err := s.write.Get(&last, `SELECT coalesce(max(idx), -1) FROM audit_entry`); err != nil {
		return err
	}
	if last != len(h.bodies)-1 || int64(len(h.hashes)) != tlog.StoredHashCount(int64(len(h.bodies))) {
		return errors.New("a gap")
	}
	again := h.clone()
	again.recompute(t)
	for i := range h.hashes {
		if again.hashes[i] != h.hashes[i] {
			return errors.New("another hash")
		}
	}
	for i, x := range h.heads {
		if again.heads[i].Root != x.Root || again.heads[i].Size != x.Size {
			return errors.New("another root")
		}
	}
	if len(h.bodies) > 0 && len(h.heads) == 0 {
		return errors.New("no head")
	}
	return nil
}

// checked opens the log as the operator would and checks all of it.
func (s *scene) checked(t testing.TB) error {
	l, err := audit.Open(t.Context(), s.read, audit.Options{Verifier: s.key.Verifier, Origin: s.key.Origin})
	if err != nil {
		return err
	}
	_, err = l.Check(t.Context())
	return err
}

func (s *scene) pinned(t testing.TB) error {
	return errors.Join(s.checked(t), s.CheckPin(t.Context(), s.pin))
}

// holder compares two certificates with the log as it is published.
func (s *scene) holder(testing.TB) error {
	var errs []error
	for _, h := range s.held {
		_, err := proof.CheckLog(h, s.fetch, s.keys)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// witness does what a C2SP witness does that has cosigned the head of size
// 300: it sees a signed head and a consistency proof, and never an entry.
func (s *scene) witness(t testing.TB) error {
	text, err := s.fetch("checkpoint")
	if err != nil {
		return err
	}
	next, err := proof.OpenHead(text, s.keys)
	if err != nil {
		return err
	}
	seen := s.held[1]
	if next.Size < seen.Size {
		return audit.ErrBehind
	}
	var path tlog.TreeProof
	if next.Size > seen.Size {
		if path, err = s.ConsistencyProof(t.Context(), seen.Size, next.Size); err != nil {
			return err
		}
	}
	return proof.Consistent(seen, next, path)
}

func (s *scene) signer(t testing.TB, k *keyfile.Key) note.Signer {
	t.Helper()
	signer, err := proof.NewSigner(k.Origin, k.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// TestAttackMatrix holds the table above: what each observer can see of each
// attack, and what none can.
func TestAttackMatrix(t *testing.T) {
	s := newScene(t)
	var table strings.Builder
	for _, a := range attacks() {
		s.now.write(t, s.ledger)
		pin := s.pin
		a.do(t, s)
		for _, notices := range []func(testing.TB) error{s.hashesAlone, s.checked, s.pinned, s.holder, s.witness} {
			mark := "-"
			if notices(t) != nil {
				mark = "y"
			}
			table.WriteString(mark)
		}
		s.pin = pin
		fmt.Fprintf(&table, "  %s\n", a.name)
	}
	t.Logf("\n%s", &table)
	if got := table.String(); got != strings.TrimPrefix(attackTable, "\n") {
		t.Errorf("the table is now\n%s\nwant%s", got, attackTable)
	}
}

// The README shows the table to those who will not run it.
func TestTheReadmeShowsTheAttackTable(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "\n```"+attackTable+"```\n") {
		t.Errorf("the README does not show%s", attackTable)
	}
}

package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// Check reads block after block; what belongs to several of them is found too.
func TestTamperingIsFoundWhereBlocksMeet(t *testing.T) {
	l := newLedger(t)
	var entries []proof.Entry
	for i := range 2200 {
		entries = append(entries, entry(i))
		if i%3 == 0 && i > 2000 || i == 1023 || i == 2047 || i == 2199 {
			if _, err := l.add(entries...); err != nil {
				t.Fatal(err)
			}
			entries = nil
		}
	}
	r, err := l.Check(t.Context())
	if err != nil || r.Size != 2200 || r.Kinds[proof.KindSubjectKeyDestroyed] != 2200 {
		t.Fatalf("a sound log: size %d, kinds %v, %v", r.Size, r.Kinds, err)
	}
	hash := func(level int, n int64) string {
		return fmt.Sprintf(`UPDATE audit_hash SET h = zeroblob(32) WHERE id = %d`, tlog.StoredHashIndex(level, n))
	}
	back := `CREATE TABLE kept AS SELECT * FROM audit_hash`
	l.tamper(t, back, `CREATE TABLE kept_heads AS SELECT * FROM audit_checkpoint`, `CREATE TABLE kept_entries AS SELECT * FROM audit_entry`)
	for statement, want := range map[string][]string{
		hash(10, 0):                              {"hash 2046, of entry 1023, is not the stored one"},
		hash(11, 0):                              {"hash 4094, of entry 2047, is not the stored one"},
		hash(0, 1024) + ";" + hash(10, 1):        {"hash 2047, of entry 1024, is not the stored one", "of entry 2047, is not the stored one"},
		`DELETE FROM audit_hash WHERE id = 2047`: {"hash 2047, of entry 1024", "4395 hashes are stored"},
		`UPDATE audit_checkpoint SET root = zeroblob(32) WHERE size = 2048`:                                                         {"its note says something else", "the head of size 2048 has another root"},
		`DELETE FROM audit_entry WHERE idx = 2048`:                                                                                  {"entry 2048 is missing", "hashes are stored", "heads are stored"},
		`DELETE FROM audit_entry WHERE idx = 1500`:                                                                                  {"entry 1500 is missing", "hashes are stored", "heads are stored"},
		`UPDATE audit_entry SET body = x'7b7d' WHERE idx = 2047`:                                                                    {"entry 2047: ", "of entry 2047, is not the stored one"},
		`UPDATE audit_checkpoint SET size = 2049 WHERE size = 2048`:                                                                 {"head of size 2049: its note says something else", "the head of size 2049 has another root"},
		`DELETE FROM audit_hash WHERE id > 4200; INSERT INTO audit_hash VALUES (4201, zeroblob(32))`:                                {"but 2200 entries and 4202 hashes are stored"},
		`UPDATE audit_entry SET entry_id = 'x' WHERE idx = 1500; UPDATE audit_checkpoint SET root = zeroblob(32) WHERE size = 2048`: {"entry 1500 stands under another ID", "head of size 2048: its note says something else", "the head of size 2048 has another root"},
	} {
		for _, s := range strings.Split(statement, ";") {
			l.mustExec(t, s)
		}
		r, err := l.Check(t.Context())
		if !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: err = %v, want ErrBroken", statement, err)
		}
		all := strings.Join(r.Problems, "\n")
		for at, w := range want {
			i := strings.Index(all, w)
			if i < 0 {
				t.Errorf("%s: problem %d: want %q, in this order, in:\n%s", statement, at, w, strings.Join(r.Problems, "\n"))
				break
			}
			all = all[i:]
		}
		for _, table := range []string{"hash", "checkpoint", "entry"} {
			kept := map[string]string{"hash": "kept", "checkpoint": "kept_heads", "entry": "kept_entries"}[table]
			l.mustExec(t, `DELETE FROM audit_`+table)
			l.mustExec(t, `INSERT INTO audit_`+table+` SELECT * FROM `+kept)
		}
	}
	if _, err := l.Check(t.Context()); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func TestCheckCountsTheRequestsThatHaveNotEnded(t *testing.T) {
	l := newLedger(t)
	accepted := func(i int) proof.Entry {
		return &proof.Accepted{Terms: done(i).(*proof.Completed).Terms, Selector: proof.SelectsScope, Stores: []string{"assistant", "notes"}}
	}
	remaining := 0
	cancelled := &proof.Cancelled{
		Terms: done(3).(*proof.Completed).Terms, CancelledAt: proof.At(clock()) + 60, BatchesRoot: proof.Digest(proof.BatchesRoot(nil)),
		Stores: []proof.CancelledStore{{Name: "assistant", StoreKind: "mem0-sqlite", Remaining: &remaining}},
	}
	for _, s := range []struct {
		e    proof.Entry
		want int
	}{
		{accepted(1), 1}, {accepted(2), 2}, {accepted(3), 3}, {done(2), 2}, {cancelled, 1}, {entry(2), 1}, {entry(1), 1}, {done(1), 0}, {done(9), 0}, {accepted(4), 1},
	} {
		if _, err := l.add(s.e); err != nil {
			t.Fatal(err)
		}
		if r, err := l.Check(t.Context()); err != nil || r.Open != s.want {
			t.Errorf("after %s: %d open, %v, want %d", s.e.ID(), r.Open, err, s.want)
		}
	}
}

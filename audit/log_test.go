package audit_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
)

func TestEveryEntryHasACertificate(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 70)
	keys, err := proof.ParseKeys([]byte(l.key.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	first := map[int][]byte{}
	for round := range 2 { // the second time after the log has grown
		for i := range 70 {
			text, err := l.Certificate(t.Context(), entryID(i))
			if err != nil {
				t.Fatal(err)
			}
			r, err := proof.Verify(text, keys)
			if err != nil {
				t.Fatalf("entry %d: %v", i, err)
			}
			if r.Index != int64(i) || r.Entry.ID() != entryID(i) {
				t.Errorf("entry %d: certificate is of %s at %d", i, r.Entry.ID(), r.Index)
			}
			if round == 1 && !bytes.Equal(text, first[i]) {
				t.Errorf("entry %d: another certificate than before", i)
			}
			first[i] = text
		}
		if _, err := l.add(entry(1000 + round)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Certificate(t.Context(), "nothing"); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("err = %v, want ErrNotFound", err)
	}
}

func TestRolledBackTransactionLeavesNothingBehind(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 5)
	before, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := l.write.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), tx, entry(100), entry(101)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	after, err := l.Head(t.Context())
	if d := cmp.Diff(before, after); err != nil || d != "" {
		t.Errorf("head changed: %v %s", err, d)
	}
	if first, err := l.add(entry(102)); err != nil || first != 5 {
		t.Errorf("the next entry: index %d, %v, want 5", first, err)
	}
	if r, err := l.Check(t.Context()); err != nil || r.Size != 6 {
		t.Errorf("size %d, %v, want 6", r.Size, err)
	}
}

func TestAppendIsIdempotent(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 3)
	before, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first, err := l.add(entry(1)); err != nil || first != 1 {
		t.Errorf("again: index %d, %v, want 1", first, err)
	}
	if after, err := l.Checkpoint(t.Context()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the head changed: %v", err)
	}
	if first, err := l.add(entry(2), entry(3)); err != nil || first != 2 {
		t.Errorf("one old, one new: index %d, %v, want 2", first, err)
	}
	if size, err := l.Size(t.Context()); err != nil || size != 4 {
		t.Errorf("size %d, %v, want 4", size, err)
	}
	other := entry(1).(*proof.SubjectKeyDestroyed)
	other.DestroyedAt++
	if _, err := l.add(other); !errors.Is(err, audit.ErrConflict) {
		t.Errorf("another body: err = %v, want ErrConflict", err)
	}
	if _, err := l.add(entry(9), entry(9)); err == nil {
		t.Error("the same entry twice in one call was accepted")
	}
	if _, err := l.add(&proof.SubjectKeyDestroyed{}); !errors.Is(err, proof.ErrEntry) {
		t.Errorf("an invalid entry: err = %v, want ErrEntry", err)
	}
	if _, err := l.add(); err == nil {
		t.Error("no entries were accepted")
	}
	if r, err := l.Check(t.Context()); err != nil || r.Size != 4 {
		t.Errorf("size %d, %v, want 4", r.Size, err)
	}
}

func TestAppendersExcludeEachOther(t *testing.T) {
	l := newLedger(t)
	pools := []*ledger{l, {write: connect(t, l.path, "FULL", 1), Log: l.Log}} // as two processes
	var wg sync.WaitGroup
	for g, p := range pools {
		for half := range 2 {
			wg.Go(func() {
				for i := range 25 {
					if _, err := p.add(entry(g*1000 + half*100 + i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	r, err := l.Check(t.Context())
	if err != nil || r.Size != 100 || r.Heads != 100 {
		t.Errorf("size %d, heads %d, %v, want 100 of each", r.Size, r.Heads, err)
	}
}

func TestDeferredAppenderFailsInsteadOfForking(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 3)
	slow := connect(t, l.path, "FULL", 1)
	if _, err := slow.Exec(`BEGIN DEFERRED`); err != nil {
		t.Fatal(err)
	}
	var n int // takes the snapshot
	if err := slow.Get(&n, `SELECT count(*) FROM audit_entry`); err != nil {
		t.Fatal(err)
	}
	if _, err := l.add(entry(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(`INSERT INTO audit_checkpoint (size, root, note, at) SELECT 4, root, note, at FROM audit_checkpoint LIMIT 1`); err == nil {
		t.Error("a second head of size 4 was stored")
	}
}

func TestRowsAreInsertOnly(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 5)
	body := "(SELECT body FROM audit_entry LIMIT 1)"
	for _, s := range []string{
		`UPDATE audit_entry SET body = x'00' WHERE idx = 2`,
		`DELETE FROM audit_entry WHERE idx = 4`,
		`INSERT INTO audit_entry VALUES (6, 'gap', ` + body + `)`,
		`INSERT INTO audit_entry VALUES (2, 'again', ` + body + `)`,
		`INSERT OR REPLACE INTO audit_entry VALUES (2, 'replaced', ` + body + `)`,
		`INSERT OR REPLACE INTO audit_entry VALUES (5, '` + entryID(1) + `', ` + body + `)`,
		`REPLACE INTO audit_entry (entry_id, body) VALUES ('` + entryID(1) + `', ` + body + `)`,
		`UPDATE audit_hash SET h = zeroblob(32) WHERE id = 1`,
		`DELETE FROM audit_hash`,
		`INSERT INTO audit_hash VALUES (100, zeroblob(32))`,
		`INSERT OR REPLACE INTO audit_hash VALUES (1, zeroblob(32))`,
		`INSERT INTO audit_hash VALUES (8, zeroblob(31))`,
		`UPDATE audit_checkpoint SET note = x'00'`,
		`DELETE FROM audit_checkpoint`,
		`INSERT OR REPLACE INTO audit_checkpoint SELECT size, zeroblob(32), note, at FROM audit_checkpoint LIMIT 1`,
		`INSERT INTO audit_checkpoint VALUES (2, zeroblob(32), x'00', 0)`,
	} {
		if _, err := l.write.Exec(s); err == nil {
			t.Errorf("allowed: %s", s)
		}
	}
	if r, err := l.Check(t.Context()); err != nil || r.Size != 5 {
		t.Errorf("size %d, %v, want 5", r.Size, err)
	}
}

func TestSynchronousMustBeFull(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 1)
	weak := connect(t, l.path, "NORMAL", 1)
	if _, err := audit.Open(t.Context(), weak, audit.Options{Signers: []audit.Signer{{Name: l.key.Origin, Key: l.key.Signer}}, Verifier: l.key.Verifier, Origin: l.key.Origin}); err == nil {
		t.Error("opened on a connection with synchronous=NORMAL")
	}
	weakLedger := &ledger{write: weak, Log: l.Log}
	if _, err := weakLedger.add(entry(7)); err == nil {
		t.Error("appended on a connection with synchronous=NORMAL")
	}
}

func TestMigrateTwiceIsHarmless(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 3)
	if err := audit.Migrate(t.Context(), l.write); err != nil {
		t.Fatal(err)
	}
	if size, err := l.Size(t.Context()); err != nil || size != 3 {
		t.Errorf("size %d, %v, want 3", size, err)
	}
	list := `SELECT name FROM sqlite_schema WHERE type = 'table' AND (name LIKE '%migration%' OR name = 'goose_db_version')`
	if l.read.DriverName() == "pgx" {
		list = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema AND (tablename LIKE '%migration%' OR tablename = 'goose_db_version')`
	}
	var tables []string
	if err := l.read.Select(&tables, list); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"audit_migrations"}, tables); d != "" {
		t.Errorf("version tables: %s", d)
	}
}

func TestTailAndEntryRead(t *testing.T) {
	l := newLedger(t)
	if lines, err := l.Tail(t.Context(), 3); err != nil || len(lines) != 0 {
		t.Errorf("tail of an empty log: %v, %v", lines, err)
	}
	l.fill(t, 5)
	lines, err := l.Tail(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range lines {
		got = append(got, fmt.Sprint(x.Index, x.Entry.ID()))
	}
	if d := cmp.Diff([]string{fmt.Sprint(2, entryID(2)), fmt.Sprint(3, entryID(3)), fmt.Sprint(4, entryID(4))}, got); d != "" {
		t.Error(d)
	}
	e, err := l.Entry(t.Context(), 4)
	if err != nil || e.ID() != entryID(4) || e.Head().Origin != l.Origin() {
		t.Errorf("got %v, %v", e, err)
	}
	for _, i := range []int64{-1, 5} {
		if _, err := l.Entry(t.Context(), i); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("entry %d: err = %v, want ErrNotFound", i, err)
		}
	}
	h, err := l.Head(t.Context())
	if err != nil || !h.At.Equal(clock()) || h.Size != 5 {
		t.Errorf("head %v, %v", h, err)
	}
}

func TestALogCanBeReadWithoutTheKey(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 5)
	var err error
	if l.Log, err = audit.Open(t.Context(), l.read, audit.Options{Verifier: l.key.Verifier, Origin: l.key.Origin}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := l.add(entry(5)); err == nil {
		t.Error("appended without a key")
	}
}

// A liar says that it has a key, and signs with another.
type liar struct {
	crypto.Signer
	public crypto.PublicKey
}

func (l liar) Public() crypto.PublicKey { return l.public }

func TestASignerThatLiesIsCaught(t *testing.T) {
	l := newLedger(t)
	stranger, err := keyfile.Open(filepath.Join(t.TempDir(), "k"), l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	l.Log, err = audit.Open(t.Context(), l.read, audit.Options{Signers: []audit.Signer{{Name: l.Origin(), Key: liar{stranger.Signer, l.key.Signer.Public()}}}, Verifier: l.key.Verifier, Origin: l.Origin()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.add(entry(0)); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("err = %v, want ErrBroken", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := newLedger(b)
			n := 0
			for b.Loop() {
				var entries []proof.Entry
				for range size {
					entries = append(entries, entry(n))
					n++
				}
				if _, err := l.add(entries...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

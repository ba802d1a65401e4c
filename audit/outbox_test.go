package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/proof"
)

// enqueue commits entries to the outbox.
func (l *ledger) enqueue(t testing.TB, entries ...proof.Entry) {
	t.Helper()
	if err := l.post(entries...); err != nil {
		t.Fatal(err)
	}
}

func (l *ledger) post(entries ...proof.Entry) error {
	tx, err := l.write.Beginx()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := l.Enqueue(context.Background(), tx, entries...); err != nil {
		return err
	}
	return tx.Commit()
}

// await returns when an entry is logged.
func (l *ledger) await(t testing.TB, i int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Wait(ctx, entryID(i)); err != nil {
		t.Fatalf("entry %d: %v", i, err)
	}
}

// run runs a sequencer until the test ends, or until stop is called.
func run(t testing.TB, l *ledger) (s *audit.Sequencer, stop func()) {
	t.Helper()
	s = &audit.Sequencer{Log: l.Log, DB: l.write, Every: time.Millisecond, Signed: func(h audit.Head) {
		if size, err := l.Size(context.Background()); err == nil && size < h.Size {
			t.Errorf("a head of size %d was let out before it was committed", h.Size)
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Errorf("the sequencer ended with %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return s, stop
}

func TestEnqueuedEntriesAreLoggedWithTheirTransaction(t *testing.T) {
	l := newPostgres(t)
	tx, err := l.write.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Enqueue(t.Context(), tx, entry(0)), tx.Rollback()); err != nil {
		t.Fatal(err)
	}
	l.enqueue(t, entry(1), entry(2))
	b, err := l.Pending(t.Context())
	if err != nil || b.Waiting != 2 || b.Oldest <= 0 || b.Oldest > time.Minute {
		t.Errorf("pending %+v, %v", b, err)
	}
	run(t, l)
	l.await(t, 1)
	lines, err := l.Tail(t.Context(), 10)
	if err != nil || len(lines) != 2 || lines[0].Entry.ID() != entryID(1) || lines[1].Entry.ID() != entryID(2) {
		t.Errorf("logged %v, %v, want 1 and 2", lines, err)
	}
	if b, err := l.Pending(t.Context()); err != nil || b != (audit.Backlog{}) {
		t.Errorf("pending %+v, %v", b, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Wait(ctx, entryID(0)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait for what was rolled back: %v", err)
	}
}

func TestEntryIDIdempotent(t *testing.T) {
	l := newPostgres(t)
	other := func() proof.Entry {
		e := entry(1).(*proof.SubjectKeyDestroyed)
		e.DestroyedAt++
		return e
	}
	l.enqueue(t, entry(1), entry(1), entry(2))
	l.enqueue(t, entry(1))
	if err := l.post(entry(3), other()); !errors.Is(err, audit.ErrConflict) {
		t.Errorf("another body in the outbox: %v, want ErrConflict", err)
	}
	if err := l.post(entry(4), entry(5), other(), entry(1)); !errors.Is(err, audit.ErrConflict) {
		t.Errorf("another body in the outbox: %v, want ErrConflict", err)
	}
	_, stop := run(t, l)
	l.await(t, 2)
	stop()
	if err := l.post(other()); !errors.Is(err, audit.ErrConflict) {
		t.Errorf("another body in the log: %v, want ErrConflict", err)
	}
	run(t, l)
	l.enqueue(t, entry(1))
	l.enqueue(t, entry(6))
	l.await(t, 6)
	if r, err := l.Check(t.Context()); err != nil || r.Size != 3 {
		t.Errorf("size %d, %v, want 3", r.Size, err)
	}
	if b, err := l.Pending(t.Context()); err != nil || b != (audit.Backlog{}) {
		t.Errorf("pending %+v, %v", b, err)
	}
	if err := l.post(&proof.SubjectKeyDestroyed{}); !errors.Is(err, proof.ErrEntry) {
		t.Errorf("an invalid entry: %v", err)
	}
	if err := l.post(); err == nil {
		t.Error("no entries were accepted")
	}
}

func TestEnqueueWantsADurableTransactionThatSeesWhatIsLogged(t *testing.T) {
	l := newPostgres(t)
	tx, err := l.write.BeginTxx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Enqueue(t.Context(), tx, entry(0)); err == nil {
		t.Error("enqueued in a transaction with a snapshot")
	}
	tx.Rollback()
	weak := &ledger{write: connect(t, l.path, "NORMAL", 1), Log: l.Log}
	if err := weak.post(entry(0)); err == nil {
		t.Error("enqueued without synchronous_commit")
	}
	file := newLedger(t)
	if err := file.post(entry(0)); err == nil {
		t.Error("enqueued on SQLite")
	}
}

// Of two rows the one with the larger number is committed, and logged, first.
func TestOutboxOutOfOrderCommit(t *testing.T) {
	l := newPostgres(t)
	run(t, &ledger{write: connect(t, l.path, "FULL", 2), Log: l.Log})
	slow, err := l.write.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Enqueue(t.Context(), slow, entry(1)); err != nil {
		t.Fatal(err)
	}
	fast := &ledger{write: connect(t, l.path, "FULL", 1), Log: l.Log}
	fast.enqueue(t, entry(2))
	l.await(t, 2)
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	l.await(t, 1)
	if r, err := l.Check(t.Context()); err != nil || r.Size != 2 {
		t.Errorf("size %d, %v, want 2", r.Size, err)
	}
}

// However the rows lie in the table, and the database returns them.
func TestOutboxIsLoggedInTheOrderOfItsNumbers(t *testing.T) {
	l := newPostgres(t)
	const n = 60
	for i := n - 1; i >= 0; i-- {
		e := entry(i)
		e.Head().Origin = l.Origin()
		body, err := proof.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		l.write.MustExec(`INSERT INTO audit_outbox (seq, entry_id, body) VALUES ($1, $2, $3)`, 100+i, entryID(i), body)
	}
	run(t, l)
	l.await(t, n-1)
	for i := range n {
		if e, err := l.Entry(t.Context(), int64(i)); err != nil || e.ID() != entryID(i) {
			t.Fatalf("entry %d: %v, %v", i, e, err)
		}
	}
}

// A row that nobody could have enqueued does not hold up the others, and says
// why it is where it is.
func TestRowsThatCannotBeLoggedArePutAside(t *testing.T) {
	l := newPostgres(t)
	l.enqueue(t, entry(1))
	s, _ := run(t, l)
	l.await(t, 1)
	lie := entry(1).(*proof.SubjectKeyDestroyed)
	lie.Origin, lie.DestroyedAt = l.Origin(), lie.DestroyedAt+1
	body, err := proof.Encode(lie)
	if err != nil {
		t.Fatal(err)
	}
	for id, b := range map[string][]byte{"junk": []byte("{"), "other": body, entryID(1): body} {
		if _, err := l.write.Exec(`INSERT INTO audit_outbox (entry_id, body) VALUES ($1, $2)`, id, b); err != nil {
			t.Fatal(err)
		}
	}
	l.enqueue(t, entry(2))
	l.await(t, 2)
	var reasons []string
	if err := l.read.Select(&reasons, `SELECT entry_id || ': ' || reason FROM audit_outcast ORDER BY reason`); err != nil || len(reasons) != 3 {
		t.Errorf("put aside: %q, %v", reasons, err)
	}
	if b, err := l.Pending(t.Context()); err != nil || b.Outcast != 3 || b.Waiting != 0 {
		t.Errorf("pending %+v, %v", b, err)
	}
	if r, err := l.Check(t.Context()); err != nil || r.Size != 2 || s.Log.Refusal() != nil {
		t.Errorf("size %d, %v, refusal %v", r.Size, err, s.Log.Refusal())
	}
}

// What waited when one log succeeded another is logged by the new one.
func TestEntriesOfAnOlderLogAreReaddressed(t *testing.T) {
	l := newPostgres(t)
	e := entry(1)
	e.Head().Origin = "log.example/older"
	body, err := proof.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.write.Exec(`INSERT INTO audit_outbox (entry_id, body) VALUES ($1, $2)`, entryID(1), body); err != nil {
		t.Fatal(err)
	}
	run(t, l)
	l.await(t, 1)
	if got, err := l.Entry(t.Context(), 0); err != nil || got.Head().Origin != l.Origin() {
		t.Errorf("entry %v, %v", got, err)
	}
}

// Nothing that identifies a person is in the server's files, its write-ahead
// log included, once entries about that person were logged.
func TestNoPersonalDataInTheServersFiles(t *testing.T) {
	l := newPostgres(t)
	const canary = "canary-7f3a-maria.example"
	key := []byte(strings.Repeat("k", 32))
	now := proof.At(clock())
	l.enqueue(t, &proof.Accepted{
		Terms: proof.Terms{
			RequestID: requestID(1), ReceivedAt: now, AcceptedAt: now, DueAt: now + 86400, Regime: "gdpr",
			Subject: proof.SubjectCommitment(key, []byte(canary)), Ticket: proof.TicketDigest(key, canary),
		},
		Selector: proof.SelectsScope, Stores: []string{"mem"},
	}, entry(1))
	run(t, l)
	l.await(t, 1)
	l.write.MustExec(`CHECKPOINT`) // all is in the files then
	var dir string
	if err := l.read.Get(&dir, `SHOW data_directory`); err != nil {
		t.Fatal(err)
	}
	found := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // the server has put it away meanwhile
			return nil
		}
		if strings.Contains(string(b), canary) {
			t.Errorf("%s holds the subject's name", filepath.Base(path))
		}
		if strings.Contains(string(b), entryID(1)) {
			found++
		}
		return err
	})
	if err != nil || found == 0 {
		t.Errorf("the entry itself is in %d files, %v: nothing was searched", found, err)
	}
}

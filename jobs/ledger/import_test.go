package ledger_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit"
	"lethe/audit/anchor"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
	"lethe/store"
)

// putBack closes the book, puts a backup in its place, and opens it with an
// anchor that keeps the head it had.
func (b *book) putBack(t testing.TB, backup string) {
	t.Helper()
	head, err := b.Log().Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keep := filepath.Join(t.TempDir(), "head")
	if err := errors.Join(b.Close(), b.raw.Close(), os.WriteFile(keep, head, 0o600)); err != nil {
		t.Fatal(err)
	}
	if b.on == onPostgres {
		b.url = backup
	} else {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(filepath.Join(b.dir, "ledger.db"+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if err := os.Rename(backup, filepath.Join(b.dir, "ledger.db")); err != nil {
			t.Fatal(err)
		}
	}
	o := b.options()
	o.Anchors = []audit.Anchor{anchor.NewFile(keep)}
	b.openWith(t, o)
	b.look(t)
}

// backup copies the database as it is. On PostgreSQL it is a schema with the same
// rows, as a dump and its restoration would make it.
func (b *book) backup(t testing.TB) string {
	t.Helper()
	if b.on == onSQLite {
		path := filepath.Join(t.TempDir(), "backup.db")
		if _, err := b.raw.Exec(`VACUUM INTO ?`, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := newBook(t, b.on) // for its tables
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	var from string
	if err := b.raw.Get(&from, `SELECT current_schema()`); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"requests", "staged", "jobs", "batches", "outcomes", "outbox", "orphans", "tokens", "audit_log", "audit_entry", "audit_hash", "audit_checkpoint"} {
		other.raw.MustExec(`INSERT INTO ` + table + ` SELECT * FROM ` + from + `.` + table + ` ORDER BY 1`)
	}
	other.raw.MustExec(`UPDATE audit_head SET (log, size, root) = (SELECT log, size, root FROM ` + from + `.audit_head)`)
	return other.url
}

// copied exports the log and returns how to read it.
func (b *book) copied(t testing.TB) proof.Fetch {
	t.Helper()
	dir := t.TempDir()
	if err := b.Log().Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, path)) }
}

func TestABookThatWasPutBackFollowsItsLog(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		ended := b.submit(t, "u1", "memories")
		gone := b.submit(t, "u5", "memories")
		b.tasks(t)
		open := b.submit(t, "u2", "memories")
		backup := b.backup(t)

		// After the backup: two end, of one the key is destroyed, one comes and is
		// open, and one comes and ends.
		for _, r := range []jobs.Request{ended, gone} {
			if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Expired(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.advance(lease * 2)
		if _, err := b.Expired(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range []jobs.Request{ended, gone} {
			if err := b.intake.EndStopped(t.Context(), r.ID); err != nil {
				t.Fatal(err)
			}
		}
		was := b.request(t, ended.ID)
		seal := filepath.Join(filepath.Dir(b.dir), "keys", "seal", ended.ID) // as if the keys were put back too
		if err := os.WriteFile(seal, make([]byte, 32), 0o600); err != nil {
			t.Fatal(err)
		}
		subject, err := b.keys.Subject(gone.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.SubjectKeyGone(t.Context(), gone.ID, &proof.SubjectKeyDestroyed{RequestID: gone.ID, DestroyedAt: proof.At(b.Now())}); err != nil {
			t.Fatal(err)
		}
		lost := b.submit(t, "u3", "memories")
		unknown := b.submit(t, "u4", "memories")
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, unknown.ID); err != nil {
			t.Fatal(err)
		}
		raced := b.submit(t, "u7", "memories") // the book is ahead of the log in it
		mirror := b.copied(t)

		b.putBack(t, backup)
		for _, q := range []string{
			`CREATE TABLE copy AS SELECT * FROM requests WHERE id = '` + open.ID + `'`,
			`UPDATE copy SET id = '` + raced.ID + `'`, `INSERT INTO requests SELECT * FROM copy`, `DROP TABLE copy`,
		} {
			b.raw.MustExec(q)
		}
		if err := b.Log().Refusal(); !errors.Is(err, audit.ErrBehind) {
			t.Fatalf("refusal = %v", err)
		}
		in, err := b.Import(t.Context(), mirror, keepKey)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(in.Ended)
		want := ledger.Imported{Entries: 7, Ended: []string{ended.ID, gone.ID}, Lost: []string{lost.ID}, Unknown: []string{unknown.ID}}
		slices.Sort(want.Ended)
		if d := cmp.Diff(want, in); d != "" {
			t.Error(d)
		}
		is := b.request(t, ended.ID)
		if is.Status != jobs.Cancelled || is.CompletedAt == nil || is.CompletedAt.Unix() != was.CompletedAt.Unix() {
			t.Errorf("the ended request is %s, %v, was %v", is.Status, is.CompletedAt, was.CompletedAt)
		}
		if _, err := b.intake.Certificate(t.Context(), jobs.ActorLocal, ended.ID); err != nil {
			t.Errorf("its certificate: %v", err)
		}
		if n := b.count(t, "requests WHERE id = ? AND selector IS NULL AND key_until = ?", ended.ID, is.CompletedAt.Add(keepKey).UnixMilli()); n != 1 {
			t.Error("it was not wiped, or its key is kept for another time")
		}
		if n := b.count(t, "outbox WHERE request IN (?, ?)", ended.ID, gone.ID); n != 0 {
			t.Errorf("%d tasks of ended requests", n)
		}
		sealed, err := b.keys.Sealed()
		if err != nil || slices.Contains(sealed, ended.ID) || !slices.Contains(sealed, open.ID) {
			t.Errorf("seal keys are left of %v, %v", sealed, err)
		}
		if _, err := b.keys.Subject(gone.ID); err == nil || len(subject) != 32 {
			t.Error("the log says of a key that exists that it is destroyed")
		}
		if n := b.count(t, "requests WHERE id = ? AND key_gone = 1", gone.ID); n != 1 {
			t.Error("the book does not know that it is destroyed")
		}
		if _, err := b.intake.SubjectKey(t.Context(), jobs.ActorLocal, gone.ID); !errors.Is(err, jobs.ErrGone) {
			t.Errorf("the destroyed key: %v, want ErrGone", err)
		}
		b.advance(keepKey + lease) // of what only the log knows, the key goes on schedule too
		due, err := b.KeysDue(t.Context())
		if err != nil || !slices.Contains(due, unknown.ID) || slices.Contains(due, gone.ID) {
			t.Errorf("keys due: %v, %v, want also %s", due, err, unknown.ID)
		}
		if err := b.SubjectKeyGone(t.Context(), unknown.ID, &proof.SubjectKeyDestroyed{RequestID: unknown.ID, DestroyedAt: proof.At(b.Now())}); err != nil {
			t.Fatal(err)
		}
		if due, err = b.KeysDue(t.Context()); err != nil || slices.Contains(due, unknown.ID) {
			t.Errorf("keys due: %v, %v, though it is gone", due, err)
		}
		b.submit(t, "u6", "memories") // it appends again
		if in, err = b.Import(t.Context(), mirror, keepKey); err != nil || in.Entries != 0 || len(in.Ended) != 0 {
			t.Errorf("again: %+v, %v", in, err)
		}
	})
}

func TestABookWhoseLogRefusesIsRead(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "memories")
		rings := b.rings(t)
		b.submit(t, "u4", "notes")
		b.plan(t, b.claim(t, b.rings(t)[0]), 1)
		running := b.claim(t, b.rings(t)[0]) // as of a worker whose log refuses from now on
		if err := b.Fence(t.Context(), running.Ring); err != nil {
			t.Fatal(err)
		}
		backup := b.backup(t)
		b.submit(t, "u2")
		b.putBack(t, backup)
		before := b.tables(t)
		if _, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user("u3")}); !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("submit: %v, want ErrRefused", err)
		}
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("cancel: %v, want ErrRefused", err)
		}
		if _, err := b.Claim(t.Context(), rings[0], "test", lease); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("claim: %v, want ErrStale", err)
		}
		if err := b.Fence(t.Context(), running.Ring); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("fence: %v, want ErrStale", err)
		}
		if d := cmp.Diff(before, b.tables(t)); d != "" {
			t.Errorf("something has changed:\n%s", d)
		}
		if got := b.request(t, r.ID); got.Status != r.Status {
			t.Errorf("status %s", got.Status)
		}
		if _, err := b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, r.ID); err != nil {
			t.Error(err)
		}
	})
}

func TestWriteIsATransaction(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		sick := errors.New("sick")
		insert := func(ctx context.Context, tx *sqlx.Tx) error {
			_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO staged (request, seq, ids, at) VALUES ('x', 1, ?, 0)`), []byte{0})
			return err
		}
		err := b.Write(t.Context(), func(ctx context.Context, tx *sqlx.Tx) error { return errors.Join(insert(ctx, tx), sick) })
		if n := b.count(t, "staged"); !errors.Is(err, sick) || n != 0 {
			t.Errorf("%d rows, %v", n, err)
		}
		if err := b.Write(t.Context(), insert); err != nil || b.count(t, "staged") != 1 {
			t.Error(err)
		}
	})
}

// The book is put back to a state before somebody was forgotten, and so is a store.
// The book has no digest of them; by the log, and by the key of the request, they are
// recognized and erased again. What was exempt stays, and of a request whose key is
// gone it is said that nobody can tell.
func TestWhoOnlyTheLogKnowsIsForgottenAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		open := b.submit(t, "u0", "memories")
		b.plan(t, b.task(t, jobs.PlanTask), 1)
		backup := b.backup(t)
		b.erase(t, b.task(t, jobs.BatchTask))
		b.settle(t)
		first, rows := b.forgotten(t, "u1", 3)
		keyless, _ := b.forgotten(t, "u2", 1)
		if err := b.keys.DestroySubject(keyless); err != nil {
			t.Fatal(err)
		}
		later := rows[0]
		later.ID.Key, later.Made = "later", b.Now().Add(time.Hour)
		zero := store.Row{ID: store.ID{Place: "memories", Key: "zero"}, Who: []store.Field{{Name: "user_id", Value: "u0"}}, Made: rows[0].Made}
		bob := store.Row{ID: store.ID{Place: "memories", Key: "bob"}, Who: []store.Field{{Name: "user_id", Value: "bob"}}, Made: rows[0].Made}
		mirror := b.copied(t)
		b.putBack(t, backup)
		in, err := b.Import(t.Context(), mirror, keepKey)
		if err != nil || in.Forgot != 3 {
			t.Fatalf("%+v, %v", in, err)
		}
		if b.request(t, open.ID).Status != jobs.Completed {
			t.Error("what was open has not ended")
		}
		for end := time.Now().Add(time.Minute); b.Refusal(t.Context()) != nil && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond) // the sequencer beside has yet to see it
		}
		w := b.watch(&shop{now: b.Now, rows: append(rows, later, zero, bob)})
		found, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "memories", BackupAt: b.Now().Add(-time.Hour)})
		if err != nil || found.Return != (jobs.Return{Back: 4, Later: 1}) || found.Keyless != 1 || len(found.Requests) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		var staged []string
		for ids, err := range b.Staged(t.Context(), found.Requests[0]) {
			if err != nil {
				t.Fatal(err)
			}
			staged = append(staged, ids...)
		}
		want := []string{zero.ID.String()}
		for _, r := range rows {
			want = append(want, r.ID.String())
		}
		slices.Sort(staged)
		slices.Sort(want)
		if !slices.Equal(staged, want) {
			t.Errorf("filed %v, want %v", staged, want)
		}
		if err := b.SubjectKeyGone(t.Context(), first, &proof.SubjectKeyDestroyed{RequestID: first, DestroyedAt: proof.At(b.Now())}); err != nil {
			t.Fatal(err)
		}
		if n := b.count(t, "log_ends WHERE request = ?", first); n != 0 {
			t.Error("what nobody can read any more is kept")
		}
	})
}

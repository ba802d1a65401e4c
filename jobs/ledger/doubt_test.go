package ledger_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"lethe/audit"
	"lethe/jobs"
)

// spoil makes commits fail that change a table's rows, after all that led to
// them went well: what the caller sees is a commit in doubt. It returns what
// mends it.
func (b *book) spoil(t *testing.T, event string) (mend func()) {
	t.Helper()
	exec := func(queries ...string) {
		for _, q := range queries {
			if _, err := b.raw.Exec(q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	if b.on == onPostgres {
		exec(`CREATE TABLE nowhere (id int PRIMARY KEY)`,
			`CREATE TABLE spoilt (id int REFERENCES nowhere (id) DEFERRABLE INITIALLY DEFERRED)`,
			`CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO spoilt VALUES (1); RETURN NULL; END $$`,
			`CREATE TRIGGER spoil AFTER `+event+` FOR EACH ROW EXECUTE FUNCTION spoil()`)
		return func() { exec(`DROP FUNCTION spoil CASCADE`, `DROP TABLE spoilt`, `DROP TABLE nowhere`) }
	}
	exec(`CREATE TABLE nowhere (id INTEGER PRIMARY KEY) STRICT`,
		`CREATE TABLE spoilt (id INTEGER REFERENCES nowhere (id) DEFERRABLE INITIALLY DEFERRED) STRICT`,
		`CREATE TRIGGER spoil AFTER `+event+` BEGIN INSERT INTO spoilt VALUES (1); END`)
	return func() { exec(`DROP TRIGGER spoil`, `DROP TABLE spoilt`, `DROP TABLE nowhere`) }
}

// A worker that does not know whether its commit was one comes back to the
// task, or finds that there is none any more.
func TestATaskWhoseCommitIsInDoubtComesBack(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 3)
		task := b.task(t, jobs.BatchTask)
		batch, err := b.Begin(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		before := b.tables(t)
		mend := b.spoil(t, "UPDATE OF done_at ON batches")
		if err := b.Finish(t.Context(), task, receipt(batch, 3, 0, 0, 0)); !errors.Is(err, audit.ErrDoubt) {
			t.Fatalf("finish: err = %v, want ErrDoubt", err)
		}
		mend()
		if b.tables(t) != before {
			t.Error("a commit that was none left something")
		}
		if err := b.Finish(t.Context(), task, receipt(batch, 3, 0, 0, 0)); err != nil {
			t.Fatal(err)
		}
		if err := b.Finish(t.Context(), task, receipt(batch, 3, 0, 0, 0)); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("finish again: err = %v, want ErrStale", err)
		}

		task = b.task(t, jobs.SettleTask)
		if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{}); err != nil {
			t.Fatal(err)
		}
		mend = b.spoil(t, "UPDATE OF status ON requests")
		if err := b.complete(t.Context(), task); !errors.Is(err, audit.ErrDoubt) {
			t.Fatalf("complete: err = %v, want ErrDoubt", err)
		}
		mend()
		if _, err := b.keys.Seal(r.ID); err != nil {
			t.Errorf("the seal key is gone before the request has ended: %v", err)
		}
		b.advance(2 * lease)
		if n, err := b.Expired(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d tasks came back, %v, want 1", n, err)
		}
		if err := b.complete(t.Context(), b.task(t, jobs.SettleTask)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Log().Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A client that does not know whether its request was filed asks again with
// the same key.
func TestASubmissionInDoubtKeepsItsKeysAndCanBeRepeated(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		body := sha256.Sum256([]byte("body"))
		s := jobs.Submission{By: jobs.ActorLocal, Selector: user("u1"), IdempotencyKey: "key-1", BodyDigest: body[:], Origin: jobs.OriginAPI}
		mend := b.spoil(t, "INSERT ON requests")
		if _, _, err := b.intake.Submit(t.Context(), s); !errors.Is(err, audit.ErrDoubt) {
			t.Fatalf("err = %v, want ErrDoubt", err)
		}
		mend()
		kept, err := b.keys.Sealed()
		if err != nil || len(kept) != 1 {
			t.Errorf("%d seal keys, %v, want 1: the request may have been filed", len(kept), err)
		}
		r, replayed, err := b.intake.Submit(t.Context(), s)
		if err != nil || replayed {
			t.Fatalf("again: replayed %v, %v", replayed, err)
		}
		if again, replayed, err := b.intake.Submit(t.Context(), s); err != nil || !replayed || again.ID != r.ID {
			t.Errorf("once more: %s, replayed %v, %v, want %s", again.ID, replayed, err, r.ID)
		}
	})
}

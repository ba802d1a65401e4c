package ledger_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// A scan looks for what must never stand in the ledger in the clear: on SQLite
// in its files, on PostgreSQL in its rows, for the files are the server's.
type scan struct {
	*book
	planted []string
}

// texts returns all that the ledger keeps, by where.
func (s scan) texts(t *testing.T) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	if s.on == onPostgres {
		var tables []string
		if err := s.raw.Select(&tables, `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`); err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			var rows []string // a text in a bytea shows as hex
			if err := s.raw.Select(&rows, `SELECT x::text || encode(convert_to(x::text, 'UTF8'), 'hex') FROM `+table+` x`); err != nil {
				t.Fatal(err)
			}
			texts[table] = []byte(strings.Join(rows, "\n"))
		}
		return texts
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "ledger.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if texts[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

func (s scan) clean(t *testing.T, when string) {
	t.Helper()
	texts := s.texts(t)
	if len(texts) == 0 {
		t.Fatal("there is nothing to look into")
	}
	for name, text := range texts {
		for _, p := range s.planted {
			for _, form := range []string{p, hex.EncodeToString([]byte(p))} {
				if i := bytes.Index(text, []byte(form)); i >= 0 {
					t.Errorf("%s: %s stands at byte %d of %s", when, p, i, name)
				}
			}
		}
	}
}

func TestTheScanSeesWhatStandsThere(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		if _, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user("u1"), Ticket: "TICKET-IN-THE-CLEAR"}); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, text := range (scan{book: b}).texts(t) {
			found += bytes.Count(text, []byte("TICKET-IN-THE-CLEAR"))
		}
		if found == 0 {
			t.Error("the scan would see nothing")
		}
	})
}

// At no point in time does a file of the ledger name anyone.
func TestCompletingWipesEverything(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		s := scan{book: b, planted: []string{"planted-user", "planted-agent", "planted-key", "planted-value", "planted-staged", "planted-id", hex.EncodeToString([]byte("planted-user"))}}

		const staged = 2500
		ids := make([]string, staged)
		for i := range ids {
			ids[i] = fmt.Sprintf("planted-staged-%d", i)
		}
		st := b.stage(t, ids...)
		s.clean(t, "staged")
		byID, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: st, Stores: []string{"notes"}, IdempotencyKey: "planted-key"})
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
		sel := store.Selector{UserID: "planted-user", AgentID: "planted-agent", Metadata: map[string]store.Value{"planted-key": store.StringValue("planted-value")}}
		bySelector, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: sel, Stores: []string{"notes"}})
		if err != nil {
			t.Fatal(err)
		}
		s.clean(t, "accepted")

		for _, task := range b.tasks(t) {
			if _, _, err := b.Replan(t.Context(), task); err != nil {
				t.Fatal(err)
			}
			for seq := 1; seq <= 3; seq++ {
				if err := b.Freeze(t.Context(), task, 1, seq, someIDs("planted-id", store.MaxBatch)); err != nil {
					t.Fatal(err)
				}
				s.clean(t, "frozen")
			}
			if err := b.Planned(t.Context(), task, jobs.Planned{Round: 1, Digest: "d"}, 0); err != nil {
				t.Fatal(err)
			}
		}
		tasks := b.tasks(t)
		batch, err := b.Begin(t.Context(), tasks[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Split(t.Context(), tasks[0], batch, len(batch.IDs)/2, 0); err != nil {
			t.Fatal(err)
		}
		s.clean(t, "split")
		for _, task := range append(tasks[1:], b.tasks(t)...) {
			b.erase(t, task)
			s.clean(t, "erased")
		}
		for _, task := range b.tasks(t) {
			if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{}); err != nil {
				t.Fatal(err)
			}
			if err := b.complete(t.Context(), task); err != nil {
				t.Fatal(err)
			}
		}
		s.clean(t, "completed")
		for _, r := range []jobs.Request{byID, bySelector} {
			wiped(t, b, r.ID)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		s.clean(t, "closed")
	})
}

// wiped checks that nothing is left of an ended request that could be opened.
func wiped(t *testing.T, b *book, id string) {
	t.Helper()
	if _, err := b.keys.Seal(id); !errors.Is(err, jobs.ErrGone) {
		t.Errorf("the seal key: err = %v, want ErrGone", err)
	}
	for _, left := range []string{
		"requests WHERE id = ? AND selector IS NOT NULL",
		"batches b JOIN jobs j ON j.id = b.job WHERE j.request = ? AND b.ids IS NOT NULL",
		"staged WHERE request = ?",
		"outbox WHERE request = ?",
	} {
		if n := b.count(t, left, id); n != 0 {
			t.Errorf("%d rows of %s", n, left)
		}
	}
	if n := b.count(t, "batches b JOIN jobs j ON j.id = b.job WHERE j.request = ? AND b.root IS NULL", id); n != 0 {
		t.Errorf("%d batches have lost their receipt", n)
	}
	if _, err := b.intake.SubjectKey(t.Context(), jobs.ActorLocal, id); err != nil {
		t.Errorf("the subject key: %v; it is kept for a while", err)
	}
	if _, err := b.intake.Certificate(t.Context(), jobs.ActorLocal, id); err != nil {
		t.Errorf("the certificate: %v", err)
	}
}

func TestCancellingWipesEverything(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "planted-user", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 10)
		b.rings(t)
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := b.keys.Seal(r.ID); !errors.Is(err, jobs.ErrGone) {
			t.Errorf("the seal key: err = %v, want ErrGone", err)
		}
		if n := b.count(t, "batches WHERE ids IS NOT NULL") + b.count(t, "requests WHERE selector IS NOT NULL"); n != 0 {
			t.Errorf("%d sealed columns are left", n)
		}
		scan{b, []string{"planted-user", r.Jobs[0].ID + "10-"}}.clean(t, "cancelled")
	})
}

// A crash after the commit leaves the seal key: the reconciler's question
// finds it. The key file is put back to make the crash.
func TestACrashBeforeTheSealIsDestroyedIsMended(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		open, ended := b.submit(t, "open", "memories"), b.submit(t, "ended", "notes")
		key := filepath.Join(filepath.Dir(b.dir), "keys", "seal", ended.ID)
		text, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range b.tasks(t) {
			if task.Request == ended.ID {
				b.plan(t, task)
			}
		}
		b.settle(t)
		if err := os.WriteFile(key, text, 0o600); err != nil {
			t.Fatal(err)
		}
		sealed, err := b.keys.Sealed()
		if err != nil || len(sealed) != 2 {
			t.Fatalf("%v, %v", sealed, err)
		}
		got, unfiled, err := b.Unsealed(t.Context(), sealed)
		if err != nil || len(got) != 1 || got[0] != ended.ID || len(unfiled) != 0 {
			t.Fatalf("got %v and %v, %v; want the ended request and not %s", got, unfiled, err, open.ID)
		}
		if err := b.keys.DestroySeal(got[0]); err != nil {
			t.Fatal(err)
		}
		wiped(t, b, ended.ID)
	})
}

// What the log must show cannot be written: then nothing ends and no key goes.
func TestNothingEndsWithoutItsEntry(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 2)
		b.erase(t, b.task(t, jobs.BatchTask))
		settle := b.task(t, jobs.SettleTask)
		if err := b.Verified(t.Context(), settle, b.Now(), jobs.Verification{}); err != nil {
			t.Fatal(err)
		}
		before := b.tables(t)
		if err := b.Complete(t.Context(), settle, &proof.Completed{}, jobs.Ending{KeyUntil: b.Now()}); !errors.Is(err, proof.ErrEntry) {
			t.Fatalf("err = %v, want ErrEntry", err)
		}
		if before != b.tables(t) {
			t.Error("something was written")
		}
		if _, err := b.keys.Seal(r.ID); err != nil {
			t.Errorf("the seal key: %v", err)
		}
		if err := b.complete(t.Context(), settle); err != nil {
			t.Errorf("then again: %v", err)
		}
	})
}

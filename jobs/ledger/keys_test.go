package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"lethe/audit/proof"
	"lethe/jobs"
)

func TestSubjectKeysAreDueAfterTheirTime(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		open := b.submit(t, "open", "memories")
		b.tasks(t) // claimed, so that the rest is about the other request
		r := b.submit(t, "u1", "notes")
		b.finish(t, 2)
		due := func(want ...string) {
			t.Helper()
			got, err := b.KeysDue(t.Context())
			if err != nil || len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
				t.Errorf("due: %v, %v; want %v and never %s", got, err, want, open.ID)
			}
		}
		b.advance(keepKey)
		due()
		b.advance(time.Millisecond)
		due(r.ID)

		entry := &proof.SubjectKeyDestroyed{RequestID: r.ID, DestroyedAt: proof.At(b.Now())}
		if err := b.keys.DestroySubject(r.ID); err != nil {
			t.Fatal(err)
		}
		if err := b.SubjectKeyGone(t.Context(), r.ID, entry); err != nil {
			t.Fatal(err)
		}
		due()
		if _, err := b.intake.SubjectKey(t.Context(), jobs.ActorLocal, r.ID); !errors.Is(err, jobs.ErrGone) {
			t.Errorf("err = %v, want ErrGone", err)
		}
		if err := b.SubjectKeyGone(t.Context(), r.ID, entry); err != nil {
			t.Errorf("again: %v", err)
		}
		if _, err := b.Certificate(t.Context(), proof.EntryID(r.ID, proof.KindSubjectKeyDestroyed)); err != nil {
			t.Errorf("the log's entry: %v", err)
		}
		if _, err := b.intake.Certificate(t.Context(), jobs.ActorLocal, r.ID); err != nil {
			t.Errorf("the certificate outlives its key: %v", err)
		}
	})
}

func TestKeysOfWhatWasNeverFiledGoAfterAnHour(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1")
		b.stage(t, "a") // and its process dies
		sealed, err := b.keys.Sealed()
		if err != nil || len(sealed) != 2 {
			t.Fatal(sealed, err)
		}
		sealed = append(sealed, uuid.NewString(), "not an ID") // what we did not make we do not touch
		b.advance(59 * time.Minute)
		if ended, unfiled, err := b.Unsealed(t.Context(), sealed); err != nil || len(ended)+len(unfiled) != 0 {
			t.Errorf("within the hour: %v, %v, %v", ended, unfiled, err)
		}
		b.advance(2 * time.Minute)
		ended, unfiled, err := b.Unsealed(t.Context(), sealed)
		if err != nil || len(ended) != 0 || len(unfiled) != 1 || unfiled[0] == r.ID {
			t.Errorf("after an hour: %v, %v, %v", ended, unfiled, err)
		}
	})
}

func TestReceiptsAreForEveryRequest(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		keys, err := proof.ParseKeys([]byte(b.key.Verifier))
		if err != nil {
			t.Fatal(err)
		}
		text, err := b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		res, err := proof.Verify(text, keys)
		if err != nil {
			t.Fatal(err)
		}
		subject, err := b.intake.SubjectKey(t.Context(), jobs.ActorLocal, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := res.Subject(subject, []byte(`{"user_id":"u1"}`)); err != nil || !ok {
			t.Errorf("the receipt does not open for its subject: %v, %v", ok, err)
		}
		if ok, _ := res.Subject(subject, []byte(`{"user_id":"u2"}`)); ok {
			t.Error("the receipt opens for another subject")
		}
		if _, err := b.intake.Certificate(t.Context(), jobs.ActorLocal, r.ID); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("before the end: err = %v, want ErrTooLate", err)
		}
		b.finish(t, 3)
		text, err = b.intake.Certificate(t.Context(), jobs.ActorLocal, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if res, err = proof.Verify(text, keys); err != nil || res.Entry.Kind() != proof.KindCompleted {
			t.Errorf("%v, %v", res, err)
		}
		for name, ask := range map[string]func() error{
			"receipt": func() error {
				_, err := b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, uuid.NewString())
				return err
			},
			"certificate": func() error {
				_, err := b.intake.Certificate(t.Context(), jobs.ActorLocal, uuid.NewString())
				return err
			},
			"key": func() error {
				_, err := b.intake.SubjectKey(t.Context(), jobs.ActorLocal, uuid.NewString())
				return err
			},
			"cancel": func() error { _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, uuid.NewString()); return err },
		} {
			if err := ask(); !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("%s of no request: err = %v, want ErrNotFound", name, err)
			}
		}
	})
}

package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// The log refuses its entry, which is the last step of the transaction.
func TestAcceptIsOneTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "before")
		empty := b.tables(t)

		refusing := &refusingLog{Ledger: b.Ledger}
		b.intake.Ledger = refusing
		_, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "u1"}, IdempotencyKey: "k"})
		if !errors.Is(err, proof.ErrEntry) {
			t.Fatalf("err = %v, want the log's refusal", err)
		}
		if d := cmp.Diff(empty, b.tables(t)); d != "" {
			t.Errorf("something was left behind:\n%s", d)
		}

		b.intake.Ledger = b.Ledger
		r := b.submit(t, "u1")
		if n := b.count(t, "requests WHERE id = ?", r.ID); n != 1 {
			t.Errorf("%d requests", n)
		}
		if n := b.count(t, "jobs WHERE request = ?", r.ID); n != 2 {
			t.Errorf("%d jobs, want 2", n)
		}
		if n := b.count(t, "outbox WHERE request = ? AND kind = 'plan' AND state = 'ready'", r.ID); n != 2 {
			t.Errorf("%d rows in the outbox, want 2", n)
		}
		if _, err := b.Certificate(t.Context(), proof.EntryID(r.ID, proof.KindAccepted)); err != nil {
			t.Errorf("the log's entry: %v", err)
		}
	})
}

// A refusingLog has the ledger append an entry that no log takes.
type refusingLog struct{ jobs.Ledger }

func (l *refusingLog) Accept(ctx context.Context, a jobs.Acceptance) (*jobs.Request, []byte, error) {
	a.Entry = &proof.Accepted{}
	return l.Ledger.Accept(ctx, a)
}

func TestIdempotencyKeyFindsTheSameRequest(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		body := sha256.Sum256([]byte("body"))
		s := jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "u1"}, IdempotencyKey: "key-1", BodyDigest: body[:]}
		const callers = 32
		var wg sync.WaitGroup
		ids, replays := make([]string, callers), make([]bool, callers)
		for i := range callers {
			wg.Go(func() {
				r, replayed, err := b.intake.Submit(t.Context(), s)
				if err != nil {
					t.Error(err)
				}
				ids[i], replays[i] = r.ID, replayed
			})
		}
		wg.Wait()
		fresh := 0
		for i := range ids {
			if ids[i] != ids[0] {
				t.Errorf("two requests: %s and %s", ids[0], ids[i])
			}
			if !replays[i] {
				fresh++
			}
		}
		if n := b.count(t, "requests"); n != 1 || fresh != 1 {
			t.Errorf("%d requests of which %d said to be new, want 1", n, fresh)
		}
		if sealed, err := b.keys.Sealed(); err != nil || len(sealed) != 1 {
			t.Errorf("%d seal keys, %v; those of the losers must go", len(sealed), err)
		}

		other := sha256.Sum256([]byte("other body"))
		s.BodyDigest = other[:]
		if _, _, err := b.intake.Submit(t.Context(), s); !errors.Is(err, jobs.ErrConflict) {
			t.Errorf("another body: err = %v, want ErrConflict", err)
		}
		s.IdempotencyKey = "key-2"
		if r, replayed, err := b.intake.Submit(t.Context(), s); err != nil || replayed || r.ID == ids[0] {
			t.Errorf("another key: %v, %v, %v", r.ID == ids[0], replayed, err)
		}
	})
}

// Two that both found nothing when they looked must still end up as one.
func TestOneOfTwoEqualAcceptancesWins(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		body := sha256.Sum256([]byte("body"))
		s := jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "u1"}, IdempotencyKey: "key", BodyDigest: body[:]}
		first, _, err := b.intake.Submit(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		b.intake.Ledger = blindLedger{b.Ledger}
		second, replayed, err := b.intake.Submit(t.Context(), s)
		if err != nil || !replayed || second.ID != first.ID {
			t.Errorf("replayed = %v, same = %v, %v", replayed, second.ID == first.ID, err)
		}
		other := sha256.Sum256([]byte("other"))
		s.BodyDigest = other[:]
		if _, _, err := b.intake.Submit(t.Context(), s); !errors.Is(err, jobs.ErrConflict) {
			t.Errorf("err = %v, want ErrConflict", err)
		}
		if n := b.count(t, "requests"); n != 1 {
			t.Errorf("%d requests", n)
		}
		if sealed, err := b.keys.Sealed(); err != nil || len(sealed) != 1 {
			t.Errorf("%d seal keys, %v; those of the losers must go", len(sealed), err)
		}
	})
}

// A blindLedger never finds an idempotency key outside of a transaction.
type blindLedger struct{ jobs.Ledger }

func (blindLedger) ByIdempotency(context.Context, []byte) (*jobs.Request, []byte, error) {
	return nil, nil, nil
}

func TestWhatWasFiledIsWhatIsRead(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r, _, err := b.intake.Submit(t.Context(), jobs.Submission{
			By: jobs.ActorLocal, Selector: store.Selector{UserID: "u1"}, Stores: []string{"notes"}, Ticket: "T-1", Regime: jobs.CCPA,
			Ground: "art17-1-b", Grace: 3600e9, Origin: jobs.OriginCLI, ReceivedAt: b.Now().AddDate(0, 0, -3),
		})
		if err != nil {
			t.Fatal(err)
		}
		ccpa := jobs.BuiltIn()[1]
		confirmBy, _ := ccpa.ConfirmBy(r.ReceivedAt)
		want := jobs.Request{
			ID: r.ID, Status: jobs.Waiting, Origin: "cli", FiledBy: "local", Ticket: "T-1", Regime: "ccpa", Ground: "art17-1-b",
			ReceivedAt: b.Now().AddDate(0, 0, -3), DueAt: ccpa.Due(r.ReceivedAt), Clock: jobs.Times{ConfirmBy: &confirmBy}, CreatedAt: b.Now(), NotBefore: b.Now().Add(3600e9),
			Jobs: []jobs.Job{{ID: r.Jobs[0].ID, Request: r.ID, Store: "notes", Kind: "tables-sqlite", Stage: jobs.StagePlanning, Evidence: store.EvidenceNone, Places: []jobs.PlaceCount{}}},
		}
		if d := cmp.Diff(want, r); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		text, err := b.Selector(t.Context(), r.ID)
		if err != nil || string(text) != `{"user_id":"u1"}` {
			t.Errorf("selector %s, %v", text, err)
		}
		if _, err := b.Request(t.Context(), "no such"); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("err = %v, want ErrNotFound", err)
		}
	})
}

package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
)

func TestCancelBeforeFirstBatchEndsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		rows := map[string]func(t *testing.T, b *book){
			"received": func(*testing.T, *book) {},
			"rung":     func(t *testing.T, b *book) { b.rings(t) },
			"planned":  func(t *testing.T, b *book) { b.plan(t, b.task(t, jobs.PlanTask), 3) },
		}
		for name, until := range rows {
			t.Run(name, func(t *testing.T) {
				b := newBook(t, on)
				r := b.submit(t, "u1", "notes")
				until(t, b)
				got, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID)
				if err != nil || got.Status != jobs.Cancelled || got.CompletedAt == nil || !got.Certificate {
					t.Fatalf("%+v, %v", got, err)
				}
				if n := b.count(t, "outbox"); n != 0 {
					t.Errorf("%d rows in the outbox", n)
				}
				if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); !errors.Is(err, jobs.ErrTooLate) {
					t.Errorf("again: err = %v, want ErrTooLate", err)
				}
				if entry := cancelled(t, b, r.ID); entry.Stores[0].Erased != 0 || entry.Stores[0].BatchesDone != 0 {
					t.Errorf("the log says %+v", entry.Stores[0])
				}
			})
		}
	})
}

// cancelled reads what the log says of a cancelled request.
func cancelled(t *testing.T, b *book, id string) *proof.Cancelled {
	t.Helper()
	text, err := b.intake.Certificate(t.Context(), jobs.ActorLocal, id)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(b.key.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	r, err := proof.Verify(text, keys)
	if err != nil {
		t.Fatal(err)
	}
	return r.Entry.(*proof.Cancelled)
}

func TestCancelWhileRunningWaits(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 3, 3)
		rings := b.rings(t)
		running := b.claim(t, rings[0])
		batch, err := b.Begin(t.Context(), running)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); err != nil || got.Status.Ended() {
			t.Fatalf("ended under a running batch: %s, %v", got.Status, err)
		}
		if err := b.Fence(t.Context(), running.Ring); !errors.Is(err, jobs.ErrStopped) {
			t.Errorf("fence: err = %v, want ErrStopped", err)
		}
		if _, err := b.Claim(t.Context(), rings[1], "w", lease); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("the other batch: err = %v, want ErrStale", err)
		}
		if ids, err := b.Stopped(t.Context()); err != nil || len(ids) != 0 {
			t.Errorf("stopped while a task runs: %v, %v", ids, err)
		}
		if err := b.Finish(t.Context(), running, receipt(batch, 3, 0, 0, 0)); err != nil {
			t.Fatal(err) // what was erased was erased
		}
		if ids, err := b.Stopped(t.Context()); err != nil || len(ids) != 1 || ids[0] != r.ID {
			t.Fatalf("stopped: %v, %v", ids, err)
		}
		if err := b.intake.EndStopped(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		if got := b.request(t, r.ID); got.Status != jobs.Cancelled || got.Jobs[0].Erased != 3 {
			t.Errorf("%s, erased %d", got.Status, got.Jobs[0].Erased)
		}
		if entry := cancelled(t, b, r.ID).Stores[0]; entry.Erased != 3 || entry.BatchesDone != 1 || entry.Batches != 2 {
			t.Errorf("the log says %+v", entry)
		}
	})
}

// The log must not say less than was erased: what a batch finished while the
// end was being prepared stands in the entry, too.
func TestTheCancelledEntryCountsTheLastBatch(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 3, 3)
		running := b.claim(t, b.rings(t)[0])
		batch, err := b.Begin(t.Context(), running)
		if err != nil {
			t.Fatal(err)
		}
		b.intake.Ledger = &lateFinish{Ledger: b.Ledger, finish: func() {
			if err := b.Finish(t.Context(), running, receipt(batch, 3, 0, 0, 0)); err != nil {
				t.Error(err)
			}
		}}
		got, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID)
		if err != nil || got.Status != jobs.Cancelled {
			t.Fatalf("%s, %v", got.Status, err)
		}
		if entry := cancelled(t, b, r.ID); entry.Stores[0].Erased != 3 || entry.BatchesRoot == proof.Digest(proof.BatchesRoot(nil)) {
			t.Errorf("3 IDs were erased, and the log says %+v", entry.Stores[0])
		}
	})
}

// A lateFinish ends the running batch just before the request ends.
type lateFinish struct {
	jobs.Ledger
	finish func()
}

func (l *lateFinish) EndCancelled(ctx context.Context, id string, e func(jobs.Record) proof.Entry, until time.Time) (bool, error) {
	l.finish()
	return l.Ledger.EndCancelled(ctx, id, e, until)
}

// A store that is down keeps a worker retrying; cancelling must end that.
func TestCancelEndsWhatIsBeingRetried(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		task := b.task(t, jobs.PlanTask)
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); err != nil {
			t.Fatal(err)
		}
		if err := b.Retry(t.Context(), task.Ring, time.Minute, "store-error"); err != nil {
			t.Fatal(err)
		}
		ids, err := b.Stopped(t.Context())
		if err != nil || len(ids) != 1 {
			t.Fatalf("stopped: %v, %v; no task of it runs any more", ids, err)
		}
		if err := b.intake.EndStopped(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		if got := b.request(t, r.ID); got.Status != jobs.Cancelled {
			t.Errorf("status %s", got.Status)
		}
	})
}

func TestCancelEndsWhatItsWorkerLeft(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.task(t, jobs.PlanTask)
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); err != nil {
			t.Fatal(err)
		}
		b.advance(lease + time.Millisecond)
		if n, err := b.Expired(t.Context()); err != nil || n != 0 {
			t.Errorf("%d rung again, %v; want the row dropped", n, err)
		}
		if ids, err := b.Stopped(t.Context()); err != nil || len(ids) != 1 {
			t.Errorf("stopped: %v, %v", ids, err)
		}
	})
}

func TestCompleteIsRefusedWhileCancelling(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask))
		settle := b.task(t, jobs.SettleTask)
		if err := b.Verified(t.Context(), settle, b.Now(), jobs.Verification{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); err != nil {
			t.Fatal(err)
		}
		if err := b.complete(t.Context(), settle); !errors.Is(err, jobs.ErrStopped) {
			t.Fatalf("err = %v, want ErrStopped", err)
		}
		if err := b.Drop(t.Context(), settle.Ring); err != nil {
			t.Fatal(err)
		}
		if err := b.intake.EndStopped(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		if got := b.request(t, r.ID); got.Status != jobs.Cancelled {
			t.Errorf("status %s", got.Status)
		}
		if err := b.intake.EndStopped(t.Context(), r.ID); err != nil {
			t.Errorf("ended again: %v, want nothing to happen", err)
		}
	})
}

func TestCompleteNeedsEveryJob(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1")
		for _, task := range b.tasks(t) {
			b.plan(t, task)
		}
		settles := b.tasks(t)
		if err := b.Verified(t.Context(), settles[0], b.Now(), jobs.Verification{}); err != nil {
			t.Fatal(err)
		}
		// The entry itself is in order; the ledger looks at its own rows.
		rec, err := b.Record(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		rec.Jobs = rec.Jobs[:1]
		entry := jobs.CompletedEntry(rec, nil, b.Now())
		if err := b.Complete(t.Context(), settles[0], entry, jobs.Ending{KeyUntil: b.Now()}); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("err = %v, want ErrStale", err)
		}
		if err := b.Verified(t.Context(), settles[1], b.Now(), jobs.Verification{}); err != nil {
			t.Fatal(err)
		}
		if err := b.complete(t.Context(), settles[1]); err != nil {
			t.Fatal(err)
		}
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("cancel after the end: err = %v, want ErrTooLate", err)
		}
	})
}

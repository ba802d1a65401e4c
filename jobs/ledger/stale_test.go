package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lethe/jobs"
	"lethe/store"
)

// Every way in which a worker writes, as one that lost its task would do it.
func workerWrites(b *book) map[string]func(context.Context, jobs.Task) error {
	return map[string]func(context.Context, jobs.Task) error{
		"Extend": func(ctx context.Context, t jobs.Task) error { return b.Extend(ctx, t.Ring, lease) },
		"Fence":  func(ctx context.Context, t jobs.Task) error { return b.Fence(ctx, t.Ring) },
		"Retry":  func(ctx context.Context, t jobs.Task) error { return b.Retry(ctx, t.Ring, 0, "late") },
		"Drop":   func(ctx context.Context, t jobs.Task) error { return b.Drop(ctx, t.Ring) },
		"Replan": func(ctx context.Context, t jobs.Task) error { _, _, err := b.Replan(ctx, t); return err },
		"Freeze": func(ctx context.Context, t jobs.Task) error { return b.Freeze(ctx, t, 1, 9, someIDs("late", 3)) },
		"Planned": func(ctx context.Context, t jobs.Task) error {
			return b.Planned(ctx, t, jobs.Planned{Round: 1, Digest: "late"}, 0)
		},
		"Begin":  func(ctx context.Context, t jobs.Task) error { _, err := b.Begin(ctx, t); return err },
		"Finish": func(ctx context.Context, t jobs.Task) error { return b.Finish(ctx, t, jobs.Receipt{Erased: 1}) },
		"Split": func(ctx context.Context, t jobs.Task) error {
			return b.Split(ctx, t, jobs.Batch{ID: t.Batch, IDs: []store.ID{{Place: "a", Key: "1"}, {Place: "a", Key: "2"}}}, 1, 0)
		},
		"Residue":  func(ctx context.Context, t jobs.Task) error { return b.Residue(ctx, t, 7) },
		"Verified": func(ctx context.Context, t jobs.Task) error { return b.Verified(ctx, t, b.Now(), jobs.Verification{}) },
		"Complete": b.complete,
	}
}

func TestStaleEpochWritesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 3, 3)
		tasks := b.tasks(t)
		b.erase(t, tasks[0])
		held := tasks[1]
		if _, err := b.Begin(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		b.submit(t, "u2", "notes")
		queued := held
		queued.Ring = b.rings(t)[0] // rung, but nobody's yet

		older, newer, unknown := held, held, held
		older.Epoch--
		newer.Epoch++
		unknown.ID = uuid.NewString()
		before := b.tables(t)
		for name, write := range workerWrites(b) {
			for what, task := range map[string]jobs.Task{"an old epoch": older, "a future epoch": newer, "no row": unknown, "a row that is not running": queued} {
				if err := write(t.Context(), task); !errors.Is(err, jobs.ErrStale) {
					t.Errorf("%s under %s: err = %v, want ErrStale", name, what, err)
				}
				if d := cmp.Diff(before, b.tables(t)); d != "" {
					t.Fatalf("%s under %s changed the book:\n%s", name, what, d)
				}
			}
		}
	})
}

// The same after the lease has ended, when the row is there under a new epoch
// and another worker has done the work.
func TestALateWorkerChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 3)
		late := b.task(t, jobs.BatchTask)
		if _, err := b.Begin(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		b.advance(lease + time.Millisecond)
		if _, err := b.Expired(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.erase(t, b.task(t, jobs.BatchTask))
		b.settle(t)
		before := b.tables(t)
		for name, write := range workerWrites(b) {
			err := write(t.Context(), late)
			if name == "Freeze" || name == "Split" {
				if !errors.Is(err, jobs.ErrGone) && !errors.Is(err, jobs.ErrStale) { // there is no key to seal under
					t.Errorf("%s: err = %v", name, err)
				}
			} else if !errors.Is(err, jobs.ErrStale) {
				t.Errorf("%s: err = %v, want ErrStale", name, err)
			}
			if d := cmp.Diff(before, b.tables(t)); d != "" {
				t.Fatalf("%s changed the book:\n%s", name, d)
			}
		}
	})
}

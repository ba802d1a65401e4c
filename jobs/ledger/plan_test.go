package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

func TestErasingBeginsWhenEveryJobIsPlanned(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1")
		tasks := b.tasks(t)
		if len(tasks) != 2 {
			t.Fatalf("%d tasks", len(tasks))
		}
		b.plan(t, tasks[0], 5, 5)
		if got := b.request(t, r.ID); got.Status != jobs.Planning || got.PlanHash != "" {
			t.Errorf("half planned: status %s, plan hash %q", got.Status, got.PlanHash)
		}
		if rings := b.rings(t); len(rings) != 0 {
			t.Fatalf("%d batches are rung on half a plan", len(rings))
		}
		b.plan(t, tasks[1]) // nothing found there
		got := b.request(t, r.ID)
		rec, err := b.Record(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := jobs.PlanHash(rec.Subject, 1, rec.Jobs); got.Status != jobs.Erasing || got.PlanHash != want {
			t.Errorf("planned: status %s, plan hash %s, want %s", got.Status, got.PlanHash, want)
		}
		kinds := map[jobs.TaskKind]int{}
		for _, task := range b.tasks(t) {
			kinds[task.Kind]++
			if task.Kind == jobs.BatchTask {
				b.erase(t, task)
			}
		}
		if d := cmp.Diff(map[jobs.TaskKind]int{jobs.BatchTask: 2, jobs.SettleTask: 1}, kinds); d != "" {
			t.Error(d)
		}
		if got := b.request(t, r.ID); got.Status != jobs.Verifying {
			t.Errorf("erased: status %s", got.Status)
		}
	})
}

func TestReplanForgetsHalfAPlan(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		task := b.task(t, jobs.PlanTask)
		for i := range 2 { // crashed after the second batch
			round, seq, err := b.Replan(t.Context(), task)
			if err != nil || round != 1 || seq != 1 {
				t.Fatalf("try %d: round %d, seq %d, %v", i, round, seq, err)
			}
			for s := range 2 {
				if err := b.Freeze(t.Context(), task, round, seq+s, someIDs("x", 3)); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.plan(t, task, 4)
		if got := b.request(t, r.ID).Jobs[0]; got.Found != 4 || got.BatchesTotal != 1 || got.Round != 1 {
			t.Errorf("planned %d IDs in %d batches, round %d; want 4 in 1, round 1", got.Found, got.BatchesTotal, got.Round)
		}
		b.erase(t, b.task(t, jobs.BatchTask))

		// A later round forgets its own half and nothing of the rounds before it.
		settle := b.task(t, jobs.SettleTask)
		for range 2 {
			round, seq, err := b.Replan(t.Context(), settle)
			if err != nil || round != 2 || seq != 2 {
				t.Fatalf("round %d, seq %d, %v; want 2, 2", round, seq, err)
			}
			if err := b.Freeze(t.Context(), settle, round, seq, someIDs("y", 2)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Planned(t.Context(), settle, jobs.Planned{Round: 2}, time.Second); err != nil {
			t.Fatal(err)
		}
		if rings := b.rings(t); len(rings) != 0 {
			t.Error("the second round did not wait")
		}
		b.advance(time.Second)
		got := b.request(t, r.ID)
		if got.Status != jobs.Erasing || got.Jobs[0].Found != 6 || got.Jobs[0].Round != 2 || got.Jobs[0].ErasedAt != nil {
			t.Errorf("second round: %s, %+v", got.Status, got.Jobs[0])
		}
		b.erase(t, b.task(t, jobs.BatchTask))
		b.settle(t)
	})
}

func TestFinishCountsOnce(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 10, 10)
		tasks := b.tasks(t)
		batch, err := b.Begin(t.Context(), tasks[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Finish(t.Context(), tasks[0], receipt(batch, 7, 2, 1, 0)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := b.Finish(t.Context(), tasks[0], receipt(batch, 10, 0, 0, 0)); !errors.Is(err, jobs.ErrStale) {
				t.Errorf("again: err = %v, want ErrStale", err)
			}
		}
		got := b.request(t, r.ID).Jobs[0]
		if got.Erased != 7 || got.Absent != 2 || got.Held != 1 || got.BatchesDone != 1 || got.Found != 20 || got.ErasedAt != nil || got.Evidence != store.EvidenceNone {
			t.Errorf("counts %+v", got)
		}
		b.advance(time.Minute)
		b.erase(t, tasks[1])
		got = b.request(t, r.ID).Jobs[0]
		if got.Erased+got.Absent+got.Held+got.Refused != got.Requested || got.Stage != jobs.StageVerifying || got.Evidence != store.EvidenceErased {
			t.Errorf("counts %+v", got)
		}
		if got.ErasedAt == nil || !got.ErasedAt.Equal(b.Now()) || got.FirstErasedAt == nil || !got.FirstErasedAt.Equal(b.Now().Add(-time.Minute)) {
			t.Errorf("erased from %v to %v", got.FirstErasedAt, got.ErasedAt)
		}
		if n := b.count(t, "outbox WHERE kind = 'settle'"); n != 1 {
			t.Errorf("%d settle tasks, want 1", n)
		}
	})
}

func TestSplitKeepsEveryID(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 7, 3)
		tasks := b.tasks(t)
		var task jobs.Task
		var batch jobs.Batch
		for _, x := range tasks {
			y, err := b.Begin(t.Context(), x)
			if err != nil {
				t.Fatal(err)
			}
			if len(y.IDs) == 7 {
				task, batch = x, y
			}
		}
		want := frozen(t, b, task)
		if err := b.Split(t.Context(), task, batch, len(batch.IDs)/2, time.Second); err != nil {
			t.Fatal(err)
		}
		got := frozen(t, b, task)
		if len(got) != 10 {
			t.Errorf("%d IDs after the split, want 10", len(got))
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the split changed what is frozen:\n%s", d)
		}
		if job := b.request(t, r.ID).Jobs[0]; job.Found != 10 || job.BatchesTotal != 3 {
			t.Errorf("%d IDs in %d batches", job.Found, job.BatchesTotal)
		}
		if rings := b.rings(t); len(rings) != 0 {
			t.Error("the halves did not wait")
		}
		b.advance(time.Second)
		halves := b.tasks(t)
		if len(halves) != 2 {
			t.Fatalf("%d halves", len(halves))
		}
		for _, half := range halves {
			if got := b.erase(t, half); got.Attempts != batch.Attempts {
				t.Errorf("a half begins at attempt %d, want %d", got.Attempts, batch.Attempts)
			}
		}
	})
}

// frozen lists every ID of a task's job.
func frozen(t *testing.T, b *book, task jobs.Task) (all []string) {
	t.Helper()
	last := 0
	for batch, err := range b.Batches(t.Context(), task) {
		if err != nil {
			t.Fatal(err)
		}
		if batch.Seq <= last {
			t.Errorf("batch %d after %d", batch.Seq, last)
		}
		last = batch.Seq
		for _, id := range batch.IDs {
			all = append(all, id.String())
		}
	}
	return all
}

func TestBatchesKeepWhatWasFrozen(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1", "notes")
		task := b.task(t, jobs.PlanTask)
		ids := []store.ID{{Place: "memories", Key: "a/b"}, {Place: "entities", Key: `q"\` + "\u2028é"}, {Place: "messages", Key: "9007199254740993"}}
		if _, _, err := b.Replan(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if err := b.Freeze(t.Context(), task, 1, 1, ids); err != nil {
			t.Fatal(err)
		}
		if err := b.Planned(t.Context(), task, jobs.Planned{Round: 1, Places: []jobs.PlaceCount{{Place: "memories", Found: 3}}, Missing: 2, Unattributable: 4}, 0); err != nil {
			t.Fatal(err)
		}
		got, err := b.Begin(t.Context(), b.task(t, jobs.BatchTask))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(ids, got.IDs); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		job := b.request(t, task.Request).Jobs[0]
		if job.Requested != 5 || job.Found != 3 || job.Absent != 2 || job.Unattributable != 4 || len(job.Places) != 1 {
			t.Errorf("%+v", job)
		}
	})
}

func TestPurgingServesWhatWasVerifiedBefore(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		var settles []jobs.Task
		for i := range 2 {
			b.submit(t, fmt.Sprint("u", i), "notes")
			b.plan(t, b.task(t, jobs.PlanTask))
			settles = append(settles, b.task(t, jobs.SettleTask))
		}
		if err := b.Verified(t.Context(), settles[0], b.Now(), jobs.Verification{Purge: true}); err != nil {
			t.Fatal(err)
		}
		if err := b.Retry(t.Context(), settles[0].Ring, time.Hour, "purge-window"); err != nil {
			t.Fatal(err)
		}
		began := b.Now()
		b.advance(time.Second)
		if err := b.Verified(t.Context(), settles[1], b.Now(), jobs.Verification{Purge: true}); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Purged(t.Context(), "memories", began); err != nil || n != 0 {
			t.Errorf("another store's purge served %d, %v", n, err)
		}
		if err := b.complete(t.Context(), settles[1]); !errors.Is(err, jobs.ErrStale) && !errors.Is(err, proof.ErrEntry) {
			t.Errorf("completed before the purge: err = %v", err)
		}
		if n, err := b.Purged(t.Context(), "notes", began); err != nil || n != 1 {
			t.Fatalf("served %d, %v; want the one verified before it began", n, err)
		}
		first, second := b.request(t, settles[0].Request).Jobs[0], b.request(t, settles[1].Request).Jobs[0]
		if first.Evidence != store.EvidencePurged || first.Stage != jobs.StageDone || first.PurgedAt == nil {
			t.Errorf("served: %+v", first)
		}
		if second.Evidence != store.EvidenceVerified || second.Stage != jobs.StagePurging || second.PurgedAt != nil {
			t.Errorf("not served: %+v", second)
		}
		if err := b.complete(t.Context(), b.task(t, jobs.SettleTask)); err != nil {
			t.Errorf("rung at once after the purge: %v", err)
		}
	})
}

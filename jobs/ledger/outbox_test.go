package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/jobs"
)

func TestOnlyOneClaimPerEpoch(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1", "notes")
		ring := b.rings(t)[0]
		for epoch := int64(1); epoch <= 3; epoch++ {
			ring.Epoch = epoch
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() {
					task, err := b.Claim(t.Context(), ring, fmt.Sprint("worker ", i), lease)
					switch {
					case err == nil:
						won.Add(1)
						if task.Attempts != int(epoch) {
							t.Errorf("epoch %d: attempt %d", epoch, task.Attempts)
						}
					case !errors.Is(err, jobs.ErrStale):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("epoch %d: %d claims succeeded, want 1", epoch, won.Load())
			}
			if err := b.Retry(t.Context(), ring, 0, "again"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestLeaseExpiryBumpsEpoch(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1", "notes")
		task := b.task(t, jobs.PlanTask)
		b.advance(lease)
		if n, err := b.Expired(t.Context()); err != nil || n != 0 {
			t.Errorf("at the lease's end: %d, %v; want none", n, err)
		}
		if err := b.Extend(t.Context(), task.Ring, lease); err != nil {
			t.Fatal(err)
		}
		b.advance(lease)
		if n, err := b.Expired(t.Context()); err != nil || n != 0 {
			t.Errorf("extended: %d, %v; want none", n, err)
		}
		b.advance(time.Millisecond)
		if n, err := b.Expired(t.Context()); err != nil || n != 1 {
			t.Errorf("after the lease: %d, %v; want 1", n, err)
		}
		if err := b.Extend(t.Context(), task.Ring, lease); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("the old holder: err = %v, want ErrStale", err)
		}
		if _, err := b.Claim(t.Context(), task.Ring, "late", lease); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("the old ring: err = %v, want ErrStale", err)
		}
		again := b.task(t, jobs.PlanTask)
		if again.ID != task.ID || again.Epoch != task.Epoch+1 || again.Attempts != 2 {
			t.Errorf("rung again as %+v", again)
		}
	})
}

func TestAbandonedTasksAreRungAtStart(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1", "notes")
		task := b.task(t, jobs.PlanTask)
		if n, err := b.Abandoned(t.Context()); err != nil || n != 1 {
			t.Errorf("%d, %v; want 1", n, err)
		}
		if again := b.task(t, jobs.PlanTask); again.Epoch != task.Epoch+1 {
			t.Errorf("epoch %d", again.Epoch)
		}
	})
}

func TestForgottenRingsAreRungAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1")
		old := b.rings(t)
		b.advance(15 * time.Second)
		if late, err := b.Overdue(t.Context(), 15*time.Second, 10); err != nil || len(late) != 0 {
			t.Errorf("overdue too early: %v, %v", late, err)
		}
		b.advance(time.Millisecond)
		late, err := b.Overdue(t.Context(), 15*time.Second, 10)
		if err != nil || len(late) != 2 {
			t.Fatalf("overdue: %v, %v; want 2", late, err)
		}
		if some, _ := b.Overdue(t.Context(), 15*time.Second, 1); len(some) != 1 {
			t.Errorf("%d, want no more than the limit", len(some))
		}
		if n, err := b.Forgotten(t.Context(), &old[0]); err != nil || n != 1 {
			t.Errorf("forgotten: %d, %v; want 1", n, err)
		}
		if n, err := b.Forgotten(t.Context(), &old[0]); err != nil || n != 0 {
			t.Errorf("forgotten twice: %d, %v; want 0", n, err)
		}
		b.claim(t, old[1])
		fresh := b.rings(t)
		if len(fresh) != 1 || fresh[0].ID != old[0].ID || fresh[0].Epoch != 2 {
			t.Fatalf("rung again: %v", fresh)
		}
		// A flushed queue: all that is queued, and nothing that runs.
		if n, err := b.Forgotten(t.Context(), nil); err != nil || n != 1 {
			t.Errorf("flushed: %d, %v; want 1", n, err)
		}
		if again := b.rings(t); len(again) != 1 || again[0].Epoch != 3 {
			t.Errorf("after the flush: %v", again)
		}
	})
}

func TestEnqueueHonoursTheWindow(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		for i := range 10 {
			b.submit(t, fmt.Sprint("u", i), "notes")
		}
		b.submit(t, "other", "memories")
		take := func(want int, windows map[string]int) []jobs.Ring {
			t.Helper()
			rings, err := b.Enqueue(t.Context(), windows)
			if err != nil || len(rings) != want {
				t.Fatalf("%d rings, %v; want %d", len(rings), err, want)
			}
			return rings
		}
		take(0, nil)
		first := take(3, map[string]int{"notes": 3})
		take(0, map[string]int{"notes": 3})
		take(1, map[string]int{"notes": 3, "memories": 3})
		task := b.claim(t, first[0])
		take(0, map[string]int{"notes": 3}) // a running one takes its place, too
		if err := b.Drop(t.Context(), task.Ring); err != nil {
			t.Fatal(err)
		}
		take(1, map[string]int{"notes": 3})
		if err := b.Unqueue(t.Context(), first[1], time.Second); err != nil {
			t.Fatal(err)
		}
		take(1, map[string]int{"notes": 3})
		b.advance(time.Second)
		take(6, map[string]int{"notes": 100})
	})
}

// Several relays at once must not each fill the window.
func TestRelaysShareTheWindow(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		for i := range 30 {
			b.submit(t, fmt.Sprint("u", i), "notes")
		}
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				rings, err := b.Enqueue(t.Context(), map[string]int{"notes": 4})
				if err != nil {
					t.Error(err)
				}
				taken.Add(int32(len(rings)))
			})
		}
		wg.Wait()
		if taken.Load() != 4 {
			t.Errorf("%d rows are queued in a window of 4", taken.Load())
		}
	})
}

func TestASmallJobIsNotStarved(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		for _, user := range []string{"big", "small"} {
			b.submit(t, user, "notes")
		}
		sizes := [][]int{make([]int, 50), make([]int, 2)}
		of := map[string]int{}
		for i, task := range b.tasks(t) {
			for j := range sizes[i] {
				sizes[i][j] = 1
			}
			b.plan(t, task, sizes[i]...)
			of[task.Job] = len(sizes[i])
			b.advance(time.Millisecond) // the big one came first
		}
		rings, err := b.Enqueue(t.Context(), map[string]int{"notes": 4})
		if err != nil || len(rings) != 4 {
			t.Fatalf("%d rings, %v", len(rings), err)
		}
		got := map[int]int{}
		for _, r := range rings {
			got[of[b.claim(t, r).Job]]++
		}
		if got[50] != 2 || got[2] != 2 {
			t.Errorf("of the first four, %d are of the big job and %d of the small one; want 2 and 2", got[50], got[2])
		}
	})
}

func TestNothingIsRungBeforeItsTime(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		if _, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user("u1"), Stores: []string{"notes"}, Grace: time.Hour}); err != nil {
			t.Fatal(err)
		}
		b.plan(t, b.task(t, jobs.PlanTask), 2) // which only reads
		b.advance(time.Hour - time.Millisecond)
		if rings := b.rings(t); len(rings) != 0 {
			t.Fatal("rung in its grace period")
		}
		b.advance(time.Millisecond)
		b.recount(t, b.task(t, jobs.PlanTask))
		task := b.task(t, jobs.BatchTask)
		if err := b.Fence(t.Context(), task.Ring); err != nil {
			t.Errorf("fence: %v", err)
		}
		// A clock that was put back must not make a worker drop its task for good.
		b.advance(-time.Minute)
		if err := b.Fence(t.Context(), task.Ring); err == nil || errors.Is(err, jobs.ErrStopped) || errors.Is(err, jobs.ErrStale) {
			t.Errorf("fence in the grace period: err = %v, want one that makes the worker come back", err)
		}
		if err := b.Retry(t.Context(), task.Ring, time.Second, "store-busy"); err != nil {
			t.Fatal(err)
		}
		if got := b.request(t, task.Request).Jobs[0].Note; got != "store-busy" {
			t.Errorf("note %q", got)
		}
		b.advance(time.Second - time.Millisecond)
		if rings := b.rings(t); len(rings) != 0 {
			t.Error("rung before the retry's time")
		}
		b.advance(time.Millisecond)
		if again := b.task(t, jobs.BatchTask); again.Epoch != task.Epoch+1 {
			t.Errorf("epoch %d", again.Epoch)
		}
	})
}

func TestTheBellRingsAfterEachCommitThatLeftWork(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		heard := func(what string) {
			t.Helper()
			select {
			case <-b.Bell():
			default:
				t.Errorf("no bell after %s", what)
			}
		}
		b.submit(t, "u1", "notes")
		heard("accept")
		task := b.task(t, jobs.PlanTask)
		if err := b.Retry(t.Context(), task.Ring, 0, ""); err != nil {
			t.Fatal(err)
		}
		heard("retry")
		b.plan(t, b.task(t, jobs.PlanTask), 1)
		heard("plan")
		b.erase(t, b.task(t, jobs.BatchTask))
		heard("finish")
		b.task(t, jobs.SettleTask)
		b.advance(lease + time.Millisecond)
		if _, err := b.Expired(t.Context()); err != nil {
			t.Fatal(err)
		}
		heard("expiry")
	})
}

package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
)

func (b *book) custodian() *jobs.Custodian {
	return &jobs.Custodian{Ledger: b.Ledger, Keys: b.keys, Now: b.Now, Poll: time.Millisecond, Patience: 5 * time.Minute}
}

func (b *book) hold(t testing.TB, id string) jobs.Hold {
	t.Helper()
	h, err := b.custodian().PlaceHold(t.Context(), jobs.HoldOrder{Selector: user(id), Reason: "litigation"}, jobs.ActorLocal)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What is held is a batch of its own, which every count has once, and which goes
// on when the hold ends: also if whoever released it died of that, and after a
// restart.
func TestHeldIDsWaitInABatchOfTheirOwn(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "canary-u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 5)
		h := b.hold(t, "canary-u1")
		task := b.task(t, jobs.BatchTask)
		batch, err := b.Begin(t.Context(), task)
		if err != nil || len(batch.Holds) != 1 || batch.Holds[0].ID != h.ID || batch.Holds[0].Selector.UserID != "canary-u1" {
			t.Fatalf("%d holds, %v", len(batch.Holds), err)
		}
		if err := b.Fence(t.Context(), task.Ring); err != nil {
			t.Fatal(err)
		}
		if err := b.SetAside(t.Context(), task, batch, batch.IDs[:2], batch.IDs[2:]); err != nil {
			t.Fatal(err)
		}
		if j := b.request(t, r.ID); j.Status != jobs.Erasing || j.Jobs[0].Held != 3 || j.Jobs[0].Found != 5 {
			t.Errorf("%s, held %d of %d", j.Status, j.Jobs[0].Held, j.Jobs[0].Found)
		}
		b.erase(t, b.task(t, jobs.BatchTask))
		held := b.request(t, r.ID)
		if j := held.Jobs[0]; held.Status != jobs.Held || j.Erased != 2 || j.Held != 3 || j.BatchesDone != 1 || j.BatchesTotal != 2 || j.Evidence != store.EvidenceErased {
			t.Errorf("%s, %+v", held.Status, j)
		}
		b.advance(time.Hour)
		for _, again := range []func() (int, error){
			func() (int, error) { return b.Expired(t.Context()) }, func() (int, error) { return b.Abandoned(t.Context()) },
			func() (int, error) { return b.Forgotten(t.Context(), nil) },
		} {
			if n, err := again(); n != 0 || err != nil {
				t.Errorf("%d rows are ready again, %v", n, err)
			}
		}
		if tables := b.tables(t); strings.Contains(tables, "canary") {
			t.Error("the selector of the hold can be read")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b.open(t)
		if list, err := b.custodian().Holds(t.Context(), jobs.ActorLocal); err != nil || len(list) != 1 || list[0].State != jobs.HoldActive {
			t.Fatalf("after a restart: %v, %v", list, err)
		}
		if rings := b.rings(t); len(rings) != 0 {
			t.Errorf("%d rings", len(rings))
		}
		if err := b.EndHold(t.Context(), h.ID, "counsel-1", "settled"); err != nil { // and no more: it dies
			t.Fatal(err)
		}
		if err := b.custodian().Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.request(t, r.ID); got.Status != jobs.Erasing || got.Jobs[0].Held != 0 || got.Jobs[0].Note != "" {
			t.Errorf("%s, held %d, note %q", got.Status, got.Jobs[0].Held, got.Jobs[0].Note)
		}
		if again := b.erase(t, b.task(t, jobs.BatchTask)); !slices.Equal(again.IDs, batch.IDs[2:]) || again.Attempts != 1 {
			t.Errorf("%d IDs, attempt %d", len(again.IDs), again.Attempts)
		}
		b.settle(t)
		if got := b.request(t, r.ID); got.Status != jobs.Completed || got.Jobs[0].Erased != 5 || got.Jobs[0].Held != 0 {
			t.Errorf("%s, %+v", got.Status, got.Jobs[0])
		}
		if err := b.EndHold(t.Context(), h.ID, "counsel-1", "settled"); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("released twice: %v", err)
		}
	})
}

// A hold that comes after a batch has begun is seen by its fence, by every other
// process too, and is in force only then.
func TestTheFenceSeesEveryHold(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		other := b
		if on == onPostgres {
			other = b.beside(t)
		}
		b.submit(t, "u1", "notes")
		b.plan(t, b.task(t, jobs.PlanTask), 2)
		task := b.task(t, jobs.BatchTask)
		if _, err := b.Begin(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		order := jobs.HoldOrder{Selector: user("u1"), Reason: "litigation", Until: b.Now().Add(time.Hour)}
		c := other.custodian()
		c.Patience = 20 * time.Millisecond
		if _, err := c.PlaceHold(t.Context(), order, jobs.ActorLocal); !errors.Is(err, jobs.ErrPlacing) {
			t.Fatalf("placed beside a batch at work: %v", err)
		}
		if err := b.Fence(t.Context(), task.Ring); !errors.Is(err, jobs.ErrHolds) {
			t.Errorf("fence: %v, want ErrHolds", err)
		}
		holds, err := b.Look(t.Context(), task)
		if err != nil || len(holds) != 1 {
			t.Fatalf("%d holds, %v", len(holds), err)
		}
		if err := b.Fence(t.Context(), task.Ring); err != nil {
			t.Errorf("fence of a batch that was compared: %v", err)
		}
		if active, err := other.Activate(t.Context(), holds[0].ID); err != nil || !active {
			t.Errorf("active %t, %v: no batch at work is without it", active, err)
		}
		if active, err := b.Activate(t.Context(), holds[0].ID); err != nil || !active {
			t.Errorf("again: active %t, %v", active, err)
		}
		b.advance(2 * time.Hour)
		if err := other.custodian().Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		other.advance(2 * time.Hour)
		for range 2 { // of two processes each
			if err := errors.Join(other.custodian().Turn(t.Context()), b.custodian().Turn(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := b.Holds(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("%d holds stand, %v", len(list), err)
		}
	})
}

// The keys of what stands are kept, and those of what has ended are not.
func TestKeysOfHoldsAreSwept(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		stands, ends := b.hold(t, "u1"), b.hold(t, "u2")
		if err := b.EndHold(t.Context(), ends.ID, "system", "until"); err != nil { // it dies before it destroys the keys
			t.Fatal(err)
		}
		b.advance(48 * time.Hour)
		sealed, err := b.keys.Sealed()
		if err != nil || len(sealed) != 2 {
			t.Fatal(sealed, err)
		}
		over, unfiled, err := b.Unsealed(t.Context(), sealed)
		if err != nil || len(over) != 0 || !slices.Equal(unfiled, []string{ends.ID}) {
			t.Errorf("to be destroyed: %v and %v, %v; want %s and not %s", over, unfiled, err, ends.ID, stands.ID)
		}
	})
}

// Processes that place and release holds at once, beside workers, wait for each
// other in no circle, and leave nothing behind.
func TestHoldsOfManyProcessesAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		first := newBook(t, on)
		books := []*book{first}
		if on == onPostgres {
			books = append(books, first.beside(t))
		}
		var ids []string
		for i := range 2 {
			ids = append(ids, first.submit(t, fmt.Sprint("u", i), "notes").ID)
		}
		for _, task := range first.tasks(t) {
			first.plan(t, task, 2, 2, 2)
		}
		var all, work sync.WaitGroup
		stop := make(chan struct{})
		for i, b := range slices.Repeat(books, 2) {
			rng := rand.New(rand.NewPCG(uint64(i), 6))
			all.Go(func() {
				for range 3 {
					c := b.custodian()
					h, err := c.PlaceHold(t.Context(), jobs.HoldOrder{Selector: user(fmt.Sprint("u", rng.IntN(2))), Reason: "audit"}, jobs.ActorLocal)
					if err == nil {
						time.Sleep(time.Duration(rng.IntN(10)) * time.Millisecond)
						_, err = c.ReleaseHold(t.Context(), h.ID, "settled", jobs.ActorLocal)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
			work.Go(func() { workBeside(t, b, stop) })
		}
		all.Wait()
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			settles := func(id string) bool { return first.request(t, id).Status == jobs.Verifying }
			if !slices.ContainsFunc(ids, func(id string) bool { return !settles(id) }) {
				break
			}
		}
		close(stop)
		work.Wait()
		if n := first.count(t, "batches"); n < 6 {
			t.Errorf("%d batches", n)
		}
		for _, id := range ids {
			if r := first.request(t, id); r.Status != jobs.Verifying || r.Jobs[0].Erased != 6 || r.Jobs[0].Held != 0 {
				t.Errorf("%s: erased %d, held %d", r.Status, r.Jobs[0].Erased, r.Jobs[0].Held)
			}
		}
	})
}

// workBeside erases what is not held: an ID is if its number is even.
func workBeside(t *testing.T, b *book, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		if err := b.custodian().Turn(t.Context()); err != nil {
			t.Error(err)
		}
		rings, err := b.Enqueue(t.Context(), map[string]int{"notes": 3})
		if err != nil {
			t.Error(err)
		}
		for _, r := range rings {
			task, err := b.Claim(t.Context(), r, "test", lease)
			if err != nil || task.Kind != jobs.BatchTask {
				continue
			}
			if err := eraseBeside(t, b, task); err != nil {
				t.Error(err)
			}
		}
	}
}

func eraseBeside(t *testing.T, b *book, task jobs.Task) error {
	batch, err := b.Begin(t.Context(), task)
	if err != nil {
		return err
	}
	for holds := batch.Holds; ; {
		even := func(id store.ID) bool { return len(holds) > 0 && strings.HasSuffix(id.Key, "0") }
		if slices.ContainsFunc(batch.IDs, even) {
			held := slices.DeleteFunc(slices.Clone(batch.IDs), func(id store.ID) bool { return !even(id) })
			return b.SetAside(t.Context(), task, batch, slices.DeleteFunc(slices.Clone(batch.IDs), even), held)
		}
		err := b.Fence(t.Context(), task.Ring)
		if err == nil {
			return b.Finish(t.Context(), task, receipt(batch, len(batch.IDs), 0, 0, 0))
		}
		if !errors.Is(err, jobs.ErrHolds) {
			return err
		}
		if holds, err = b.Look(t.Context(), task); err != nil {
			return err
		}
	}
}

// What nobody could mean places no hold, and leaves nothing behind.
func TestAHoldThatCannotBeMeantIsRefused(t *testing.T) {
	b := newBook(t, onSQLite)
	good := jobs.HoldOrder{Selector: user("u1"), Reason: "litigation"}
	for name, change := range map[string]func(o *jobs.HoldOrder, by *jobs.Actor){
		"no selector":     func(o *jobs.HoldOrder, _ *jobs.Actor) { o.Selector = store.Selector{} },
		"no reason":       func(o *jobs.HoldOrder, _ *jobs.Actor) { o.Reason = "" },
		"free text":       func(o *jobs.HoldOrder, _ *jobs.Actor) { o.Reason = "Smith v. Acme" },
		"over already":    func(o *jobs.HoldOrder, _ *jobs.Actor) { o.Until = b.Now() },
		"beyond all time": func(o *jobs.HoldOrder, _ *jobs.Actor) { o.Until = b.Now().AddDate(101, 0, 0) },
		"too many":        func(o *jobs.HoldOrder, _ *jobs.Actor) { o.Selector = store.Selector{IDs: manyIDs(jobs.MaxHoldIDs + 1)} },
		"a submitter":     func(_ *jobs.HoldOrder, by *jobs.Actor) { by.Role = jobs.RoleSubmitter },
		"an auditor":      func(_ *jobs.HoldOrder, by *jobs.Actor) { by.Role = jobs.RoleAuditor },
		"nobody":          func(_ *jobs.HoldOrder, by *jobs.Actor) { *by = jobs.Actor{} },
	} {
		o, by := good, jobs.Actor{ID: "counsel-1", Role: jobs.RoleApprover}
		change(&o, &by)
		if _, err := b.custodian().PlaceHold(t.Context(), o, by); err == nil {
			t.Errorf("%s: placed", name)
		}
	}
	if sealed, err := b.keys.Sealed(); err != nil || len(sealed) != 0 || b.count(t, "holds") != 0 {
		t.Errorf("left: keys %v, %d holds, %v", sealed, b.count(t, "holds"), err)
	}
}

func manyIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	return ids
}

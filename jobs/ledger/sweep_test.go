package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs"
	"lethe/jobs/ledger"
	"lethe/store"
)

// An aged store finds what it is told to, and may be down.
type aged struct {
	mu    sync.Mutex
	now   func() time.Time
	found int
	down  error
}

func (a *aged) set(found int, down error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found, a.down = found, down
}

func (a *aged) Clock(context.Context, string) (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now(), a.down
}

func (a *aged) Sight(context.Context, string, store.Selector, bool) (jobs.SweepSight, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return jobs.SweepSight{IDs: a.found, Places: []jobs.PlaceCount{{Place: "rows", Found: a.found, Total: 100_000}}}, a.down
}

func hourly(t testing.TB) jobs.Policy {
	t.Helper()
	s, err := jobs.Every(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return jobs.Policy{Name: "old", Stores: []string{"notes"}, Schedule: s, OlderThan: 24 * time.Hour, MaxRows: 300}
}

// sweeper runs a policy for a while, as the service does.
func (b *book) sweeper(a *aged, all ...jobs.Policy) *jobs.Sweeper {
	var ran time.Duration
	return &jobs.Sweeper{
		All: all, Ledger: b.Ledger, Intake: b.intake, Stores: a, Now: b.Now, Logger: slog.New(slog.DiscardHandler),
		Turn: 5 * time.Millisecond, Elapsed: func() time.Duration { ran += time.Minute; return ran },
	}
}

func (b *book) sweepFor(t testing.TB, s *jobs.Sweeper, until func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for end := time.Now().Add(30 * time.Second); !until() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-done
	if !until() {
		t.Fatal("not in time")
	}
}

func (b *book) swept(t testing.TB) []jobs.Sweep {
	t.Helper()
	list, err := b.LastSweeps(t.Context(), "old", 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Of many schedulers that take the same tick at once, one has it; and of many that
// run it at once, one files its request, with its row, and no key of the others is
// left.
func TestATickIsTakenAndFiledOnce(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		books := []*book{b}
		if on == onPostgres {
			books = append(books, b.beside(t))
		}
		a := &aged{now: b.Now, found: 5}
		p := hourly(t)
		if _, err := b.Swept(t.Context(), "old", "notes"); err != nil {
			t.Fatal(err)
		}
		for _, other := range books {
			other.advance(100 * time.Minute)
		}
		var group sync.WaitGroup
		for i := range 8 {
			on := books[i%len(books)]
			s := on.sweeper(a, p)
			group.Go(func() {
				on.sweepFor(t, s, func() bool {
					list, err := on.LastSweeps(t.Context(), "old", 100)
					return err == nil && len(list) > 0 && list[0].State == jobs.SweepFiled
				})
			})
		}
		group.Wait()
		list := b.swept(t)
		requests, err := b.List(t.Context(), "", nil, 100, "")
		if err != nil || len(list) != 1 || len(requests) != 1 || list[0].Request != requests[0].ID {
			t.Fatalf("%d sweeps, %d requests, %v", len(list), len(requests), err)
		}
		r := requests[0]
		if r.Origin != jobs.OriginSweep || r.FiledBy != "policy/old" || r.Clock.ConfirmBy != nil || len(r.Jobs) != 1 || r.Jobs[0].Store != "notes" {
			t.Errorf("%+v", r)
		}
		sealed, err := b.keys.Sealed()
		if err != nil || len(sealed) != 1 {
			t.Errorf("%d keys for one request, %v", len(sealed), err)
		}
		if err := b.EndSweep(t.Context(), list[0]); !errors.Is(err, jobs.ErrSwept) || b.swept(t)[0].State != jobs.SweepFiled {
			t.Errorf("it ends twice: %v", err)
		}
		text, err := b.Selector(t.Context(), r.ID)
		want := list[0].AsOf.Add(-24 * time.Hour)
		if sel, bad := jobs.DecodeSelector(text); err != nil || bad != nil || !sel.CreatedBefore.Equal(want) {
			t.Errorf("selector of %s, %v, %v", sel.CreatedBefore, err, bad)
		}
	})
}

// A process that dies when it has taken a tick, and has filed nothing, leaves it
// open; one that dies between the keys and the commit leaves no request. The next
// files it, once.
func TestATickThatWasTakenAndNotFiledIsNotLost(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		a, p := &aged{now: b.Now, found: 5}, hourly(t)
		known, err := b.Swept(t.Context(), "old", "notes")
		if err != nil {
			t.Fatal(err)
		}
		b.advance(2 * time.Hour)
		due, n, _ := p.Schedule.Last(known.Newest, b.Now())
		w := jobs.Sweep{ID: "0193a000-0000-7000-8000-000000000001", Policy: "old", Store: "notes", DueAt: due, Missed: n - 1, NextAt: due}
		for i, want := range []bool{true, false} {
			if taken, err := b.OpenSweep(t.Context(), w, known.Newest); err != nil || taken != want {
				t.Fatalf("%d: %v, %v", i, taken, err)
			}
		}
		if mine, err := b.TrySweep(t.Context(), w.ID, b.Now().Add(time.Minute)); err != nil || !mine {
			t.Fatal(mine, err)
		}
		if mine, err := b.TrySweep(t.Context(), w.ID, b.Now().Add(time.Minute)); err != nil || mine {
			t.Fatal("tried by two at once", err)
		}
		// And here the process dies.
		b.advance(time.Minute)
		b.sweepFor(t, b.sweeper(a, p), func() bool { return b.swept(t)[0].State == jobs.SweepFiled })
		if list := b.swept(t); len(list) != 1 || list[0].ID != w.ID || list[0].Missed != n-1 {
			t.Errorf("%+v", list)
		}
		if requests, err := b.List(t.Context(), "", nil, 100, ""); err != nil || len(requests) != 1 {
			t.Errorf("%d requests, %v", len(requests), err)
		}
	})
}

// A store that is down at the time of a sweep is caught up with later, whatever
// comes between, and the metric says so.
func TestAStoreThatIsDownIsSweptLater(t *testing.T) {
	b := newBook(t, onSQLite)
	a, p := &aged{now: b.Now}, hourly(t)
	c := ledger.NewCollector(b.Ledger, p)
	metric := func(name string) float64 {
		t.Helper()
		v := 0.0
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(c)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if f.GetName()+"{"+l.GetValue()+"}" == name {
						v = m.GetCounter().GetValue() + m.GetGauge().GetValue()
					}
				}
			}
		}
		return v
	}
	if n := testutil.CollectAndCount(c, "lethe_sweep_refused_total", "lethe_sweep_last_success_timestamp_seconds"); n != len(jobs.SweepRefusals())+1 {
		t.Errorf("%d series from the start", n)
	}
	if _, err := b.Swept(t.Context(), "old", "notes"); err != nil {
		t.Fatal(err)
	}
	a.set(5, fmt.Errorf("notes: %w", store.ErrUnavailable))
	s := b.sweeper(a, p)
	for range 3 {
		b.advance(time.Hour)
		before := metric("lethe_sweep_refused_total{store-down}")
		b.sweepFor(t, s, func() bool { return metric("lethe_sweep_refused_total{store-down}") > before })
	}
	if at := metric("lethe_sweep_last_success_timestamp_seconds{old}"); at != 0 {
		t.Errorf("a success at %f", at)
	}
	if late := metric("lethe_sweep_late_seconds{old}"); late < 2*3600 || late > 3*3600 { // since the first of three ticks
		t.Errorf("late by %f s", late)
	}
	a.set(0, nil)
	b.advance(2 * time.Minute)
	b.sweepFor(t, s, func() bool { return b.swept(t)[0].State == jobs.SweepEmpty })
	var states []string
	covered := 0
	for _, w := range b.swept(t) {
		states, covered = append(states, string(w.State)), covered+w.Missed+1
	}
	if got := strings.Join(states, " "); got != "empty covered covered" || covered != 3 {
		t.Errorf("%s, which cover %d ticks", got, covered)
	}
	if at := metric("lethe_sweep_last_success_timestamp_seconds{old}"); at != float64(b.Now().UnixMilli())/1000 {
		t.Errorf("the last success at %f", at)
	}
	if late := metric("lethe_sweep_late_seconds{old}"); late != 0 {
		t.Errorf("late by %f s though it has been run", late)
	}
	b.advance(90 * time.Minute) // and nobody takes the tick
	if late := metric("lethe_sweep_late_seconds{old}"); late < 30*60 || late > 90*60 {
		t.Errorf("late by %f s", late)
	}
}

// The brakes that count are those that the request was filed with: a plan beyond
// them waits, also of a process that knows of none.
func TestTheBrakesOfASweepAreFrozenWithIt(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		a, p := &aged{now: b.Now, found: 120}, hourly(t)
		s := b.sweeper(a, p)
		run := func() jobs.Request {
			t.Helper()
			list, err := s.Sweep(t.Context(), jobs.ActorLocal, "old")
			if err != nil || list[0].State != jobs.SweepFiled {
				t.Fatalf("%+v, %v", list, err)
			}
			b.advance(time.Second)
			return b.request(t, list[0].Request)
		}
		end := func(r jobs.Request) {
			b.raw.MustExec(b.raw.Rebind(`UPDATE requests SET completed_at = 1, status = 'completed' WHERE id = ?`), r.ID)
		}
		for _, c := range []struct {
			planned int
			want    string
		}{{120, ""}, {301, jobs.BeyondRows}, {300, ""}} {
			r := run()
			b.planRows(t, b.task(t, jobs.PlanTask), c.planned)
			r = b.request(t, r.ID)
			codes := ""
			for _, x := range r.Approval.Beyond {
				codes += x.Code
			}
			if codes != c.want || (r.Status == jobs.AwaitingApproval) != (c.want != "") {
				t.Errorf("%d rows: %s, %q, want %q", c.planned, r.Status, codes, c.want)
			}
			if list, err := s.Sweep(t.Context(), jobs.ActorLocal, "old"); err != nil || list[0].State != jobs.SweepRefused || list[0].Reason != jobs.RefusedOverlap {
				t.Errorf("overlapping: %+v, %v", list, err)
			}
			end(r)
			b.raw.MustExec(`DELETE FROM outbox`)
			b.advance(time.Second)
		}
		a.set(6, nil)
		p.MaxRows = 0
		few := b.sweeper(a, p)
		for range 7 { // what is usual becomes little
			list, err := few.Sweep(t.Context(), jobs.ActorLocal, "old")
			if err != nil || list[0].State != jobs.SweepFiled {
				t.Fatal(list, err)
			}
			end(b.request(t, list[0].Request))
			b.raw.MustExec(`DELETE FROM outbox`)
			b.advance(time.Second)
		}
		a.set(101, nil)
		list, err := few.Sweep(t.Context(), jobs.ActorLocal, "old")
		if err != nil {
			t.Fatal(err)
		}
		b.planRows(t, b.task(t, jobs.PlanTask), 101)
		if r := b.request(t, list[0].Request); len(r.Approval.Beyond) != 1 || r.Approval.Beyond[0] != (jobs.Excess{Code: jobs.BeyondUnusual, Store: "notes", Found: 101, Of: 100}) {
			t.Errorf("unusual: %+v", r.Approval)
		}
	})
}

// Tasks of sweeps come after those that people wait for, and are marked for the low
// queue; a request of people is not.
func TestSweepsYieldToPeople(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		a := &aged{now: b.Now, found: 5}
		if list, err := b.sweeper(a, hourly(t)).Sweep(t.Context(), jobs.ActorLocal, "old"); err != nil || list[0].State != jobs.SweepFiled {
			t.Fatal(list, err)
		}
		b.advance(time.Second)
		b.submit(t, "u1", "notes")
		var low []bool
		for range 2 {
			rings, err := b.Enqueue(t.Context(), map[string]int{"notes": len(low) + 1})
			if err != nil || len(rings) != 1 {
				t.Fatal(rings, err)
			}
			task := b.claim(t, rings[0])
			if low = append(low, rings[0].Low); task.Sweep != rings[0].Low {
				t.Errorf("task %+v", task)
			}
		}
		if !slices.Equal(low, []bool{false, true}) {
			t.Errorf("low: %v", low)
		}
	})
}

// What a sweep leaves has left its batch: it is in no count but its own, and the
// job ends all the same.
func TestWhatASweepLeavesHasNoReceipt(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		a := &aged{now: b.Now, found: 5}
		list, err := b.sweeper(a, hourly(t)).Sweep(t.Context(), jobs.ActorLocal, "old")
		if err != nil {
			t.Fatal(err)
		}
		b.plan(t, b.task(t, jobs.PlanTask), 3, 2)
		for i, task := range b.tasks(t) {
			batch, err := b.Begin(t.Context(), task)
			if err != nil {
				t.Fatal(err)
			}
			r := jobs.Receipt{Kept: len(batch.IDs)}
			if len(batch.IDs) == 3 {
				r = jobs.Receipt{Kept: 2, IDs: batch.IDs[1:2], Erased: 1, Leaves: make([][32]byte, 1)}
			}
			if err := b.Finish(t.Context(), task, r); err != nil {
				t.Fatal(i, err)
			}
		}
		j := b.request(t, list[0].Request).Jobs[0]
		if j.Found != 1 || j.Erased != 1 || j.Kept != 4 || j.BatchesTotal != 1 || j.BatchesDone != 1 || j.Stage != jobs.StageVerifying {
			t.Errorf("%+v", j)
		}
		task := b.task(t, jobs.SettleTask)
		n := 0
		for batch, err := range b.Batches(t.Context(), task) {
			if n += len(batch.IDs); err != nil {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("%d IDs are read again, want the one that was erased", n)
		}
	})
}

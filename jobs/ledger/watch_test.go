package ledger_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// A shop is stores that list the rows that it is given.
type shop struct {
	now  func() time.Time
	rows []store.Row
	err  error
}

func (s *shop) Clock(context.Context, string) (time.Time, error) { return s.now(), nil }

func (s *shop) Rows(context.Context, string) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		if s.err != nil {
			yield(store.Row{}, s.err)
			return
		}
		for _, r := range s.rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// forgotten has a person forgotten in the store memories, with so many rows, and
// returns them as a backup would bring them back.
func (b *book) forgotten(t testing.TB, who string, n int, looks ...time.Duration) (request string, rows []store.Row) {
	t.Helper()
	r := b.submit(t, who, "memories")
	m, err := (&jobs.Suppression{Keys: b.keys}).Marker(b.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.plan(t, b.task(t, jobs.PlanTask), n)
	task := b.task(t, jobs.BatchTask)
	batch, err := b.Begin(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	got := receipt(batch, n, 0, 0, 0)
	got.Epoch, got.Marks = m.Epoch, m.Marks("memories", batch.IDs)
	if err := b.Finish(t.Context(), task, got); err != nil {
		t.Fatal(err)
	}
	task = b.task(t, jobs.SettleTask)
	if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{}); err != nil {
		t.Fatal(err)
	}
	rec, err := b.Record(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	of := store.Field{Name: "user_id", Value: who}
	end := jobs.Ending{KeyUntil: b.Now().Add(keepKey), Epoch: m.Epoch, Who: []jobs.Mark{m.Who(of)}, Watch: looks}
	if err := b.Complete(t.Context(), task, jobs.CompletedEntry(rec, nil, b.Now()), end); err != nil {
		t.Fatal(err)
	}
	for _, id := range batch.IDs {
		rows = append(rows, store.Row{ID: id, Who: []store.Field{of}, Made: b.Now().Add(-time.Hour)})
	}
	return r.ID, rows
}

// graves are the marks that a store would be compared with, by request.
func (b *book) graves(t testing.TB, since time.Time, requests ...string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for g, err := range b.Graves(t.Context(), "memories", since, requests) {
		if err != nil {
			t.Fatal(err)
		}
		found[g.Request] += len(g.Marks) / len(jobs.Mark{})
	}
	return found
}

// watch looks for what has come back by a shop.
func (b *book) watch(s *shop) *jobs.Watch {
	return &jobs.Watch{
		Ledger: b.Ledger, Keys: b.keys, Intake: b.intake, Stores: s, Names: []string{"memories"}, Erase: map[string]bool{},
		Now: b.Now, Logger: slog.New(slog.DiscardHandler), Turn: 5 * time.Millisecond,
	}
}

// runWatches lets watches run until no look is due.
func (b *book) runWatches(t testing.TB, all ...*jobs.Watch) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for _, w := range all {
		group.Go(func() { _ = w.Run(ctx) })
	}
	due := -1
	for end := time.Now().Add(time.Minute); due != 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		if due, err = b.WatchesDue(t.Context(), "memories"); err != nil {
			t.Error(err)
			break
		}
	}
	cancel()
	if group.Wait(); due != 0 {
		t.Fatalf("%d looks are due", due)
	}
}

// Of what a completed request has erased its marks are there, of it alone, and who
// was forgotten is recognized; until the key of the month is destroyed.
func TestMarksStayUntilTheirMonthIsForgotten(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		first, _ := b.forgotten(t, "u1", 3)
		b.advance(time.Hour)
		between := b.Now()
		b.advance(time.Hour)
		second, _ := b.forgotten(t, "u2", 1)
		for name, c := range map[string]struct {
			got, want map[string]int
		}{
			"all":         {b.graves(t, time.Time{}), map[string]int{first: 4, second: 2}},
			"since":       {b.graves(t, between), map[string]int{second: 2}},
			"of one":      {b.graves(t, time.Time{}, first), map[string]int{first: 4}},
			"of no other": {b.graves(t, between, first), map[string]int{}},
		} {
			if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
				t.Errorf("%s: %v, want %v", name, c.got, c.want)
			}
		}
		m, err := (&jobs.Suppression{Keys: b.keys}).Marker(b.Now())
		if err != nil {
			t.Fatal(err)
		}
		asks := func(who string) *jobs.Suppressed {
			s, err := b.Suppressed(t.Context(), []jobs.Mark{m.Who(store.Field{Name: "run_id", Value: who}), m.Who(store.Field{Name: "user_id", Value: who})})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := asks("u1"); s == nil || s.Request != first || !s.ErasedAt.Before(between) || s.FiledBy != jobs.ActorLocal.ID {
			t.Errorf("u1: %+v", s)
		}
		if s := asks("u3"); s != nil {
			t.Errorf("u3: %+v", s)
		}
		for range 2 { // two processes
			if err := b.ForgetEpoch(t.Context(), m.Epoch, &proof.SuppressionDestroyed{Epoch: m.Epoch, DestroyedAt: proof.At(b.Now())}); err != nil {
				t.Fatal(err)
			}
		}
		if epochs, err := b.SuppressionEpochs(t.Context()); err != nil || len(epochs) > 0 || len(b.graves(t, time.Time{})) > 0 || asks("u1") != nil {
			t.Errorf("after the key was destroyed: %v, %v", epochs, err)
		}
		if kinds := b.kinds(t, m.Epoch); !slices.Equal(kinds, []string{proof.KindSuppressionDestroyed}) {
			t.Errorf("the log has %v", kinds)
		}
	})
}

// Watches of two processes take each look once, however many are due; a store that
// lists nothing is said to be unable, and what has come back is filed once, with the
// entry that supersedes the certificate.
func TestEachLookIsAnsweredOnceByTwoProcesses(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		first, rows := b.forgotten(t, "u1", 3, time.Hour, 24*time.Hour)
		clean, _ := b.forgotten(t, "u2", 1, time.Hour)
		s := &shop{now: b.Now, rows: rows}
		all := []*jobs.Watch{b.watch(s)}
		b.advance(25 * time.Hour)
		if on == onPostgres { // SQLite has one process
			other := b.beside(t)
			all = append(all, other.watch(s))
		}
		b.runWatches(t, append(all, b.watch(s), b.watch(s))...)
		var filed []string
		if err := b.raw.Select(&filed, `SELECT id FROM requests WHERE origin = 'watch'`); err != nil || len(filed) != 1 {
			t.Fatalf("filed %v, %v", filed, err)
		}
		if got := b.request(t, first).Superseded; got != filed[0] || b.request(t, clean).Superseded != "" {
			t.Errorf("superseded by %q, want %s", got, filed[0])
		}
		if kinds := b.kinds(t, first); !slices.Equal(kinds, []string{proof.KindAccepted, proof.KindCompleted, proof.KindSuperseded}) {
			t.Errorf("the log has %v", kinds)
		}
		if n := b.count(t, "watches WHERE request = ? AND back = 3 AND filed = ? AND done_at IS NOT NULL", first, filed[0]); n != 2 {
			t.Errorf("%d looks say what they found, want 2", n)
		}
		if n := b.count(t, "watches WHERE request = ? AND back = 0 AND filed = '' AND done_at IS NOT NULL", clean); n != 1 {
			t.Errorf("%d looks of who did not come back", n)
		}
	})
}

// While what a look has filed is not erased, the next one waits; a store that is
// down has them late, and one that lists nothing is said to be unable.
func TestALookWaitsForWhatAnEarlierOneHasFiled(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		_, rows := b.forgotten(t, "u1", 1, time.Hour, 2*time.Hour)
		s := &shop{now: b.Now, rows: rows}
		b.advance(time.Hour + time.Minute)
		b.runWatches(t, b.watch(s))
		b.advance(time.Hour)
		taken, err := b.TakeWatches(t.Context(), "memories", b.Now().Add(time.Minute), 10)
		if err != nil || len(taken) != 1 || !taken[0].Busy {
			t.Fatalf("%+v, %v", taken, err)
		}
		if again, err := b.TakeWatches(t.Context(), "memories", b.Now().Add(time.Minute), 10); err != nil || len(again) != 0 {
			t.Errorf("taken twice: %+v, %v", again, err)
		}
		if late, err := b.WatchLate(t.Context(), "memories"); err != nil || late != time.Minute {
			t.Errorf("late for %s, %v", late, err)
		}
		b.finish(t, 1)
		if err := b.PutOff(t.Context(), taken, b.Now()); err != nil {
			t.Fatal(err)
		}
		taken, err = b.TakeWatches(t.Context(), "memories", b.Now().Add(time.Minute), 10)
		if err != nil || len(taken) != 1 || taken[0].Busy {
			t.Fatalf("%+v, %v", taken, err)
		}
		taken[0].Unable = true
		for range 2 {
			if err := b.EndWatches(t.Context(), taken); err != nil {
				t.Fatal(err)
			}
			taken[0].Unable = false // what has ended stays as it is
		}
		if n := b.count(t, "watches WHERE unable = 1"); n != 1 {
			t.Errorf("%d looks were unable, want 1", n)
		}
		if late, err := b.WatchLate(t.Context(), "memories"); err != nil || late != 0 {
			t.Errorf("late for %s, %v", late, err)
		}
	})
}

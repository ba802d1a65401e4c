package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
)

// The people of these tests. What is filed was filed by "tok-filer".
var (
	filer  = jobs.Actor{ID: "tok-filer", Role: jobs.RoleAdmin}
	second = jobs.Actor{ID: "tok-second", Role: jobs.RoleApprover}
)

// newRuled returns a book with rules of its own.
func newRuled(t testing.TB, on where, rules jobs.Rules) *book {
	t.Helper()
	b := newBook(t, on)
	b.Close()
	o := b.options()
	o.Rules = rules
	b.openWith(t, o)
	return b
}

// few allow 5 rows, and a tenth more or fewer of them, or 100.
func few() jobs.Rules { return jobs.Rules{Limits: jobs.Limits{MaxRows: 5, Tolerance: 0.1}} }

// filed submits a request as the filer.
func (b *book) filed(t testing.TB, id string, grace time.Duration, stores ...string) jobs.Request {
	t.Helper()
	r, _, err := b.intake.Submit(t.Context(), jobs.Submission{Selector: user(id), Stores: stores, Grace: grace, Origin: jobs.OriginAPI})
	if err != nil {
		t.Fatal(err)
	}
	b.raw.MustExec(b.raw.Rebind(`UPDATE requests SET filed_by = ? WHERE id = ?`), filer.ID, r.ID)
	return r
}

// planRows plans a claimed task with so many IDs, found in one place.
func (b *book) planRows(t testing.TB, task jobs.Task, rows int) {
	t.Helper()
	round, seq, err := b.Replan(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if rows > 0 {
		if err := b.Freeze(t.Context(), task, round, seq, someIDs(fmt.Sprint(task.Job, round), rows)); err != nil {
			t.Fatal(err)
		}
	}
	p := jobs.Planned{Round: round, Digest: fmt.Sprint("d", rows), MapVersion: "m1", Places: []jobs.PlaceCount{{Place: "memories", Found: rows, Total: 10_000}}}
	if err := b.Planned(t.Context(), task, p, 0); err != nil {
		t.Fatal(err)
	}
}

// entries returns the log's, oldest first.
func (b *book) entries(t testing.TB) (list []proof.Entry) {
	t.Helper()
	lines, err := b.Log().Tail(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range lines {
		list = append(list, x.Entry)
	}
	return list
}

// gather returns the gauges of a collector by their text.
func gather(t testing.TB, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			got[name] = m.GetGauge().GetValue()
		}
	}
	return got
}

func (b *book) kinds(t testing.TB, request string) (kinds []string) {
	t.Helper()
	for _, e := range b.entries(t) {
		if strings.Contains(e.ID(), request) {
			kinds = append(kinds, e.Kind())
		}
	}
	return kinds
}

func TestAPlanBeyondTheLimitsWaitsForASecondPerson(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		small := b.filed(t, "u0", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 5)
		if got := b.request(t, small.ID); got.Status != jobs.Erasing || got.Approval.Needed {
			t.Fatalf("within the limits: %s", got.Status)
		}
		b.erase(t, b.task(t, jobs.BatchTask))
		b.settle(t)

		r := b.filed(t, "u1", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		got := b.request(t, r.ID)
		want := []jobs.Excess{{Code: jobs.BeyondRows, Found: 6, Of: 5}}
		if got.Status != jobs.AwaitingApproval || !got.Approval.Needed || got.PlanHash == "" || !cmp.Equal(want, got.Approval.Beyond) {
			t.Fatalf("beyond the limits: %s, %+v", got.Status, got.Approval)
		}
		if rings := b.rings(t); len(rings) > 0 {
			t.Fatal("a plan that waits is rung for")
		}
		before := b.tables(t)
		for name, try := range map[string]struct {
			hash string
			by   jobs.Actor
			want error
		}{
			"by who filed it":      {got.PlanHash, filer, jobs.ErrSelfApproval},
			"by a submitter":       {got.PlanHash, jobs.Actor{ID: "x", Role: jobs.RoleSubmitter}, jobs.ErrForbidden},
			"by an auditor":        {got.PlanHash, jobs.Actor{ID: "x", Role: jobs.RoleAuditor}, jobs.ErrForbidden},
			"another plan":         {proof.Digest([32]byte{1}), second, jobs.ErrPlanChanged},
			"no plan":              {"", second, jobs.ErrPlanChanged},
			"a request that ended": {got.PlanHash, second, nil},
		} {
			id := r.ID
			if try.want == nil {
				id, try.want = small.ID, jobs.ErrNotWaiting
			}
			if _, err := b.intake.Approve(t.Context(), id, try.hash, try.by); !errors.Is(err, try.want) {
				t.Errorf("%s: %v, want %v", name, err, try.want)
			}
		}
		if _, err := b.intake.Approve(t.Context(), "01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a", got.PlanHash, second); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("of no request: %v", err)
		}
		if d := cmp.Diff(before, b.tables(t)); d != "" {
			t.Fatalf("what was refused has changed something: %s", d)
		}

		b.advance(time.Minute)
		at := b.Now().Truncate(time.Second)
		if got, err := b.intake.Approve(t.Context(), r.ID, got.PlanHash, second); err != nil || got.Approval.By != second.ID || got.Approval.Needed {
			t.Fatalf("approved: %+v, %v", got.Approval, err)
		}
		if _, err := b.intake.Approve(t.Context(), r.ID, got.PlanHash, jobs.Actor{ID: "tok-3", Role: jobs.RoleAdmin}); !errors.Is(err, jobs.ErrNotWaiting) {
			t.Errorf("approved again: %v", err)
		}
		if drifts := b.recount(t, b.task(t, jobs.PlanTask)); drifts != nil {
			t.Fatalf("drifted: %v", drifts)
		}
		b.erase(t, b.task(t, jobs.BatchTask))
		b.settle(t)
		if d := cmp.Diff([]string{"erasure.accepted/v1", "erasure.approved/v1", "erasure.completed/v1"}, b.kinds(t, r.ID)); d != "" {
			t.Error(d)
		}
		for _, e := range b.entries(t) {
			switch e := e.(type) {
			case *proof.Approved:
				if e.RequestID != r.ID || e.By != second.ID || e.PlanHash != got.PlanHash || !e.ApprovedAt.Time().Equal(at) {
					t.Errorf("the log says %+v", e)
				}
			case *proof.Completed:
				if who := map[string]string{r.ID: second.ID}[e.RequestID]; e.ApprovedBy != who || (e.ApprovedAt != 0) != (who != "") {
					t.Errorf("%s: approved by %q at %s", e.RequestID, e.ApprovedBy, e.ApprovedAt)
				}
			}
		}
	})
}

func TestEveryPlanWaitsWhereTheRulesSayAlways(t *testing.T) {
	b := newRuled(t, onSQLite, jobs.Rules{Always: true, Limits: jobs.DefaultLimits()})
	r := b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 0)
	if got := b.request(t, r.ID); got.Status != jobs.AwaitingApproval || got.Approval.Beyond[0].Code != jobs.BeyondAlways {
		t.Errorf("%s, %+v", got.Status, got.Approval)
	}
}

func TestOfTwoPeopleWhoApproveAtOnceOneDoes(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		hash := b.request(t, r.ID).PlanHash
		errs := make([]error, 6)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				_, errs[i] = b.intake.Approve(t.Context(), r.ID, hash, jobs.Actor{ID: fmt.Sprint("tok-", i), Role: jobs.RoleApprover})
			})
		}
		group.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
				if by := b.request(t, r.ID).Approval.By; by != fmt.Sprint("tok-", i) {
					t.Errorf("approved by %s, but %d was told so", by, i)
				}
			case !errors.Is(err, jobs.ErrNotWaiting):
				t.Error(err)
			}
		}
		if tasks := b.tasks(t); won != 1 || len(tasks) != 1 {
			t.Errorf("%d approved, %d tasks", won, len(tasks))
		}
		if d := cmp.Diff([]string{"erasure.accepted/v1", "erasure.approved/v1"}, b.kinds(t, r.ID)); d != "" {
			t.Error(d)
		}
	})
}

func TestWhatDriftedSinceItsApprovalWaitsAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0) // in two stores
		for _, task := range b.tasks(t) {
			b.planRows(t, task, 400)
		}
		approve := func() string {
			t.Helper()
			hash := b.request(t, r.ID).PlanHash
			if _, err := b.intake.Approve(t.Context(), r.ID, hash, second); err != nil {
				t.Fatal(err)
			}
			return hash
		}
		first := approve()
		tasks := b.tasks(t)
		if drifts := b.recount(t, tasks[0], 100); drifts != nil {
			t.Fatalf("100 rows more: %v", drifts)
		}
		if got := b.request(t, r.ID); got.Status != jobs.Planning || len(b.rings(t)) > 0 {
			t.Fatalf("%s: erasing begins before every store was counted again", got.Status)
		}
		drifts := b.recount(t, tasks[1], 101)
		if len(drifts) != 1 || drifts[0].Of != 400 || drifts[0].Found != 501 {
			t.Fatalf("101 rows more: %+v", drifts)
		}
		if got := b.request(t, r.ID); got.PlanHash != "" || got.Approval.By != "" || got.Status != jobs.Planning {
			t.Errorf("drifted: %s, plan %q, approved by %q", got.Status, got.PlanHash, got.Approval.By)
		}
		again := b.tasks(t)
		if len(again) != 2 || again[0].Kind != jobs.PlanTask || again[1].Kind != jobs.PlanTask {
			t.Fatalf("after a drift: %v", again)
		}
		if err := b.Freeze(t.Context(), tasks[0], 2, 9, someIDs("late", 1)); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("a task of the old plan writes on: %v", err)
		}
		for _, task := range again { // within the limits now, and approved by nobody
			b.planRows(t, task, 2)
		}
		got := b.request(t, r.ID)
		if got.Status != jobs.AwaitingApproval || got.PlanHash == first || got.Approval.Beyond[0].Code != jobs.BeyondDrifted || got.Jobs[0].Found != 2 {
			t.Fatalf("planned anew: %s, %+v", got.Status, got.Approval)
		}
		notes := []string{got.Jobs[0].Note, got.Jobs[1].Note}
		if slices.Sort(notes); notes[0] != "" || notes[1] != jobs.NoteDrifted {
			t.Errorf("notes %q", notes)
		}
		if _, err := b.intake.Approve(t.Context(), r.ID, first, second); !errors.Is(err, jobs.ErrPlanChanged) {
			t.Errorf("the old plan: %v", err)
		}
		approve()
		for _, task := range b.tasks(t) {
			if drifts := b.recount(t, task); drifts != nil {
				t.Errorf("unchanged: %v", drifts)
			}
		}
		if got := b.request(t, r.ID); got.Status != jobs.Erasing || got.Jobs[0].Note+got.Jobs[1].Note != "" {
			t.Errorf("%s, notes %q", got.Status, got.Jobs[0].Note+got.Jobs[1].Note)
		}
		if tasks := b.tasks(t); len(tasks) != 2 || b.Fence(t.Context(), tasks[0].Ring) != nil {
			t.Errorf("approved: %v", tasks)
		}
		if d := cmp.Diff([]string{"erasure.accepted/v1", "erasure.approved/v1", "erasure.approved/v1"}, b.kinds(t, r.ID)); d != "" {
			t.Error(d)
		}
	})
}

func TestAPlanOfAnotherDataMapHasDrifted(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	r := b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 6)
	if _, err := b.intake.Approve(t.Context(), r.ID, b.request(t, r.ID).PlanHash, second); err != nil {
		t.Fatal(err)
	}
	task := b.task(t, jobs.PlanTask)
	drifts, err := b.Recounted(t.Context(), task, jobs.Recount{Places: []jobs.PlaceCount{{Place: "memories", Found: 6}}, MapVersion: "m2"})
	if err != nil || len(drifts) != 1 {
		t.Errorf("%v, %v", drifts, err)
	}
}

// The right to destroy is read again in the smallest window before it.
func TestTheFenceReadsTheApprovalAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		if _, err := b.intake.Approve(t.Context(), r.ID, b.request(t, r.ID).PlanHash, second); err != nil {
			t.Fatal(err)
		}
		b.recount(t, b.task(t, jobs.PlanTask))
		task := b.task(t, jobs.BatchTask)
		for _, spoil := range []string{`approval = 'needed'`, `approved_hash = 'another'`, `approval = ''`} {
			b.raw.MustExec(`UPDATE requests SET ` + spoil)
			if err := b.Fence(t.Context(), task.Ring); !errors.Is(err, jobs.ErrUnapproved) {
				t.Errorf("%s: fence says %v", spoil, err)
			}
			if _, err := b.Begin(t.Context(), task); !errors.Is(err, jobs.ErrUnapproved) {
				t.Errorf("%s: begin says %v", spoil, err)
			}
			b.raw.MustExec(`UPDATE requests SET approval = 'given', approved_hash = plan_hash`)
		}
		if n := b.count(t, `batches WHERE attempts > 0`); n != 0 {
			t.Errorf("%d attempts are counted that were none", n)
		}
		if batch, err := b.Begin(t.Context(), task); err != nil || batch.Attempts != 1 || b.Fence(t.Context(), task.Ring) != nil {
			t.Errorf("approved: %v", err)
		}
	})
}

func TestMoreFoundWhileVerifyingThanWasApprovedWaits(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0) // in two stores
		for _, task := range b.tasks(t) {
			b.planRows(t, task, 6)
		}
		first := b.request(t, r.ID).PlanHash
		if _, err := b.intake.Approve(t.Context(), r.ID, first, second); err != nil {
			t.Fatal(err)
		}
		for _, task := range b.tasks(t) {
			b.recount(t, task)
		}
		both := b.tasks(t)
		other := both[1] // under way
		b.erase(t, both[0])
		b.planRows(t, b.task(t, jobs.SettleTask), 100)
		b.erase(t, b.task(t, jobs.BatchTask))
		b.planRows(t, b.task(t, jobs.SettleTask), 1)
		got := b.request(t, r.ID)
		if got.Status != jobs.AwaitingApproval || got.PlanHash == first || !cmp.Equal(got.Approval.Beyond, []jobs.Excess{{Code: jobs.BeyondResidue, Store: got.Jobs[0].Store, Found: 101, Of: 6}}) {
			t.Fatalf("101 more than 6: %s, %+v", got.Status, got.Approval)
		}
		if _, err := b.Begin(t.Context(), other); !errors.Is(err, jobs.ErrUnapproved) {
			t.Errorf("another batch goes on: %v", err)
		}
		if err := b.Retry(t.Context(), other.Ring, time.Hour, "approval"); err != nil || len(b.rings(t)) > 0 {
			t.Fatalf("rung while it waits, %v", err)
		}
		if _, err := b.intake.Approve(t.Context(), r.ID, got.PlanHash, second); err != nil {
			t.Fatal(err)
		}
		tasks := b.tasks(t)
		if len(tasks) != 2 {
			t.Fatalf("approved: %v", tasks)
		}
		for _, task := range tasks {
			b.erase(t, task)
		}
		for _, task := range b.tasks(t) {
			if err := b.Verified(t.Context(), task, b.Now(), false, 0); err != nil {
				t.Fatal(err)
			}
			if err := b.complete(t.Context(), task); err != nil && !errors.Is(err, jobs.ErrStale) {
				t.Fatal(err)
			}
		}
		if got := b.request(t, r.ID); got.Status != jobs.Completed || got.Jobs[0].Erased != 107 {
			t.Errorf("%s, %d erased", got.Status, got.Jobs[0].Erased)
		}
	})
}

func TestARoundThatGoesBeyondTheLimitsWaits(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	r := b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 4)
	b.erase(t, b.task(t, jobs.BatchTask))
	b.planRows(t, b.task(t, jobs.SettleTask), 1)
	b.erase(t, b.task(t, jobs.BatchTask))
	b.planRows(t, b.task(t, jobs.SettleTask), 1)
	if got := b.request(t, r.ID); got.Status != jobs.AwaitingApproval || got.Approval.Beyond[0].Code != jobs.BeyondRows || len(b.rings(t)) > 0 {
		t.Errorf("the sixth row of five: %s, %+v", got.Status, got.Approval)
	}
	if _, err := b.intake.Reject(t.Context(), r.ID, "not-identified", second); !errors.Is(err, jobs.ErrBegun) {
		t.Errorf("rejected though 5 are gone: %v", err)
	}
	if got, err := b.intake.Cancel(t.Context(), r.ID); err != nil || got.Status != jobs.Cancelled || got.Jobs[0].Erased != 5 || got.Jobs[0].Found != 6 {
		t.Errorf("cancelled: %+v, %v", got, err)
	}
}

func TestARejectedRequestIsWipedAndSaysWhy(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		if _, err := b.intake.Reject(t.Context(), r.ID, "because she asked twice", second); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("a sentence: %v", err)
		}
		if _, err := b.intake.Reject(t.Context(), r.ID, "not-identified", jobs.Actor{ID: "x", Role: jobs.RoleSubmitter}); !errors.Is(err, jobs.ErrForbidden) {
			t.Errorf("by a submitter: %v", err)
		}
		got, err := b.intake.Reject(t.Context(), r.ID, "not-identified", second)
		if err != nil || got.Status != jobs.Rejected || !got.Certificate || got.CompletedAt == nil {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := b.count(t, `requests WHERE selector IS NOT NULL`) + b.count(t, `batches WHERE ids IS NOT NULL`); n != 0 {
			t.Errorf("%d texts are left of it", n)
		}
		if _, err := b.keys.Seal(r.ID); err == nil {
			t.Error("its key is left")
		}
		text, err := b.intake.Certificate(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		c, err := proof.ParseCertificate(text)
		if err != nil {
			t.Fatal(err)
		}
		e, err := proof.Decode(c.Entry)
		if rejected, ok := e.(*proof.Rejected); err != nil || !ok || rejected.Reason != "not-identified" || rejected.By != second.ID || rejected.RequestID != r.ID {
			t.Errorf("the certificate says %+v, %v", e, err)
		}
		if _, err := b.intake.Reject(t.Context(), r.ID, "not-identified", second); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("again: %v", err)
		}
		if _, err := b.intake.Approve(t.Context(), r.ID, got.PlanHash, second); !errors.Is(err, jobs.ErrNotWaiting) {
			t.Errorf("approved after all: %v", err)
		}
	})
}

func TestAPlanIsMadeAndApprovedInTheGracePeriod(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 72*time.Hour, "notes")
		if got := b.request(t, r.ID); got.Status != jobs.Waiting {
			t.Fatalf("filed: %s", got.Status)
		}
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		got := b.request(t, r.ID)
		if got.Status != jobs.AwaitingApproval {
			t.Fatalf("planned: %s", got.Status)
		}
		b.advance(time.Hour)
		if got, err := b.intake.Approve(t.Context(), r.ID, got.PlanHash, second); err != nil || got.Status != jobs.Waiting {
			t.Fatalf("approved: %s, %v", got.Status, err)
		}
		b.advance(71*time.Hour - time.Millisecond)
		if rings := b.rings(t); len(rings) > 0 {
			t.Fatal("rung for before its grace has ended")
		}
		b.advance(time.Millisecond)
		b.recount(t, b.task(t, jobs.PlanTask))
		if err := b.Fence(t.Context(), b.task(t, jobs.BatchTask).Ring); err != nil {
			t.Errorf("after the grace period: %v", err)
		}
	})
}

func TestAPlanThatOutgrewTheLimitsInItsGracePeriodWaits(t *testing.T) {
	b := newRuled(t, onSQLite, jobs.Rules{Limits: jobs.Limits{MaxRows: 5}})
	r := b.filed(t, "u1", time.Hour, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 5)
	if got := b.request(t, r.ID); got.Status != jobs.Waiting {
		t.Fatalf("planned: %s", got.Status)
	}
	b.advance(time.Hour)
	if drifts := b.recount(t, b.task(t, jobs.PlanTask), 1); len(drifts) != 1 {
		t.Fatalf("one row more, where none is tolerated: %v", drifts)
	}
	b.planRows(t, b.task(t, jobs.PlanTask), 6)
	if got := b.request(t, r.ID); got.Status != jobs.AwaitingApproval || got.Approval.Beyond[0].Code != jobs.BeyondRows {
		t.Errorf("planned anew: %s, %+v", got.Status, got.Approval)
	}
}

func TestWhatWaitsIsCancelledAtOnce(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	for name, grace := range map[string]time.Duration{"approval": 0, "grace": time.Hour} {
		r := b.filed(t, "u1", grace, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), map[string]int{"approval": 6, "grace": 2}[name])
		got, err := b.intake.Cancel(t.Context(), r.ID)
		if err != nil || got.Status != jobs.Cancelled || got.Jobs[0].Erased != 0 {
			t.Errorf("%s: %s, %v", name, got.Status, err)
		}
		if kinds := b.kinds(t, r.ID); kinds[len(kinds)-1] != proof.KindCancelled || b.count(t, `outbox`) != 0 {
			t.Errorf("%s: the log ends with %v", name, kinds)
		}
	}
}

func TestTheAgeOfTheOldestPlanThatWaitsIsMeasured(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	r := b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 6)
	b.advance(90 * time.Second)
	got := gather(t, ledger.NewCollector(b.Ledger))
	if got[`lethe_oldest_waiting_approval_age_seconds`] != 90 || got[`lethe_requests_open{status="awaiting_approval"}`] != 1 {
		t.Errorf("%v", got)
	}
	if _, err := b.intake.Approve(t.Context(), r.ID, b.request(t, r.ID).PlanHash, second); err != nil {
		t.Fatal(err)
	}
	if got := gather(t, ledger.NewCollector(b.Ledger)); got[`lethe_oldest_waiting_approval_age_seconds`] != 0 {
		t.Errorf("approved: %v", got)
	}
}

func TestReasonsAreKeptAsTheyWereJudged(t *testing.T) {
	text, err := json.Marshal([]jobs.Excess{{Code: jobs.BeyondFraction, Store: "notes", Place: "memories", Found: 7, Of: 9}})
	if err != nil || string(text) != `[{"code":"max-fraction","store":"notes","place":"memories","found":7,"of":9}]` {
		t.Errorf("%s, %v", text, err)
	}
}

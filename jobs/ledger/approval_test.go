package ledger_test

import (
	"errors"
	"fmt"
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
	r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: filer, Selector: user(id), Stores: stores, Grace: grace, Origin: jobs.OriginAPI})
	if err != nil {
		t.Fatal(err)
	}
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
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if p, err := b.Log().Pending(t.Context()); err != nil || p.Waiting == 0 { // what another process has committed may wait for its place
			break
		}
	}
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
			if _, err := b.intake.Approve(t.Context(), try.by, id, try.hash); !errors.Is(err, try.want) {
				t.Errorf("%s: %v, want %v", name, err, try.want)
			}
		}
		if _, err := b.intake.Approve(t.Context(), second, "01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a", got.PlanHash); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("of no request: %v", err)
		}
		if d := cmp.Diff(before, b.tables(t)); d != "" {
			t.Fatalf("what was refused has changed something: %s", d)
		}

		b.advance(time.Minute)
		at := b.Now().Truncate(time.Second)
		if got, err := b.intake.Approve(t.Context(), second, r.ID, got.PlanHash); err != nil || got.Approval.By != second.ID || got.Approval.Needed {
			t.Fatalf("approved: %+v, %v", got.Approval, err)
		}
		if _, err := b.intake.Approve(t.Context(), jobs.Actor{ID: "tok-3", Role: jobs.RoleAdmin}, r.ID, got.PlanHash); !errors.Is(err, jobs.ErrNotWaiting) {
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
				_, errs[i] = b.intake.Approve(t.Context(), jobs.Actor{ID: fmt.Sprint("tok-", i), Role: jobs.RoleApprover}, r.ID, hash)
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

// The right to destroy is read again in the smallest window before it.
func TestTheFenceReadsTheApprovalAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newRuled(t, on, few())
		r := b.filed(t, "u1", 0, "notes")
		b.planRows(t, b.task(t, jobs.PlanTask), 6)
		if _, err := b.intake.Approve(t.Context(), second, r.ID, b.request(t, r.ID).PlanHash); err != nil {
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

func TestTheAgeOfTheOldestPlanThatWaitsIsMeasured(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	r := b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 6)
	b.advance(90 * time.Second)
	got := gather(t, ledger.NewCollector(b.Ledger))
	if got[`lethe_oldest_waiting_approval_age_seconds`] != 90 || got[`lethe_requests_open{status="awaiting_approval"}`] != 1 {
		t.Errorf("%v", got)
	}
	if _, err := b.intake.Approve(t.Context(), second, r.ID, b.request(t, r.ID).PlanHash); err != nil {
		t.Fatal(err)
	}
	if got := gather(t, ledger.NewCollector(b.Ledger)); got[`lethe_oldest_waiting_approval_age_seconds`] != 0 {
		t.Errorf("approved: %v", got)
	}
}

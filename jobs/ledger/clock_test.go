package ledger_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
)

var approver = jobs.Actor{ID: "tok-approver", Role: jobs.RoleApprover}

// file files a request of a regime, received at a time.
func (b *book) file(t *testing.T, regime string, received time.Time) jobs.Request {
	t.Helper()
	r, _, err := b.intake.Submit(t.Context(), jobs.Submission{
		By: jobs.ActorLocal, Selector: user("u"), Stores: []string{"notes"}, Regime: regime, ReceivedAt: received, Origin: jobs.OriginAPI,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// entry reads an entry that is in the log.
func entry[E proof.Entry](t *testing.T, b *book, id string) E {
	t.Helper()
	text, err := b.Certificate(t.Context(), id)
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
	return r.Entry.(E)
}

func wantNotNow(t *testing.T, what, code string, err error) {
	t.Helper()
	var not *jobs.NotNow
	if !errors.As(err, &not) || not.Code != code || !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("%s: err = %v, want a *NotNow of code %s", what, err, code)
	}
}

func TestAPeriodIsExtendedOnceAndInTime(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.now = time.Date(2026, 1, 20, 12, 0, 0, 0, time.UTC)
		r := b.file(t, jobs.GDPR, time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC))
		first := time.Date(2026, 2, 16, 22, 59, 59, 0, time.UTC) // the 15th is a Sunday
		if !r.DueAt.Equal(first) || r.Overdue {
			t.Fatalf("due %s, overdue %t", r.DueAt, r.Overdue)
		}
		got, err := b.intake.Extend(t.Context(), approver, r.ID, "complexity")
		due := time.Date(2026, 4, 15, 21, 59, 59, 0, time.UTC) // three months, in summer time
		if c := got.Clock; err != nil || !got.DueAt.Equal(due) || !c.FirstDueAt.Equal(first) || !c.ExtendedAt.Equal(b.Now()) || c.ExtendedBy != approver.ID || c.Reason != "complexity" {
			t.Fatalf("%+v, %v", got, err)
		}
		e := entry[*proof.Extended](t, b, proof.EntryID(r.ID, proof.KindExtended))
		if e.DueAt != proof.At(due) || e.FirstDueAt != proof.At(first) || e.By != approver.ID || e.Reason != "complexity" {
			t.Errorf("the log says %+v", e)
		}
		_, err = b.intake.Extend(t.Context(), approver, r.ID, "number")
		wantNotNow(t, "again", "already_extended", err)

		// Its end is under the terms that it was accepted under.
		b.finish(t, 1)
		accepted, done := entry[*proof.Accepted](t, b, proof.EntryID(r.ID, proof.KindAccepted)), entry[*proof.Completed](t, b, proof.EntryID(r.ID, proof.KindCompleted))
		if accepted.Terms != done.Terms {
			t.Errorf("accepted under %+v, completed under %+v", accepted.Terms, done.Terms)
		}
		if _, err := b.intake.Extend(t.Context(), approver, r.ID, "number"); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("ended: err = %v, want ErrTooLate", err)
		}
	})
}

func TestNoPeriodIsExtendedThatIsOver(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.now = time.Date(2026, 1, 20, 12, 0, 0, 0, time.UTC)
		r := b.file(t, jobs.GDPR, b.now)
		for by, want := range map[jobs.Actor]error{
			{ID: "s", Role: jobs.RoleSubmitter}: jobs.ErrForbidden, {ID: "a", Role: jobs.RoleAuditor}: jobs.ErrForbidden, {}: jobs.ErrForbidden,
		} {
			if _, err := b.intake.Extend(t.Context(), by, r.ID, "complexity"); !errors.Is(err, want) {
				t.Errorf("%s: err = %v, want %v", by.Role, err, want)
			}
		}
		if _, err := b.intake.Extend(t.Context(), approver, r.ID, "a long story"); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("free text: err = %v, want ErrInvalid", err)
		}
		b.now = r.DueAt.Add(time.Second)
		_, err := b.intake.Extend(t.Context(), approver, r.ID, "complexity")
		wantNotNow(t, "a second late", "overdue", err)
		if got := b.request(t, r.ID); got.Clock.ExtendedAt != nil || !got.DueAt.Equal(r.DueAt) {
			t.Errorf("%+v", got)
		}
		b.now = r.DueAt // the last second counts
		if _, err := b.intake.Extend(t.Context(), approver, r.ID, "complexity"); err != nil {
			t.Error(err)
		}
		clock, err := jobs.NewClock("", jobs.Regime{Name: "short", Period: jobs.Period{Days: 3}})
		if err != nil {
			t.Fatal(err)
		}
		b.intake.Clock = clock
		r = b.file(t, "short", b.now)
		_, err = b.intake.Extend(t.Context(), approver, r.ID, "complexity")
		wantNotNow(t, "no extension", "not_extendable", err)
		_, err = b.intake.Confirm(t.Context(), approver, r.ID)
		wantNotNow(t, "no confirmation", "no_confirmation", err)
	})
}

func TestAReceiptIsConfirmedOnceAlsoLate(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.now = time.Date(2026, 1, 2, 20, 0, 0, 0, time.UTC)
		r := b.file(t, jobs.CCPA, b.now)
		by := time.Date(2026, 1, 17, 7, 59, 59, 0, time.UTC) // Friday 16 January in Los Angeles
		if c := r.Clock; c.ConfirmBy == nil || !c.ConfirmBy.Equal(by) || c.ConfirmedAt != nil || c.ConfirmOverdue {
			t.Fatalf("%+v", c)
		}
		b.now = by.Add(time.Hour)
		if late, err := b.intake.Request(t.Context(), approver, r.ID); err != nil || !late.Clock.ConfirmOverdue || late.Overdue {
			t.Errorf("%+v, %v", late, err)
		}
		got, err := b.intake.Confirm(t.Context(), approver, r.ID)
		if err != nil || !got.Clock.ConfirmedAt.Equal(b.now) || got.Clock.ConfirmOverdue {
			t.Fatalf("%+v, %v", got, err)
		}
		if e := entry[*proof.Confirmed](t, b, proof.EntryID(r.ID, proof.KindConfirmed)); e.ConfirmBy != proof.At(by) || e.ConfirmedAt != proof.At(b.now) || e.By != approver.ID {
			t.Errorf("the log says %+v", e)
		}
		_, err = b.intake.Confirm(t.Context(), approver, r.ID)
		wantNotNow(t, "again", "already_confirmed", err)
	})
}

// dues collects a list by deadline, a page at a time.
func (b *book) dues(t *testing.T, by jobs.Actor, due jobs.Due, page int) (ids []string) {
	t.Helper()
	for cursor := ""; ; {
		list, next, err := b.intake.ListDue(t.Context(), by, due, nil, page, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		if cursor = next; cursor == "" {
			return ids
		}
	}
}

func TestWhatIsDueIsListedByItsDeadline(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.now = time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)
		at := func(days int) jobs.Request { return b.file(t, jobs.CCPA, b.now.AddDate(0, 0, days-45)) }
		later, soon, over, today, same := at(36), at(4), at(-3), at(0), at(0)
		if today.ID > same.ID { // both of one millisecond
			today, same = same, today
		}
		ended := at(-5)
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, ended.ID); err != nil {
			t.Fatal(err)
		}
		for due, want := range map[jobs.Due][]string{
			jobs.Overdue: {over.ID}, jobs.DueIn1: {over.ID, today.ID, same.ID}, jobs.DueIn3: {over.ID, today.ID, same.ID}, jobs.DueIn7: {over.ID, today.ID, same.ID, soon.ID},
			jobs.Unconfirmed: {over.ID, today.ID, same.ID, soon.ID, later.ID},
		} {
			for _, page := range []int{1, 2, 100} {
				if got := b.dues(t, approver, due, page); !slices.Equal(got, want) {
					t.Errorf("%s, %d a page: %v, want %v", due, page, got, want)
				}
			}
		}
		if got := b.dues(t, jobs.Actor{ID: "else", Role: jobs.RoleSubmitter}, jobs.DueIn7, 10); len(got) != 0 {
			t.Errorf("somebody else's are listed: %v", got)
		}
		if got := b.dues(t, jobs.Actor{ID: jobs.ActorLocal.ID, Role: jobs.RoleSubmitter}, jobs.DueIn7, 10); len(got) != 4 {
			t.Errorf("one's own: %v", got)
		}
		if _, _, err := b.intake.ListDue(t.Context(), approver, jobs.Overdue, nil, 1, "john"); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("err = %v, want ErrInvalid", err)
		}
		r := prometheus.NewRegistry()
		r.MustRegister(ledger.NewCollector(b.Ledger))
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			if f.GetName() == "lethe_requests_due" || f.GetName() == "lethe_confirmations_due" {
				for _, m := range f.GetMetric() {
					got[f.GetName()[6:]+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		for bucket, want := range map[string]float64{
			"requests_due overdue": 1, "requests_due 1d": 2, "requests_due 3d": 0, "requests_due 7d": 1, "requests_due later": 1,
			"confirmations_due overdue": 4, "confirmations_due 1d": 0, "confirmations_due later": 0, "confirmations_due 3d": 0, "confirmations_due 7d": 1,
		} {
			if got[bucket] != want {
				t.Errorf("%s is %v, want %v", bucket, got[bucket], want)
			}
		}
		if n := testutil.CollectAndCount(ledger.NewCollector(b.Ledger), "lethe_confirmations_due"); n != 5 {
			t.Errorf("%d buckets", n)
		}
	})
}

func TestLatenessIsToldOnceAndEndsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.now = time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)
		r := b.file(t, jobs.CCPA, b.now)
		late := func(overdue, unconfirmed int) {
			t.Helper()
			o, u, err := b.Late(context.Background())
			if err != nil || len(o) != overdue || len(u) != unconfirmed || overdue == 1 && o[0] != r.ID {
				t.Errorf("%v, %v, %v; want %d and %d", o, u, err, overdue, unconfirmed)
			}
		}
		late(0, 0)
		b.now = r.Clock.ConfirmBy.Add(time.Second)
		late(0, 1)
		late(0, 0)
		b.now = r.DueAt.Add(time.Second)
		late(1, 0)
		late(0, 0)
		if got, err := b.intake.Request(t.Context(), approver, r.ID); err != nil || !got.Overdue || got.Status != jobs.Received {
			t.Errorf("%+v, %v", got, err)
		}
		b.finish(t, 1)
		if got, err := b.intake.Request(t.Context(), approver, r.ID); err != nil || got.Overdue || got.Status != jobs.Completed {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestAPlannedPartThatIsExemptIsPlannedAnew(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1") // in two stores
		tasks := b.tasks(t)
		b.plan(t, tasks[0], 3)
		x := jobs.Exemption{Store: tasks[0].Store, Reason: "art17-3-b"}
		got, err := b.intake.Exempt(t.Context(), approver, r.ID, x)
		if err != nil || got.Status != jobs.Planning || got.PlanHash != "" || len(got.Exemptions) != 1 || got.Exemptions[0].By != approver.ID {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := b.count(t, "batches"); n != 0 {
			t.Errorf("%d batches are left of the old plan", n)
		}
		if e := entry[*proof.Exempted](t, b, r.ID+"/"+x.Store+"/"+proof.KindExempted); e.Reason != "art17-3-b" || e.By != approver.ID || e.Store != x.Store {
			t.Errorf("the log says %+v", e)
		}
		_, err = b.intake.Exempt(t.Context(), approver, r.ID, x)
		wantNotNow(t, "again", "already_exempt", err)
		if _, _, err := b.Replan(t.Context(), tasks[1]); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("who was planning goes on: %v", err)
		}
		anew := b.tasks(t)
		if len(anew) != 2 || anew[0].Kind != jobs.PlanTask || anew[1].Kind != jobs.PlanTask {
			t.Fatalf("%v, want both jobs to be planned anew", anew)
		}
		if anew[0].Store != x.Store {
			slices.Reverse(anew)
		}
		b.plan(t, anew[1], 2)
		if err := b.Planned(t.Context(), anew[0], jobs.Planned{Round: 1, Digest: "d", Exempt: map[string]int{"": 3}}, 0); err != nil {
			t.Fatal(err)
		}
		now := b.request(t, r.ID)
		if now.Status != jobs.Erasing || now.PlanHash == "" || now.Exemptions[0].IDs != 3 {
			t.Errorf("%+v", now)
		}
		_, err = b.intake.Exempt(t.Context(), approver, r.ID, jobs.Exemption{Store: tasks[1].Store, Reason: "art17-3-b"})
		wantNotNow(t, "erasing", "begun", err)
	})
}

func TestOnlyAPartThatThereIsCanBeExempt(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.intake.Places = func(context.Context, string) ([]jobs.PlaceCount, error) {
			return []jobs.PlaceCount{{Place: "memories"}, {Place: "history", With: "memories"}}, nil
		}
		r := b.submit(t, "u1", "notes")
		past := b.Now().Add(-time.Second)
		for field, x := range map[string]jobs.Exemption{
			"store":     {Store: "memories", Reason: "art17-3-b"},
			"place":     {Store: "notes", Place: "elsewhere", Reason: "art17-3-b"},
			"reason":    {Store: "notes", Reason: "not-identified"},
			"review_at": {Store: "notes", Reason: "art17-3-b", ReviewAt: &past},
		} {
			var invalid *jobs.Invalid
			if _, err := b.intake.Exempt(t.Context(), approver, r.ID, x); !errors.As(err, &invalid) || invalid.Field != field {
				t.Errorf("%s: err = %v", field, err)
			}
		}
		if _, err := b.intake.Exempt(t.Context(), approver, r.ID, jobs.Exemption{Store: "notes", Place: "history", Reason: "art17-3-b"}); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("rows that hang on others: err = %v", err)
		}
		if _, err := b.intake.Exempt(t.Context(), jobs.Actor{ID: "s", Role: jobs.RoleSubmitter}, r.ID, jobs.Exemption{Store: "notes", Reason: "art17-3-b"}); !errors.Is(err, jobs.ErrForbidden) {
			t.Errorf("a submitter: err = %v", err)
		}
		if n := b.count(t, "exemptions"); n != 0 {
			t.Errorf("%d exemptions", n)
		}
	})
}

// What was approved with a part is not approved without it.
func TestAnApprovedPlanThatLosesAPartIsApprovedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1")
		for _, task := range b.tasks(t) {
			b.plan(t, task, 2)
		}
		if _, err := b.raw.Exec(`DELETE FROM outbox`); err != nil {
			t.Fatal(err)
		}
		// As after an approval, while the plan is counted again.
		_, err := b.raw.Exec(`UPDATE requests SET status = 'planning', approval = 'given', approved_hash = plan_hash, approved_by = 'tok-approver'`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.raw.Exec(`UPDATE jobs SET stage = 'planning'`); err != nil {
			t.Fatal(err)
		}
		before := b.request(t, r.ID).PlanHash
		if _, err := b.intake.Exempt(t.Context(), approver, r.ID, jobs.Exemption{Store: "notes", Reason: "art17-3-b"}); err != nil {
			t.Fatal(err)
		}
		for _, task := range b.tasks(t) {
			if task.Store == "notes" {
				if err := b.Planned(t.Context(), task, jobs.Planned{Round: 1, Digest: "d", Exempt: map[string]int{"": 3}}, 0); err != nil {
					t.Fatal(err)
				}
				continue
			}
			b.plan(t, task, 2)
		}
		got := b.request(t, r.ID)
		if got.Status != jobs.AwaitingApproval || !got.Approval.Needed || got.PlanHash == before || got.Approval.By != "" || got.Approval.Beyond[0].Code != jobs.BeyondExempted {
			t.Errorf("status %s, approval %+v, the same hash: %t", got.Status, got.Approval, got.PlanHash == before)
		}
	})
}

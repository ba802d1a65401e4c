package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lethe/audit/proof"
	"lethe/jobs"
)

// An approvalModel is what must hold of one request that may have to be
// approved, whatever is called in whatever order: it keeps no state of its own
// but what it did, and judges every right to destroy by that.
type approvalModel struct {
	*book
	t  *rapid.T
	id string

	notBefore time.Time
	tasks     []jobs.Task
	hashes    []string          // of all plans so far
	needed    map[string]bool   // plans that had to be approved, by hash
	approved  map[string]string // who approved which plan
	ended     bool
	erased    int
	fenced    int
}

// Nothing is erased without an approval that was needed, none is given by who
// filed the request, and none is of another plan than the one that is carried
// out.
func TestNoOrderOfCallsErasesWhatWasNotApproved(t *testing.T) {
	for _, on := range []where{onSQLite, onPostgres} { // one by one: rapid's flags are everybody's
		t.Run(string(on), func(t *testing.T) {
			seen := map[string]int{}
			defer func() { t.Logf("%v", seen) }()
			defer set(t, "rapid.checks", map[where]string{onSQLite: "150", onPostgres: "30"}[on])()
			defer set(t, "rapid.steps", "60")()
			b := newRuled(t, on, few())
			rapid.Check(t, func(rt *rapid.T) {
				m := &approvalModel{book: b, t: rt, needed: map[string]bool{}, approved: map[string]string{}}
				grace := rapid.SampledFrom([]time.Duration{0, 0, time.Hour}).Draw(rt, "grace")
				stores := rapid.SampledFrom([][]string{{"notes"}, nil}).Draw(rt, "stores")
				r := b.filed(t, "u1", grace, stores...)
				m.id, m.notBefore = r.ID, r.NotBefore
				rt.Repeat(map[string]func(*rapid.T){
					"":      m.check,
					"claim": func(*rapid.T) { m.tasks = append(m.tasks, b.tasks(t)...) },
					"work":  m.work,
					"work on": func(rt *rapid.T) {
						for range 4 {
							m.tasks = append(m.tasks, b.tasks(t)...)
							if len(m.tasks) > 0 {
								m.work(rt)
							}
						}
					},
					"approve": m.approve,
					"reject":  m.reject,
					"cancel":  m.cancel,
					"expire":  func(*rapid.T) { b.advance(lease + time.Second); m.must2(b.Expired(t.Context())) },
					"later":   func(*rapid.T) { b.advance(40 * time.Minute) },
				})
				seen["erased"] += m.erased
				seen["fenced off"] += m.fenced
				seen["approved"] += len(m.approved)
				seen["plans"] += len(m.hashes)
				m.leave()
			})
		})
	}
}

func (m *approvalModel) must(err error, but ...error) {
	m.t.Helper()
	if err != nil && !slices.ContainsFunc(but, func(b error) bool { return errors.Is(err, b) }) {
		m.t.Fatal(err)
	}
}

func (m *approvalModel) must2(_ int, err error) { m.t.Helper(); m.must(err) }

func (m *approvalModel) now(rt *rapid.T) jobs.Request {
	r, err := m.Request(m.t.Context(), m.id)
	m.must(err)
	return r
}

// check keeps what plans there have been, and that the status fits.
func (m *approvalModel) check(rt *rapid.T) {
	m.t = rt
	r := m.now(rt)
	if r.PlanHash != "" && !slices.Contains(m.hashes, r.PlanHash) {
		m.hashes = append(m.hashes, r.PlanHash)
		m.needed[r.PlanHash] = r.Approval.Needed
		rows := 0
		for _, j := range r.Jobs {
			rows += j.Found
		}
		if rows > few().MaxRows && !r.Approval.Needed && r.Approval.By == "" {
			rt.Fatalf("a plan of %d rows need not be approved", rows)
		}
	}
	if r.Approval.Needed && (r.Status != jobs.AwaitingApproval && !r.Status.Ended() || r.Approval.By != "") {
		rt.Fatalf("it waits for an approval and is %s, approved by %q", r.Status, r.Approval.By)
	}
	if r.Approval.By != "" && m.approved[r.PlanHash] != r.Approval.By {
		rt.Fatalf("approved by %q, but it was %q", r.Approval.By, m.approved[r.PlanHash])
	}
	if m.ended && !r.Status.Ended() {
		rt.Fatalf("it had ended and is %s", r.Status)
	}
	m.ended = r.Status.Ended()
}

func (m *approvalModel) some(rt *rapid.T) jobs.Task {
	if len(m.tasks) == 0 {
		rt.Skip("no task")
	}
	i := rapid.IntRange(0, len(m.tasks)-1).Draw(rt, "task")
	task := m.tasks[i]
	m.tasks = slices.Delete(m.tasks, i, i+1)
	return task
}

// work carries a claimed task out, maybe one that is another's by now.
func (m *approvalModel) work(rt *rapid.T) {
	task := m.some(rt)
	ctx := m.t.Context()
	switch task.Kind {
	case jobs.PlanTask:
		j, err := m.Job(ctx, task.Job)
		m.must(err)
		if j.PlannedAt != nil {
			c := jobs.Recount{Places: slices.Clone(j.Places), MapVersion: j.MapVersion}
			if rapid.IntRange(0, 2).Draw(rt, "drift") == 0 {
				c.Places[0].Found += 150
			}
			_, err := m.Recounted(ctx, task, c)
			m.must(err, jobs.ErrStale)
			return
		}
		m.plan(rt, task)
	case jobs.BatchTask:
		m.erase(rt, task)
	case jobs.SettleTask:
		if rapid.IntRange(0, 2).Draw(rt, "residue") == 0 {
			m.plan(rt, task)
			return
		}
		m.must(m.Verified(ctx, task, m.Now(), jobs.Verification{}), jobs.ErrStale)
		m.must(m.complete(ctx, task), jobs.ErrStale, jobs.ErrStopped, jobs.ErrNotFound)
		m.must(m.Drop(ctx, task.Ring), jobs.ErrStale)
	}
}

func (m *approvalModel) plan(rt *rapid.T, task jobs.Task) {
	round, seq, err := m.Replan(m.t.Context(), task)
	m.must(err, jobs.ErrStale)
	if err != nil {
		return
	}
	rows := rapid.SampledFrom([]int{1, 2, 3, 6, 130}).Draw(rt, "rows")
	m.must(m.Freeze(m.t.Context(), task, round, seq, someIDs(fmt.Sprint(task.Job, round), rows)))
	m.must(m.Planned(m.t.Context(), task, jobs.Planned{
		Round: round, Digest: fmt.Sprint(rows), Places: []jobs.PlaceCount{{Place: "memories", Found: rows, Total: 1000}},
	}, 0))
}

// erase goes the way of a worker, which asks twice. The judge is what was called,
// not what the book says.
func (m *approvalModel) erase(rt *rapid.T, task jobs.Task) {
	ctx := m.t.Context()
	batch, err := m.Begin(ctx, task)
	if err == nil {
		err = m.Fence(ctx, task.Ring)
	}
	if err != nil {
		m.must(err, jobs.ErrStale, jobs.ErrStopped, jobs.ErrUnapproved)
		m.fenced++
		if errors.Is(err, jobs.ErrStopped) {
			m.must(m.Drop(ctx, task.Ring), jobs.ErrStale)
		} else {
			m.must(m.Retry(ctx, task.Ring, time.Second, "approval"), jobs.ErrStale)
		}
		return
	}
	r := m.now(rt)
	switch by := m.approved[r.PlanHash]; {
	case r.Status.Ended():
		rt.Fatal("erased after its end")
	case m.Now().Before(m.notBefore):
		rt.Fatal("erased in its grace period")
	case m.needed[r.PlanHash] && by == "":
		rt.Fatal("erased without the approval that it needs")
	case by == filer.ID:
		rt.Fatal("erased with an approval of its filer")
	}
	m.must(m.Finish(ctx, task, receipt(batch, len(batch.IDs), 0, 0, 0)), jobs.ErrStale)
	m.erased++
}

func (m *approvalModel) approve(rt *rapid.T) {
	r := m.now(rt)
	hash := rapid.SampledFrom(append([]string{r.PlanHash, r.PlanHash, r.PlanHash, proof.Digest([32]byte{1}), ""}, m.hashes...)).Draw(rt, "hash")
	by := rapid.SampledFrom([]jobs.Actor{filer, second, {ID: "tok-3", Role: jobs.RoleAdmin}, {ID: "tok-4", Role: jobs.RoleSubmitter}}).Draw(rt, "by")
	_, err := m.intake.Approve(m.t.Context(), by, m.id, hash)
	m.must(err, jobs.ErrForbidden, jobs.ErrNotWaiting, jobs.ErrPlanChanged)
	may := r.Status == jobs.AwaitingApproval && hash == r.PlanHash && by != filer && by.Role != jobs.RoleSubmitter
	if may != (err == nil) {
		rt.Fatalf("approved by %s while it is %s: %v", by.ID, r.Status, err)
	}
	if err == nil {
		m.approved[hash] = by.ID
	}
}

func (m *approvalModel) reject(rt *rapid.T) {
	if rapid.IntRange(0, 15).Draw(rt, "seldom") > 0 {
		rt.Skip("seldom")
	}
	before := m.erased
	r, err := m.intake.Reject(m.t.Context(), second, m.id, "not-identified")
	m.must(err, jobs.ErrTooLate, jobs.ErrBegun)
	if err == nil && (before > 0 || r.Status != jobs.Rejected) {
		rt.Fatalf("rejected after %d batches, and is %s", before, r.Status)
	}
}

func (m *approvalModel) cancel(rt *rapid.T) {
	if rapid.IntRange(0, 15).Draw(rt, "seldom") > 0 {
		rt.Skip("seldom")
	}
	_, err := m.intake.Cancel(m.t.Context(), jobs.ActorOpen, m.id)
	m.must(err, jobs.ErrTooLate)
}

// leave ends the request, so that the next one has the book to itself.
func (m *approvalModel) leave() {
	_, err := m.intake.Cancel(m.t.Context(), jobs.ActorOpen, m.id)
	m.must(err, jobs.ErrTooLate)
	for range 50 {
		r, err := m.Request(m.t.Context(), m.id)
		if m.must(err); r.Status.Ended() {
			return
		}
		m.advance(lease + time.Hour)
		m.must2(m.Expired(m.t.Context()))
		rings, err := m.Enqueue(m.t.Context(), map[string]int{"memories": 100, "notes": 100})
		m.must(err)
		for _, ring := range rings {
			task, err := m.Claim(m.t.Context(), ring, "w", lease)
			m.must(err, jobs.ErrStale)
			if err == nil {
				m.must(m.Drop(m.t.Context(), task.Ring), jobs.ErrStale)
			}
		}
		m.must(m.intake.EndStopped(m.t.Context(), m.id))
	}
	m.t.Fatal("it does not end")
}

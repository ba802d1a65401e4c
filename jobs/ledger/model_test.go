package ledger_test

import (
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lethe/jobs"
)

// A model is what must hold of one request whatever is called in whatever
// order: it remembers the most that it has seen.
type model struct {
	*book
	t     *rapid.T
	id    string
	store string

	ended    jobs.Status      // "" while it is open
	stopped  bool             // cancelling
	epochs   map[string]int64 // the highest seen of each row
	rings    []jobs.Ring      // rung and not claimed, stale ones too
	held     []jobs.Task      // claimed, maybe stale by now
	finished map[string]bool  // batches
	erased   int
}

func TestNoOrderOfCallsBreaksTheBook(t *testing.T) {
	for _, on := range []where{onSQLite, onPostgres} { // one by one: rapid's flags are everybody's
		t.Run(string(on), func(t *testing.T) {
			ends := map[jobs.Status]int{}
			defer func() { t.Logf("ends: %v", ends) }()
			defer set(t, "rapid.checks", map[where]string{onSQLite: "50", onPostgres: "15"}[on])()
			defer set(t, "rapid.steps", "60")()
			b := newBook(t, on)
			n := 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				m := &model{book: b, t: rt, store: fmt.Sprint("store-", n), epochs: map[string]int64{}, finished: map[string]bool{}}
				b.intake.Stores = []jobs.StoreName{{Name: m.store, Kind: "k"}, {Name: m.store + "-b", Kind: "k"}}
				stores := []string{m.store}
				if rapid.Bool().Draw(rt, "two stores") {
					stores = append(stores, m.store+"-b")
				}
				r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user("u1"), Stores: stores})
				m.must(err)
				m.id = r.ID
				rt.Repeat(map[string]func(*rapid.T){
					"":         m.check,
					"enqueue":  m.enqueue,
					"claim":    m.claimOne,
					"work":     m.work,
					"carry on": m.carryOn,
					"retry":    func(rt *rapid.T) { m.owned(m.Retry(t.Context(), m.some(rt).Ring, 0, "n")) },
					"split":    m.split,
					"expire":   m.expire,
					"forget":   func(*rapid.T) { _, err := b.Forgotten(t.Context(), nil); m.must(err) },
					"cancel":   m.cancel,
				})
				ends[m.ended]++
			})
		})
	}
}

// set bounds a property whose every step is a durable commit, unless the
// command line says how far to go.
func set(t *testing.T, name, value string) (restore func()) {
	f := flag.Lookup(name)
	was := f.Value.String()
	if was != f.DefValue {
		return func() {}
	}
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Value.Set(was) }
}

func (m *model) must(err error) {
	if err != nil {
		m.t.Fatalf("%v", err)
	}
}

// owned is must for a write of a worker, which may have lost its task.
func (m *model) owned(err error) {
	if !errors.Is(err, jobs.ErrStale) && !errors.Is(err, jobs.ErrStopped) && !errors.Is(err, jobs.ErrGone) {
		m.must(err)
	}
}

func (m *model) check(*rapid.T) {
	ctx := m.t.Context()
	rec, err := m.Record(ctx, m.id)
	m.must(err)
	if m.ended != "" && rec.Status != m.ended {
		m.t.Fatalf("it was %s and is %s", m.ended, rec.Status)
	}
	if rec.Status.Ended() {
		m.ended = rec.Status
	}
	if rec.Status.Ended() != (rec.Entry != "") || rec.Status.Ended() != (rec.CompletedAt != nil) {
		m.t.Fatalf("status %s, entry %q, ended at %v", rec.Status, rec.Entry, rec.CompletedAt)
	}
	if m.stopped && rec.Status == jobs.Completed {
		m.t.Fatal("completed although it was stopped")
	}
	erased := 0
	for _, j := range rec.Jobs {
		erased += j.Erased
		sum := j.Erased + j.Absent + j.Held + j.Refused
		if sum > j.Requested || j.BatchesDone == j.BatchesTotal && j.PlannedAt != nil && sum != j.Requested {
			m.t.Fatalf("counts do not add up: %+v", j)
		}
		if rec.Status == jobs.Completed && (j.Stage != jobs.StageDone || j.BatchesDone != j.BatchesTotal) {
			m.t.Fatalf("completed with an open job: %+v", j)
		}
	}
	if erased != m.erased {
		m.t.Fatalf("erased %d by the ledger and %d by us", erased, m.erased)
	}
	var rows []jobs.Ring
	m.must(m.raw.Select(&rows, m.raw.Rebind(`SELECT id, epoch FROM outbox WHERE request = ?`), m.id))
	for _, r := range rows {
		if r.Epoch < m.epochs[r.ID] {
			m.t.Fatalf("an epoch went from %d to %d", m.epochs[r.ID], r.Epoch)
		}
		m.epochs[r.ID] = r.Epoch
	}
	// Nothing is forgotten: what is open has a row that will wake someone.
	if !rec.Status.Ended() && !m.stopped && len(rows) == 0 {
		m.t.Fatalf("status %s and nothing in the outbox", rec.Status)
	}
}

func (m *model) enqueue(rt *rapid.T) {
	n := rapid.IntRange(0, 3).Draw(rt, "window")
	rings, err := m.Enqueue(rt.Context(), map[string]int{m.store: n, m.store + "-b": n})
	m.must(err)
	m.rings = append(m.rings, rings...)
}

func (m *model) claimOne(rt *rapid.T) {
	if len(m.rings) == 0 {
		rt.Skip()
	}
	task, err := m.Claim(rt.Context(), rapid.SampledFrom(m.rings).Draw(rt, "ring"), "w", lease)
	if err == nil {
		m.held = append(m.held, task)
	}
	m.owned(err)
}

func (m *model) some(rt *rapid.T) jobs.Task {
	if len(m.held) == 0 {
		rt.Skip()
	}
	return rapid.SampledFrom(m.held).Draw(rt, "task")
}

// work carries a claimed task out as a worker does, under a ring that may be
// stale.
func (m *model) work(rt *rapid.T) {
	m.carryOut(rt, m.some(rt))
}

// carryOn is what happens on a good day: all that is ready is claimed and
// carried out.
func (m *model) carryOn(rt *rapid.T) {
	rings, err := m.Enqueue(rt.Context(), map[string]int{m.store: 9, m.store + "-b": 9})
	m.must(err)
	for _, r := range rings {
		task, err := m.Claim(rt.Context(), r, "w", lease)
		if m.owned(err); err != nil {
			continue // an earlier one ended the request
		}
		m.held = append(m.held, task)
		m.carryOut(rt, task)
	}
}

func (m *model) carryOut(rt *rapid.T, task jobs.Task) {
	switch task.Kind {
	case jobs.PlanTask:
		m.owned(m.freeze(rt, task, 3))
	case jobs.BatchTask:
		m.eraseOne(rt, task)
	case jobs.SettleTask:
		if rapid.IntRange(0, 3).Draw(rt, "found more") == 0 {
			m.owned(m.freeze(rt, task, 1))
			return
		}
		_, _, err := m.Replan(rt.Context(), task) // forgets half a round, as verifying begins with it
		if m.owned(err); err != nil {
			return
		}
		err = m.Verified(rt.Context(), task, m.Now(), jobs.Verification{})
		if m.owned(err); err != nil {
			return
		}
		rec, err := m.Record(rt.Context(), m.id)
		m.must(err)
		for _, j := range rec.Jobs {
			if j.Stage != jobs.StageDone {
				m.owned(m.Drop(rt.Context(), task.Ring))
				return
			}
		}
		m.owned(m.complete(rt.Context(), task))
	}
}

func (m *model) freeze(rt *rapid.T, task jobs.Task, most int) error {
	round, seq, err := m.Replan(rt.Context(), task)
	if err != nil {
		return err
	}
	n := rapid.IntRange(min(round-1, 1), most).Draw(rt, "batches")
	for i := range n {
		size := rapid.IntRange(1, 4).Draw(rt, "size")
		if err := m.Freeze(rt.Context(), task, round, seq+i, someIDs(fmt.Sprint(round, i), size)); err != nil {
			return err
		}
		if rapid.IntRange(0, 9).Draw(rt, "crash") == 0 {
			return nil // half a plan
		}
	}
	return m.Planned(rt.Context(), task, jobs.Planned{Round: round, Missing: n % 2, Digest: "d"}, 0)
}

func (m *model) eraseOne(rt *rapid.T, task jobs.Task) {
	batch, err := m.Begin(rt.Context(), task)
	if m.owned(err); err != nil {
		return
	}
	held := rapid.IntRange(0, 1).Draw(rt, "held")
	err = m.Finish(rt.Context(), task, receipt(batch, len(batch.IDs)-held, 0, held, 0))
	m.owned(err)
	if err == nil {
		if m.finished[batch.ID] {
			rt.Fatal("a batch was finished twice")
		}
		m.finished[batch.ID] = true
		m.erased += len(batch.IDs) - held
	}
}

func (m *model) split(rt *rapid.T) {
	task := m.some(rt)
	if task.Kind != jobs.BatchTask {
		rt.Skip()
	}
	batch, err := m.Begin(rt.Context(), task)
	if m.owned(err); err == nil && len(batch.IDs) > 1 {
		m.owned(m.Split(rt.Context(), task, batch, len(batch.IDs)/2, 0))
	}
}

func (m *model) expire(rt *rapid.T) {
	m.advance(lease + time.Millisecond)
	_, err := m.Expired(rt.Context())
	m.must(err)
}

func (m *model) cancel(rt *rapid.T) {
	if rapid.IntRange(0, 15).Draw(rt, "really") != 0 {
		rt.Skip()
	}
	_, err := m.intake.Cancel(rt.Context(), jobs.ActorLocal, m.id)
	if errors.Is(err, jobs.ErrTooLate) && m.ended != "" {
		return
	}
	m.must(err)
	m.stopped = true
}

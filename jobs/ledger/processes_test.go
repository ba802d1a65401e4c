package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
)

// beside opens the same ledger once more, as another process does.
func (b *book) beside(t testing.TB) *book {
	t.Helper()
	other := &book{on: b.on, url: b.url, dir: b.dir, keys: b.keys, key: b.key, now: b.Now(), raw: b.raw}
	other.open(t)
	t.Cleanup(func() { other.Close() })
	return other
}

// Many workers of two processes, each of which forgets, dies, is late or is
// called off at random, must not break a book: no batch is finished twice, none is
// left out, and each request ends once.
func TestNoInterleavingOfProcessesBreaksTheBook(t *testing.T) {
	const requests, workers = 12, 4
	first := newBook(t, onPostgres)
	second := first.beside(t)
	s := &strain{t: t, finished: map[string]int{}, claims: map[jobs.Ring]int{}, erased: map[string]int{}, cancelled: map[string]bool{}}
	for i := range requests {
		r, _, err := first.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user(fmt.Sprint("u", i))}) // two stores each
		if err != nil {
			t.Fatal(err)
		}
		s.ids = append(s.ids, r.ID)
	}
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	var all sync.WaitGroup
	for i := range 2 * workers {
		b := []*book{first, second}[i%2]
		all.Go(func() { s.work(ctx, b, rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	for _, b := range []*book{first, second} {
		all.Go(func() { s.reconcile(ctx, b, rand.New(rand.NewPCG(7, 7))) })
	}
	all.Wait()
	if ctx.Err() != nil {
		t.Fatal("the requests do not end")
	}
	s.judge(first)
}

// A strain is what is remembered of all that the workers did.
type strain struct {
	t   *testing.T
	ids []string

	mu        sync.Mutex
	finished  map[string]int    // batches
	claims    map[jobs.Ring]int // how often each epoch was claimed
	erased    map[string]int    // by request
	cancelled map[string]bool
}

func (s *strain) ended(ctx context.Context, b *book) bool {
	for _, id := range s.ids {
		if r, err := b.Request(ctx, id); err != nil || !r.Status.Ended() {
			return false
		}
	}
	return true
}

// tolerable are the answers that a worker gets who has lost its task.
func (s *strain) tolerable(what string, err error) bool {
	if err == nil {
		return true
	}
	if !errors.Is(err, jobs.ErrStale) && !errors.Is(err, jobs.ErrStopped) && !errors.Is(err, jobs.ErrGone) && !errors.Is(err, context.DeadlineExceeded) {
		s.t.Errorf("%s: %v", what, err)
	}
	return false
}

func (s *strain) work(ctx context.Context, b *book, r *rand.Rand) {
	for ctx.Err() == nil && !s.ended(ctx, b) {
		rings, err := b.Enqueue(ctx, map[string]int{"memories": 6, "notes": 6})
		s.tolerable("enqueue", err)
		for _, ring := range rings {
			for range 1 + r.IntN(2) { // a queue may deliver twice
				s.claim(ctx, b, r, ring)
			}
		}
	}
}

func (s *strain) claim(ctx context.Context, b *book, r *rand.Rand, ring jobs.Ring) {
	task, err := b.Claim(ctx, ring, "w", lease)
	if !s.tolerable("claim", err) {
		return
	}
	s.mu.Lock()
	s.claims[ring]++
	s.mu.Unlock()
	switch r.IntN(12) {
	case 0:
		return // dies
	case 1:
		s.tolerable("retry", b.Retry(ctx, task.Ring, 0, "n"))
		return
	case 2:
		s.tolerable("extend", b.Extend(ctx, task.Ring, lease))
	}
	s.carryOut(ctx, b, r, task)
	if r.IntN(4) == 0 { // and again, as one that does not know that it has answered
		s.carryOut(ctx, b, r, task)
	}
}

func (s *strain) carryOut(ctx context.Context, b *book, r *rand.Rand, task jobs.Task) {
	switch task.Kind {
	case jobs.PlanTask:
		s.plan(ctx, b, task, 1+r.IntN(4))
	case jobs.BatchTask:
		s.erase(ctx, b, r, task)
	case jobs.SettleTask:
		job, err := b.Job(ctx, task.Job)
		if !s.tolerable("job", err) {
			return
		}
		if job.Round < 3 && r.IntN(3) == 0 {
			s.plan(ctx, b, task, 1)
			return
		}
		if !s.tolerable("verified", b.Verified(ctx, task, b.Now(), jobs.Verification{})) {
			return
		}
		rec, err := b.Record(ctx, task.Request)
		if !s.tolerable("record", err) {
			return
		}
		for _, j := range rec.Jobs {
			if j.Stage != jobs.StageDone {
				s.tolerable("drop", b.Drop(ctx, task.Ring))
				return
			}
		}
		// The other job, which was verified, may be in the midst of freezing one more
		// round: what does not add up is not certified, and the task comes back.
		if err := b.complete(ctx, task); !errors.Is(err, proof.ErrEntry) {
			s.tolerable("complete", err)
		}
	}
}

func (s *strain) plan(ctx context.Context, b *book, task jobs.Task, batches int) {
	round, seq, err := b.Replan(ctx, task)
	if !s.tolerable("replan", err) {
		return
	}
	for i := range batches {
		if !s.tolerable("freeze", b.Freeze(ctx, task, round, seq+i, someIDs(fmt.Sprint(round, i), 3))) {
			return
		}
	}
	s.tolerable("planned", b.Planned(ctx, task, jobs.Planned{Round: round, Digest: "d"}, 0))
}

func (s *strain) erase(ctx context.Context, b *book, r *rand.Rand, task jobs.Task) {
	batch, err := b.Begin(ctx, task)
	if !s.tolerable("begin", err) {
		return
	}
	if err := b.Fence(ctx, task.Ring); !s.tolerable("fence", err) {
		if errors.Is(err, jobs.ErrStopped) { // called off after it was begun: somebody has looked now
			s.tolerable("drop", b.Drop(ctx, task.Ring))
		}
		return
	}
	if len(batch.IDs) > 1 && r.IntN(5) == 0 {
		s.tolerable("split", b.Split(ctx, task, batch, len(batch.IDs)/2, 0))
		return
	}
	if s.tolerable("finish", b.Finish(ctx, task, receipt(batch, len(batch.IDs), 0, 0, 0))) {
		s.mu.Lock()
		s.finished[batch.ID]++
		s.erased[task.Request] += len(batch.IDs)
		s.mu.Unlock()
	}
}

// reconcile lets leases end, loses what was rung, and now and then calls a
// request off, as both processes do at once.
func (s *strain) reconcile(ctx context.Context, b *book, r *rand.Rand) {
	for turn := 0; ctx.Err() == nil && !s.ended(ctx, b); turn++ {
		b.advance(lease / 2) // the workers' clock too: leases end under them
		_, err := b.Expired(ctx)
		s.tolerable("expired", err)
		if r.IntN(3) == 0 {
			_, err := b.Forgotten(ctx, nil)
			s.tolerable("forgotten", err)
		}
		if turn%8 == 7 {
			id := s.ids[r.IntN(4)] // the others are to be completed
			if _, err := b.intake.Cancel(ctx, jobs.ActorLocal, id); err == nil {
				s.mu.Lock()
				s.cancelled[id] = true
				s.mu.Unlock()
			} else if !errors.Is(err, jobs.ErrTooLate) {
				s.tolerable("cancel", err)
			}
		}
		ids, err := b.Stopped(ctx)
		s.tolerable("stopped", err)
		for _, id := range ids {
			s.tolerable("end", b.intake.EndStopped(ctx, id))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// judge compares the book and the log with what was remembered.
func (s *strain) judge(b *book) {
	s.t.Helper()
	ctx := s.t.Context()
	for batch, n := range s.finished {
		if n != 1 {
			s.t.Errorf("batch %s was finished %d times", batch, n)
		}
	}
	for ring, n := range s.claims {
		if n != 1 {
			s.t.Errorf("%v was claimed %d times", ring, n)
		}
	}
	ends := map[jobs.Status]int{}
	for _, id := range s.ids {
		rec, err := b.Record(ctx, id)
		if err != nil {
			s.t.Fatal(err)
		}
		ends[rec.Status]++
		erased, open := 0, 0
		for _, j := range rec.Jobs {
			erased += j.Erased
			open += j.BatchesTotal - j.BatchesDone
			if rec.Status == jobs.Completed && (j.Stage != jobs.StageDone || j.Erased != j.Requested) {
				s.t.Errorf("completed with %+v", j)
			}
		}
		if erased != s.erased[id] {
			s.t.Errorf("erased %d by the ledger and %d by us", erased, s.erased[id])
		}
		if rec.Status == jobs.Completed && open > 0 || rec.Status == jobs.Cancelled && !s.cancelled[id] {
			s.t.Errorf("%s with %d open batches", rec.Status, open)
		}
	}
	report, err := b.Log().Check(ctx)
	if err != nil {
		s.t.Error(err)
	}
	if k := report.Kinds; k[proof.KindAccepted] != len(s.ids) || k[proof.KindCompleted] != ends[jobs.Completed] || k[proof.KindCancelled] != ends[jobs.Cancelled] || report.Open != 0 {
		s.t.Errorf("the log has %v, the book %v", k, ends)
	}
	if n := b.count(s.t, "outbox"); n != 0 {
		s.t.Errorf("%d tasks of requests that have ended", n)
	}
	s.t.Logf("%v, %d batches, %d claims", ends, len(s.finished), len(s.claims))
}

// The windows of several relays are one window, and no row is rung by two.
func TestRelaysOfTwoProcessesRingEachTaskOnce(t *testing.T) {
	first := newBook(t, onPostgres)
	second := first.beside(t)
	for i := range 40 {
		first.submit(t, fmt.Sprint("u", i), "notes")
	}
	const window = 25
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for i := range 8 {
		b := []*book{first, second}[i%2]
		all.Go(func() {
			rings, err := b.Enqueue(t.Context(), map[string]int{"notes": window})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range rings {
				seen[r.ID]++
			}
		})
	}
	all.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was rung %d times", id, n)
		}
	}
	if len(seen) != window || first.count(t, "outbox WHERE state = 'queued'") != window {
		t.Errorf("%d tasks were rung, want %d", len(seen), window)
	}
}

// Of two processes that destroy the same key, each with its own time of day, one
// says so in the log.
func TestTwoReconcilersDestroyAKeyOnce(t *testing.T) {
	first := newBook(t, onPostgres)
	second := first.beside(t)
	r := first.submit(t, "u1", "notes")
	first.finish(t, 2)
	for i, b := range []*book{first, second} {
		if err := b.keys.DestroySubject(r.ID); err != nil {
			t.Fatal(err)
		}
		e := &proof.SubjectKeyDestroyed{RequestID: r.ID, DestroyedAt: proof.At(b.Now().Add(time.Duration(i) * time.Minute))}
		if err := b.SubjectKeyGone(t.Context(), r.ID, e); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	if report, err := first.Log().Check(t.Context()); err != nil || report.Kinds[proof.KindSubjectKeyDestroyed] != 1 {
		t.Errorf("%v, %v", report.Kinds, err)
	}
}

func TestAProcessThatMustBeAloneIs(t *testing.T) {
	first := newBook(t, onPostgres)
	o := first.options()
	o.Alone = true
	if _, err := ledger.Open(t.Context(), o); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("beside another: %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	alone, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(t.Context(), first.options()); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("beside one that is alone: %v, want ErrLocked", err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	first.open(t)
}

func TestTurnsAreTakenOneAtATime(t *testing.T) {
	first := newBook(t, onPostgres)
	second := first.beside(t)
	take := func(b *book) (end func()) {
		t.Helper()
		end, err := b.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	end := take(first)
	if end == nil || take(second) != nil {
		t.Fatal("it is nobody's turn, or that of two")
	}
	end()
	if end = take(second); end == nil {
		t.Fatal("a turn does not end")
	}
	end()
}

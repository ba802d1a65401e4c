//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/worker"
)

// canary begins every identifier in the lies lane: nothing that Lethe writes
// may have it.
const canary = "canary7"

// liesPerHome is how many cases share a home: opening one costs more than
// a case does.
const liesPerHome = 100

// liesLane sets real workers over stores that lie, and compares what the
// certificates say with the lab's own book.
func liesLane(ctx context.Context, r *run) error {
	if r.of > 1 {
		if err := memoryFiles(); err != nil {
			return err
		}
	}
	var free homes
	r.cases(ctx, runtime.GOMAXPROCS(0), func(ctx context.Context, c *kase) error {
		h, err := free.get(ctx, c)
		if err != nil {
			return err
		}
		l := newLies(h, c)
		if err := patient(3*time.Minute, func() error { return l.play(ctx) }); err != nil {
			return err // the home is not used again
		}
		return free.put(ctx, h)
	})
	return free.shut(ctx)
}

// patient runs f, and returns an error if it takes longer than that: something
// waits for what will never be.
func patient(most time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- guarded(f) }()
	select {
	case err := <-done:
		return err
	case <-time.After(most):
		return fmt.Errorf("it stands still: not done after %s", most)
	}
}

// homes are the homes that no case is in.
type homes struct {
	mu   sync.Mutex
	free []*usedHome
	made int
}

type usedHome struct {
	*home
	cases     int
	completed map[string]bool
}

func (s *homes) get(ctx context.Context, c *kase) (*usedHome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		h := s.free[n-1]
		s.free = s.free[:n-1]
		return h, nil
	}
	s.made++
	h, err := openHome(ctx, filepath.Join(c.lab.dir, fmt.Sprintf("home-%d", s.made)), newSlowClock(), "a", "b")
	return &usedHome{home: h, completed: map[string]bool{}}, err
}

func (s *homes) put(ctx context.Context, h *usedHome) error {
	h.cases++
	if h.cases >= liesPerHome {
		return h.inspect(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, h)
	return nil
}

func (s *homes) shut(ctx context.Context) error {
	var errs []error
	for _, h := range s.free {
		errs = append(errs, h.inspect(ctx))
	}
	return errors.Join(errs...)
}

// inspect looks at all that a home has written, and closes it: the log is
// whole, has one end of each request and none of any other, and nobody is named.
func (h *usedHome) inspect(ctx context.Context) error {
	checked, err := h.ledger.Log().Check(ctx)
	if err != nil {
		return fmt.Errorf("check the log: %w", err)
	}
	if want := int64(2 * len(h.completed)); checked.Size != want {
		return fmt.Errorf("the log has %d entries, and %d requests were filed and ended: want %d", checked.Size, len(h.completed), want)
	}
	if err := h.close(); err != nil {
		return err
	}
	defer forgetFiles(h.dir)
	return h.leaks(canary)
}

// A lies is one case: a request, the stores that it is about, and what goes
// wrong with them.
type lies struct {
	*kase
	h         *usedHome
	stores    map[string]*liar
	names     []string
	before    map[string]map[store.ID]string // others' rows of each store
	own       map[string]bool                // users that the request is about
	keys      []string                       // or the keys of memories
	erased    []*worker.Eraser
	old       []jobs.Ring
	outliving bool
	id        string
}

func newLies(h *usedHome, c *kase) *lies {
	l := &lies{
		kase: c, h: h, stores: map[string]*liar{}, before: map[string]map[store.ID]string{}, own: map[string]bool{},
		names: []string{"a", "b"}[:1+c.rng.IntN(2)],
	}
	if c.rng.IntN(3) > 0 {
		l.own[canary+"alice"] = true
	} else {
		for i := range 1 + c.rng.IntN(5) {
			l.keys = append(l.keys, fmt.Sprintf("%salice-%d", canary, i))
		}
	}
	size := 1 + c.rng.IntN(8)
	if c.rng.IntN(200) == 0 {
		size = store.MaxBatch + c.rng.IntN(600)
	}
	all := lieKinds()
	for _, name := range l.names {
		s := newLiar(c.rng, h.clock.Now)
		s.odds = []float64{0.1, 0.3, 0.6, 0.9}[c.rng.IntN(4)]
		for range 1 + c.rng.IntN(4) {
			s.kinds = append(s.kinds, all[c.rng.IntN(len(all))])
		}
		s.subject = func(user string) bool { return l.own[user] }
		s.selected = func(key string) bool { return slices.Contains(l.keys, key) }
		s.pass = func(d time.Duration) { h.clock.add(d) }
		l.populate(s, size)
		l.stores[name] = s
		l.before[name] = l.others(s)
		c.note("store %s: %v, odds %g, %d rows a head", name, s.kinds, s.odds, size)
	}
	return l
}

// populate gives each of some people n memories; their names are near.
func (l *lies) populate(s *liar, n int) {
	for _, user := range []string{"alice", "Alice", "alic", "alice ", "bob"} {
		for i := range n {
			s.put(fmt.Sprintf("%s%s-%d", canary, user, i), canary+user, l.rng.IntN(3) == 0)
		}
	}
}

// others are the rows that the request is not about.
func (l *lies) others(s *liar) map[store.ID]string {
	rows := map[store.ID]string{}
	for id, user := range s.rows {
		if !l.about(id, user) {
			rows[id] = user
		}
	}
	return rows
}

// about reports whether the request is about a row.
func (l *lies) about(id store.ID, user string) bool {
	return l.own[user] || id.Place == "memories" && slices.Contains(l.keys, id.Key)
}

func (l *lies) play(ctx context.Context) error {
	if err := l.submit(ctx); err != nil {
		return err
	}
	for range 3 { // the last one for what happens in the midst of the others' work
		stores := map[string]store.Store{}
		for name, s := range l.stores {
			stores[name] = s
		}
		l.erased = append(l.erased, l.h.eraser(fmt.Sprint("worker-", len(l.erased)), stores))
	}
	for _, s := range l.stores {
		s.hook = func() { l.outlive(ctx) }
	}
	n := 3 + l.rng.IntN(9)
	if l.rng.IntN(6) == 0 {
		n += l.rng.IntN(30)
	}
	for ; n > 0; n-- {
		idle, err := l.step(ctx)
		if err != nil {
			return err
		}
		if idle && n > stepsAfterwards {
			r, err := l.h.intake.Request(ctx, jobs.ActorLocal, l.id)
			if err != nil {
				return err
			}
			if r.Status.Ended() { // what is rung a second time comes after this, too
				n = stepsAfterwards
			}
		}
	}
	if err := l.checkOpen(ctx); err != nil {
		return err
	}
	for _, s := range l.stores {
		s.stop()
	}
	if err := l.h.finish(ctx, l.erased[0], l.id); err != nil {
		return err
	}
	l.h.completed[l.id] = true
	return l.judge(ctx)
}

func (l *lies) submit(ctx context.Context) error {
	s := jobs.Submission{By: jobs.ActorLocal, Origin: jobs.OriginAPI, Stores: l.names}
	if len(l.keys) > 0 {
		st, err := l.h.intake.Stage(ctx)
		if err != nil {
			return err
		}
		if err := st.Add(ctx, l.keys); err != nil {
			return err
		}
		s.Staged = st
	} else {
		s.Selector = store.Selector{UserID: canary + "alice"}
	}
	r, _, err := l.h.intake.Submit(ctx, s)
	l.id = r.ID
	return err
}

// stepsAfterwards is how many steps there are at most once a request has ended.
const stepsAfterwards = 4

// step is one thing that happens while the stores are as they are. It is idle if
// nothing was ready to be done; then time passes.
func (l *lies) step(ctx context.Context) (idle bool, err error) {
	e := l.erased[l.rng.IntN(2)]
	switch l.rng.IntN(12) {
	default: // what is ready is done, in any order, by any worker; some of it twice
		rings, err := l.h.rings(ctx)
		if err != nil {
			return false, err
		}
		if len(rings) == 0 {
			return true, l.idle(ctx)
		}
		l.rng.Shuffle(len(rings), func(i, j int) { rings[i], rings[j] = rings[j], rings[i] })
		for _, r := range rings {
			if err := l.handle(ctx, e, r); err != nil {
				return false, err
			}
		}
		l.old = append(l.old, rings...)
	case 7: // a ring comes a second time, perhaps long after
		if len(l.old) > 0 {
			return false, l.handle(ctx, e, l.old[l.rng.IntN(len(l.old))])
		}
	case 8:
		l.h.clock.add(time.Duration(l.rng.IntN(120)) * time.Second)
	case 9:
		return false, l.h.reconcile(ctx)
	case 10: // the process and its queue are gone, and others begin
		_, err := l.h.ledger.Abandoned(ctx)
		_, err2 := l.h.ledger.Forgotten(ctx, nil)
		return false, errors.Join(err, err2)
	case 11:
		if l.rng.IntN(40) == 0 {
			l.tally("cancelled", 1)
			if _, err := l.h.intake.Cancel(ctx, jobs.ActorLocal, l.id); err != nil && !errors.Is(err, jobs.ErrTooLate) {
				return false, err
			}
		}
	}
	return false, nil
}

// idle lets time pass, and the reconciler look, as they would if nothing is to be
// done for a while.
func (l *lies) idle(ctx context.Context) error {
	l.h.clock.add(time.Duration(l.rng.IntN(60)) * time.Second)
	if l.rng.IntN(2) == 0 {
		return nil
	}
	return l.h.reconcile(ctx)
}

func (l *lies) handle(ctx context.Context, e *worker.Eraser, r jobs.Ring) error {
	panicked, err := l.h.handle(ctx, e, r)
	if panicked {
		l.tally("panics that left a worker", 1)
	}
	return err
}

// outlive lets the lease end in the middle of an Erase, and another worker
// carry on.
func (l *lies) outlive(ctx context.Context) {
	if l.outliving {
		return
	}
	l.outliving = true
	defer func() { l.outliving = false }()
	l.h.clock.add(9 * time.Second)
	if err := l.h.reconcile(ctx); err == nil {
		_, _ = l.h.turn(ctx, l.erased[2])
	}
}

// checkOpen looks at a request that has not ended: it says so, and why.
func (l *lies) checkOpen(ctx context.Context) error {
	r, err := l.h.intake.Request(ctx, jobs.ActorLocal, l.id)
	if err != nil || r.Status.Ended() {
		return err
	}
	if r.Certificate || r.CompletedAt != nil {
		return fmt.Errorf("the request is %s and has a certificate", r.Status)
	}
	if _, err := l.h.intake.Certificate(ctx, jobs.ActorLocal, l.id); !errors.Is(err, jobs.ErrTooLate) {
		return fmt.Errorf("asked for the certificate of a request that is %s: %w", r.Status, err)
	}
	return nil
}

// judge compares what the certificate says with the book.
func (l *lies) judge(ctx context.Context) error {
	for _, s := range l.stores {
		for kind, n := range s.done {
			l.tally(kind, n)
		}
	}
	r, err := l.h.intake.Request(ctx, jobs.ActorLocal, l.id)
	if err != nil {
		return err
	}
	e, err := l.h.statement(ctx, l.id)
	if err != nil {
		return fmt.Errorf("verify the certificate: %w", err)
	}
	for _, j := range r.Jobs {
		if err := l.judgeOthers(l.stores[j.Store], l.before[j.Store]); err != nil {
			return fmt.Errorf("store %s: %w", j.Store, err)
		}
	}
	done, ok := e.(*proof.Completed)
	if !ok {
		if r.Status == jobs.Cancelled && e.Kind() == proof.KindCancelled {
			return nil
		}
		return fmt.Errorf("the request is %s and its certificate a %s", r.Status, e.Kind())
	}
	if r.Status != jobs.Completed || len(done.Stores) != len(r.Jobs) {
		return fmt.Errorf("the request is %s in %d stores and its certificate says completed in %d", r.Status, len(r.Jobs), len(done.Stores))
	}
	for i, j := range r.Jobs {
		if err := l.judgeStore(r, j, done.Stores[i]); err != nil {
			return fmt.Errorf("store %s: %w", j.Store, err)
		}
	}
	return nil
}

package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// A shelf is a ledger of sweeps in memory, by the letter of jobs.SweepLedger, that
// also takes requests in, and ends them at once unless it is told not to.
type shelf struct {
	jobs.Ledger // what is not asked here

	mu       sync.Mutex
	now      func() time.Time
	marks    map[string]*mark
	sweeps   map[string]*jobs.Sweep
	requests map[string]*filed // by ID
	refused  map[string]int    // by reason
	stay     bool              // requests do not end
	accepts  func(jobs.Acceptance) error
	ticks    int // that were taken
}

type mark struct {
	since, newest, asOf time.Time
	list                []*jobs.Sweep // in the order in which they came
}

type filed struct {
	jobs.Acceptance
	status jobs.Status
	ended  bool
}

func newShelf(now func() time.Time) *shelf {
	return &shelf{now: now, marks: map[string]*mark{}, sweeps: map[string]*jobs.Sweep{}, requests: map[string]*filed{}, refused: map[string]int{}}
}

func (s *shelf) Swept(_ context.Context, policy, storeName string) (jobs.Swept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := policy + " " + storeName
	m := s.marks[at]
	if m == nil {
		m = &mark{since: s.now(), newest: s.now()}
		s.marks[at] = m
	}
	known := jobs.Swept{Since: m.since, Newest: m.newest, AsOf: m.asOf}
	var done []jobs.Sweep
	for _, w := range m.list[max(0, len(m.list)-40):] { // more are not asked for here
		if w.State == jobs.SweepOpen && w.By == "" {
			known.Open = new(*w)
		}
		if r := s.requests[w.Request]; r != nil {
			known.Busy = known.Busy || !r.ended
			if r.status != jobs.Rejected && r.status != jobs.Cancelled {
				done = append(done, *w)
			}
		}
	}
	slices.SortFunc(done, func(a, b jobs.Sweep) int { return b.DoneAt.Compare(*a.DoneAt) })
	for _, w := range done[:min(len(done), jobs.UsualOf)] {
		known.Usual = append(known.Usual, w.Found)
	}
	return known, nil
}

func (s *shelf) OpenSweep(_ context.Context, w jobs.Sweep, after time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.marks[w.Policy+" "+w.Store]
	if !m.newest.Equal(after) {
		return false, nil
	}
	m.newest = w.DueAt
	for _, o := range m.list[max(0, len(m.list)-40):] {
		if o.By == "" && o.State == jobs.SweepOpen {
			o.State = jobs.SweepCovered
		}
		if o.By == "" && o.DueAt.Equal(w.DueAt) {
			return false, nil
		}
	}
	s.ticks++
	s.sweeps[w.ID], m.list = &w, append(m.list, &w)
	return true, nil
}

func (s *shelf) RunSweep(_ context.Context, w jobs.Sweep) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.marks[w.Policy+" "+w.Store]
	if m == nil {
		m = &mark{since: s.now(), newest: s.now()}
		s.marks[w.Policy+" "+w.Store] = m
	}
	if m.newest.After(s.now()) {
		m.newest = s.now()
	}
	s.sweeps[w.ID], m.list = &w, append(m.list, &w)
	return nil
}

func (s *shelf) TrySweep(_ context.Context, id string, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.sweeps[id]
	if w.State != jobs.SweepOpen || w.NextAt.After(s.now()) {
		return false, nil
	}
	w.NextAt = until
	return true, nil
}

func (s *shelf) RefuseSweep(_ context.Context, id, _, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[reason]++
	if w := s.sweeps[id]; w != nil && w.State == jobs.SweepOpen {
		if w.Reason = reason; w.By != "" {
			w.State = jobs.SweepRefused
		}
	}
	return nil
}

func (s *shelf) refusals(reason string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[reason]
}

func (s *shelf) EndSweep(_ context.Context, w jobs.Sweep) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(w, jobs.SweepEmpty)
}

func (s *shelf) end(w jobs.Sweep, state jobs.SweepState) error {
	if s.sweeps[w.ID].State != jobs.SweepOpen {
		return jobs.ErrSwept
	}
	w.State, w.Reason, w.DoneAt = state, "", new(s.now())
	*s.sweeps[w.ID] = w
	if m := s.marks[w.Policy+" "+w.Store]; m != nil {
		m.asOf = w.AsOf
	}
	return nil
}

func (s *shelf) LastSweeps(context.Context, string, int) ([]jobs.Sweep, error) { return nil, nil }

func (s *shelf) Accept(_ context.Context, a jobs.Acceptance) (*jobs.Request, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.marks[a.Sweep.Policy+" "+a.Sweep.Store].list {
		if r := s.requests[w.Request]; r != nil && !r.ended {
			return nil, nil, jobs.ErrOverlap
		}
	}
	if s.accepts != nil {
		if err := s.accepts(a); err != nil {
			return nil, nil, err
		}
	}
	w := *a.Sweep
	w.Request = a.Request.ID
	if err := s.end(w, jobs.SweepFiled); err != nil {
		return nil, nil, err
	}
	s.requests[a.Request.ID] = &filed{a, jobs.Completed, !s.stay}
	return nil, nil, nil
}

func (s *shelf) Request(_ context.Context, id string) (jobs.Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[id].Request, nil
}

// ring is a keyring that keeps nothing.
type ring struct {
	mu   sync.Mutex
	open map[string]bool
}

func (k *ring) Create(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[id] = true
	return nil
}

func (k *ring) DestroySeal(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, id)
	return nil
}
func (k *ring) Subject(string) ([]byte, error) { return make([]byte, 32), nil }
func (k *ring) DestroySubject(string) error    { return nil }
func (k *ring) Secret() []byte                 { return make([]byte, 32) }

// A larder is stores that say of each selector what they are told to.
type larder struct {
	clock func(string) (time.Time, error)
	sight func(string, store.Selector) (jobs.SweepSight, error)
}

func (l larder) Clock(_ context.Context, name string) (time.Time, error) { return l.clock(name) }

func (l larder) Sight(_ context.Context, name string, sel store.Selector, _ bool) (jobs.SweepSight, error) {
	return l.sight(name, sel)
}

// rows is a sight of so many rows of one place.
func rows(found, total int) (jobs.SweepSight, error) {
	return jobs.SweepSight{IDs: found, Places: []jobs.PlaceCount{{Place: "memories", Found: found, Total: total}}}, nil
}

// newSweeper runs policies by a shelf and a larder.
func newSweeper(s *shelf, l larder, now func() time.Time, all ...jobs.Policy) *jobs.Sweeper {
	names := map[string]bool{}
	in := &jobs.Intake{Ledger: s, Keys: &ring{open: map[string]bool{}}, Now: now}
	for _, p := range all {
		for _, name := range p.Stores {
			if !names[name] {
				in.Stores = append(in.Stores, jobs.StoreName{Name: name, Kind: "memory"})
			}
			names[name] = true
		}
	}
	return &jobs.Sweeper{All: all, Ledger: s, Intake: in, Stores: l, Now: now, Logger: slog.New(slog.DiscardHandler)}
}

var errBroken = errors.New("broken")

package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lethe/audit/fault"
	"lethe/store"
)

const (
	sweepTurn    = time.Minute // at least so often it is looked what is due
	sweepAgain   = time.Minute // how soon what was refused is tried again
	sweepSkew    = time.Minute // by how much clocks may differ
	jumpedBeyond = 2           // intervals since the last sweep, beyond which a clock that was set forward is not believed
	sweepsShown  = 10
)

// A Sweeper runs policies when they are due. Several may run at once, in any number
// of processes: the ledger gives each tick to one of them. What wakes it is a timer
// and of no matter: due times depend on the calendar, and what was due and is done
// stands in the ledger.
//
// Its fields are set before the first call and not changed.
type Sweeper struct {
	All    []Policy // policies, in the order of the configuration
	Ledger SweepLedger
	Intake *Intake
	Stores AgedStores
	Rules  Rules // for previews
	Now    func() time.Time
	Rest   func() bool // whether nothing can be written now; nil for never
	Pulse  Pulse
	Logger *slog.Logger

	Turn    time.Duration        // at least so often it is looked what is due; 0 for a minute
	Elapsed func() time.Duration // by a clock that nobody sets; nil for the process's own

	once  sync.Once
	began time.Time // by Now
	ran   func() time.Duration

	mu     sync.Mutex
	said   map[string]string        // the last refusal of a policy in a store that was logged
	jumped map[string]time.Duration // when it was last counted that the clock is not believed

	ids sequence
}

var _ Sweeps = (*Sweeper)(nil)

// Run runs policies until ctx is done. Stores do not wait for each other.
func (s *Sweeper) Run(ctx context.Context) error {
	s.start()
	var names []string
	for _, p := range s.All {
		names = append(names, p.Stores...)
	}
	slices.Sort(names)
	var group sync.WaitGroup
	for _, name := range slices.Compact(names) {
		group.Go(func() { s.watch(ctx, name) })
	}
	group.Wait()
	<-ctx.Done()
	return nil
}

func (s *Sweeper) start() {
	s.once.Do(func() {
		s.began, s.said, s.jumped = s.now(), map[string]string{}, map[string]time.Duration{}
		if s.ran = s.Elapsed; s.ran == nil {
			began := time.Now()
			s.ran = func() time.Duration { return time.Since(began) }
		}
		s.began = s.began.Add(-s.ran())
	})
}

// watch runs the policies of one store until ctx is done.
func (s *Sweeper) watch(ctx context.Context, name string) {
	turned := s.Pulse.Begin()
	for failed := ""; ; {
		wait := s.turn()
		if s.Rest != nil && s.Rest() {
			turned()
		} else {
			var err error
			wait, err = s.look(ctx, name)
			text := ""
			if err != nil {
				text = err.Error()
			} else {
				turned()
			}
			if text != "" && text != failed && ctx.Err() == nil { // once: it is tried again
				s.Logger.WarnContext(ctx, "running policies; it is tried again", slog.String("store", name), slog.Any("error", err))
			}
			failed = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// now is without the reading of the process's own clock, which would hide that the
// other was set.
func (s *Sweeper) now() time.Time { return s.Now().Round(0) }

func (s *Sweeper) turn() time.Duration {
	if s.Turn > 0 {
		return s.Turn
	}
	return fault.Pace(sweepTurn)
}

// look runs what is due in one store, and returns how long to wait.
func (s *Sweeper) look(ctx context.Context, name string) (wait time.Duration, err error) {
	wait = s.turn()
	for _, p := range s.All {
		if !slices.Contains(p.Stores, name) || ctx.Err() != nil {
			continue
		}
		err = errors.Join(err, s.tick(ctx, p, name))
		now := s.now()
		if next, ok := p.Schedule.Next(now); ok {
			wait = min(wait, next.Sub(now))
		}
	}
	return max(wait, 10*time.Millisecond), err
}

// tick takes the newest tick of a policy that is due and was not taken, and runs
// the one that is open.
func (s *Sweeper) tick(ctx context.Context, p Policy, name string) error {
	now := s.now()
	known, err := s.Ledger.Swept(ctx, p.Name, name)
	if err != nil {
		return err
	}
	if reason := s.unbelieved(p, known, now); reason != "" {
		return s.doubt(ctx, p, name, reason)
	}
	if due, n, ok := p.Schedule.Last(known.Newest, now); ok {
		w := Sweep{ID: s.ids.id(now), Policy: p.Name, Store: name, DueAt: due, Missed: n - 1, State: SweepOpen, NextAt: due}
		taken, err := s.Ledger.OpenSweep(ctx, w, known.Newest)
		if err != nil || !taken {
			return err
		}
		fault.Point("sweep/taken")
		known.Open = &w
	}
	if known.Open == nil || known.Open.NextAt.After(now) {
		return nil
	}
	again := fault.Pace(sweepAgain)
	if fault.Bug("sweep/never-again") {
		again = MaxEvery
	}
	if mine, err := s.Ledger.TrySweep(ctx, known.Open.ID, now.Add(again)); err != nil || !mine {
		return err
	}
	fault.Among("sweep/tried", []string{p.Name})
	_, err = s.run(ctx, p, *known.Open, p.Actor())
	return err
}

// unbelieved returns why our clock is not believed, before a tick is taken by it.
func (s *Sweeper) unbelieved(p Policy, known Swept, now time.Time) string {
	if fault.Bug("sweep/clock-believed") {
		return ""
	}
	if ahead := known.Newest.Sub(now); ahead > sweepSkew && ahead > p.interval(known.Newest) {
		return RefusedBack // or the newest tick was taken by a clock that was wrong
	}
	return s.jumpedTo(p, known, now)
}

// jumpedTo returns RefusedJump if a time is long after the last sweep, and our clock
// was set forward by as much while we ran.
func (s *Sweeper) jumpedTo(p Policy, known Swept, t time.Time) string {
	by := s.now().Sub(s.began) - s.ran()
	if known.AsOf.IsZero() || by <= sweepSkew || known.AsOf.After(t.Add(sweepSkew-by)) { // or somebody has run it by this clock since
		return ""
	}
	far := jumpedBeyond*p.interval(known.AsOf) + sweepSkew
	if by > far && t.Sub(known.AsOf) > far {
		return RefusedJump
	}
	return ""
}

// doubt counts each minute that a policy is not run because of the clock.
func (s *Sweeper) doubt(ctx context.Context, p Policy, name, reason string) error {
	s.mu.Lock()
	at := p.Name + " " + name
	last, before := s.jumped[at]
	due := !before || s.ran()-last >= fault.Pace(sweepAgain)
	if due {
		s.jumped[at] = s.ran()
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	s.tell(ctx, p, name, reason, nil)
	return s.Ledger.RefuseSweep(ctx, "", p.Name, reason)
}

// run runs a sweep that is this process's to run, and returns what became of it.
func (s *Sweeper) run(ctx context.Context, p Policy, w Sweep, by Actor) (Sweep, error) {
	known, err := s.Ledger.Swept(ctx, p.Name, w.Store)
	if err != nil {
		return w, err
	}
	if known.Busy && !fault.Bug("sweep/overlap") { // before a large store is counted each minute for nothing
		return s.refuse(ctx, p, w, RefusedOverlap, nil)
	}
	sight, reason, err := s.sight(ctx, p, w.Store, known, w.By != "", false)
	if reason != "" {
		return s.refuse(ctx, p, w, reason, err)
	}
	if err != nil {
		return w, err
	}
	w.AsOf, w.Found, w.Undated = sight.AsOf, sight.rows(p.Orphaned), sight.undated()
	fault.Point("sweep/looked")
	if sight.IDs <= sight.Held {
		w.State, w.Held = SweepEmpty, sight.Held
		err := s.Ledger.EndSweep(ctx, w)
		fault.Point("sweep/ended")
		s.tell(ctx, p, w.Store, "", err)
		return w, unlessSwept(err)
	}
	return s.file(ctx, p, w, known.Usual, by)
}

// file files the request of a sweep, together with the sweep's own row: a crash
// leaves both or none.
func (s *Sweeper) file(ctx context.Context, p Policy, w Sweep, usual []int, by Actor) (Sweep, error) {
	what := Submission{By: by, Selector: p.Selector(w.AsOf), Stores: []string{w.Store}, Regime: p.Regime, Origin: OriginSweep}
	o := occasion{unasked: true, sweep: &w, brakes: p.brakes(usual)}
	if fault.Bug("sweep/unbraked") {
		o.brakes = nil
	}
	r, _, err := s.Intake.file(ctx, what, o)
	fault.Point("sweep/filed")
	switch {
	case errors.Is(err, ErrOverlap):
		return s.refuse(ctx, p, w, RefusedOverlap, nil)
	case err != nil:
		return w, unlessSwept(err)
	}
	s.tell(ctx, p, w.Store, "", nil)
	w.State, w.Reason, w.Request, w.Status = SweepFiled, "", r.ID, r.Status
	s.Logger.InfoContext(ctx, "a sweep has filed a request", slog.String("policy", p.Name), slog.String("store", w.Store),
		slog.String("request_id", r.ID), slog.Int("found", w.Found), slog.Int("undated", w.Undated), slog.Int("missed", w.Missed))
	return w, nil
}

func unlessSwept(err error) error {
	if errors.Is(err, ErrSwept) {
		return nil
	}
	return err
}

// refuse says of a sweep why it could not be run. It is tried again, unless it was
// by hand.
func (s *Sweeper) refuse(ctx context.Context, p Policy, w Sweep, reason string, cause error) (Sweep, error) {
	s.tell(ctx, p, w.Store, reason, cause)
	if w.Reason = reason; w.By != "" {
		w.State = SweepRefused
	}
	err := s.Ledger.RefuseSweep(ctx, w.ID, p.Name, reason)
	fault.Point("sweep/refused")
	return w, err
}

// tell logs that a policy cannot be run in a store, and that it can again, once each.
func (s *Sweeper) tell(ctx context.Context, p Policy, name, reason string, cause error) {
	s.mu.Lock()
	at := p.Name + " " + name
	was := s.said[at]
	s.said[at] = reason
	s.mu.Unlock()
	if was == reason || ctx.Err() != nil {
		return
	}
	about := []any{slog.String("policy", p.Name), slog.String("store", name)}
	if reason == "" {
		s.Logger.InfoContext(ctx, "the policy is run again", about...)
		return
	}
	about = append(about, slog.String("reason", reason))
	if cause != nil {
		about = append(about, slog.Any("error", cause))
	}
	s.Logger.WarnContext(ctx, "a policy cannot be run: "+ExplainRefusal(reason), about...)
}

// sight looks what a policy would erase in a store now. If that cannot be told, or
// must not be gone by, it returns the reason, with an error if there is more to say.
func (s *Sweeper) sight(ctx context.Context, p Policy, name string, known Swept, byHand, ages bool) (SweepSight, string, error) {
	before := s.now()
	asOf, err := s.Stores.Clock(ctx, name)
	if err != nil {
		return failedSight(ctx, err)
	}
	if reason := s.clocks(p, known, asOf, before, byHand); reason != "" {
		return SweepSight{}, reason, nil
	}
	sight, err := s.Stores.Sight(ctx, name, p.Selector(asOf), ages)
	if err != nil {
		return failedSight(ctx, err)
	}
	sight.Store, sight.AsOf = name, asOf
	return sight, "", nil
}

// clocks compares the store's clock with ours, and with that of the last sweep.
// Who runs a policy by hand has looked at the clock.
func (s *Sweeper) clocks(p Policy, known Swept, asOf, before time.Time, byHand bool) string {
	switch {
	case (asOf.Before(before.Add(-sweepSkew)) || asOf.After(s.now().Add(sweepSkew))) && !fault.Bug("sweep/skew-ignored"):
		return RefusedSkew
	case byHand, fault.Bug("sweep/clock-believed"):
		return ""
	case asOf.Before(known.AsOf.Add(-sweepSkew)):
		return RefusedBack
	}
	return s.jumpedTo(p, known, asOf)
}

func failedSight(ctx context.Context, err error) (SweepSight, string, error) {
	switch {
	case ctx.Err() != nil:
		return SweepSight{}, "", err
	case errors.Is(err, store.ErrUnavailable):
		return SweepSight{}, RefusedDown, err
	case errors.Is(err, ErrUnable):
		return SweepSight{}, RefusedUnable, err
	}
	return SweepSight{}, RefusedError, err
}

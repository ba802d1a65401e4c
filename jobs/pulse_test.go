package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// A heart takes down the pulse of a loop: when each part last came round.
type heart struct {
	mu   sync.Mutex
	last []time.Time
}

func (h *heart) pulse() (turned func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	part := len(h.last)
	h.last = append(h.last, time.Now())
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.last[part] = time.Now()
	}
}

// age is for how long the part that is worst off has not come round.
func (h *heart) age() (worst time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.last {
		worst = max(worst, time.Since(at))
	}
	return worst
}

// How the one whom a loop asks behaves.
const (
	asked int32 = iota // answers
	hangs              // until the loop ends
	fails
)

// An organ is whoever a loop asks.
type organ struct{ state atomic.Int32 }

func (o *organ) ask(ctx context.Context) error {
	switch o.state.Load() {
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	case fails:
		return errors.New("connection refused")
	}
	return nil
}

// beats runs a loop whose organ does well for an hour, hangs or fails for an hour,
// and does well again. The pulse must be young while it does, and stand still while
// it does not.
func beats(t *testing.T, run func(ctx context.Context, o *organ, p jobs.Pulse)) {
	t.Helper()
	for name, trouble := range map[string]int32{"hangs": hangs, "fails": fails} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var h heart
				var o organ
				done := make(chan struct{})
				go func() { defer close(done); run(ctx, &o, h.pulse) }()
				synctest.Wait()
				if len(h.last) == 0 {
					t.Fatal("no part of the loop has a pulse")
				}
				time.Sleep(time.Hour)
				if got := h.age(); got > 70*time.Second {
					t.Errorf("the loop does well, and came round %s ago", got)
				}
				o.state.Store(trouble)
				time.Sleep(time.Hour)
				if got := h.age(); got < 58*time.Minute {
					t.Errorf("the loop has done nothing for an hour, and came round %s ago", got)
				}
				o.state.Store(asked)
				time.Sleep(time.Hour)
				if got := h.age(); trouble == fails && got > 70*time.Second {
					t.Errorf("the loop does well again, and came round %s ago", got)
				}
				stop()
				<-done
			})
		})
	}
}

type sickOutbox struct {
	*organ
	bell chan struct{}
}

func (o sickOutbox) Enqueue(ctx context.Context, _ map[string]int) ([]jobs.Ring, error) {
	return nil, o.ask(ctx)
}
func (sickOutbox) Unqueue(context.Context, jobs.Ring, time.Duration) error { return nil }
func (o sickOutbox) Bell() <-chan struct{}                                 { return o.bell }

func TestARelayWhoseOutboxHangsOrFailsHasNoPulse(t *testing.T) {
	beats(t, func(ctx context.Context, o *organ, p jobs.Pulse) {
		r := &jobs.Relay{Outbox: sickOutbox{organ: o}, Bell: &doorbell{}, Pulse: p, Logger: slog.New(slog.DiscardHandler)}
		_ = r.Run(ctx)
	})
}

// There is always something to ring here.
type fullOutbox struct{ sickOutbox }

func (fullOutbox) Enqueue(context.Context, map[string]int) ([]jobs.Ring, error) {
	return []jobs.Ring{{ID: "a", Epoch: 1}}, nil
}

type sickBell struct{ *organ }

func (b sickBell) Ring(ctx context.Context, _ jobs.Ring) error { return b.ask(ctx) }

func TestARelayWhoseQueueHangsOrFailsHasNoPulse(t *testing.T) {
	beats(t, func(ctx context.Context, o *organ, p jobs.Pulse) {
		r := &jobs.Relay{Outbox: fullOutbox{}, Bell: sickBell{o}, Pulse: p, Logger: slog.New(slog.DiscardHandler)}
		_ = r.Run(ctx)
	})
}

// A sickArrears lets one of the reconciler's two turns hang or fail.
type sickArrears struct {
	*diary
	expired, late *organ
}

func (a sickArrears) Expired(ctx context.Context) (int, error) { return 0, a.expired.ask(ctx) }

func (a sickArrears) Overdue(ctx context.Context, _ time.Duration, _ int) ([]jobs.Ring, error) {
	return nil, a.late.ask(ctx)
}

func TestAReconcilerOfWhichOneTurnHangsOrFailsHasNoPulse(t *testing.T) {
	well := new(organ)
	for name, sick := range map[string]func(*organ) sickArrears{
		"leases": func(o *organ) sickArrears { return sickArrears{new(diary), o, well} },
		"others": func(o *organ) sickArrears { return sickArrears{new(diary), well, o} },
	} {
		t.Run(name, func(t *testing.T) {
			beats(t, func(ctx context.Context, o *organ, p jobs.Pulse) {
				a := sick(o)
				r := &jobs.Reconciler{
					Ledger: a, Queue: a, Keys: a, Sealed: func() ([]string, error) { return nil, nil }, End: a.End,
					Requeued: func(string, int) {}, Pulse: p, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				}
				_ = r.Run(ctx)
			})
		})
	}
}

type sickSweeps struct {
	jobs.SweepLedger
	*organ
}

func (s sickSweeps) Swept(ctx context.Context, policy, name string) (jobs.Swept, error) {
	if name == "sick" {
		if err := s.ask(ctx); err != nil {
			return jobs.Swept{}, err
		}
	}
	return s.SweepLedger.Swept(ctx, policy, name)
}

// One store's turn is enough: the others come round.
func TestASweeperOfWhichOneStoreHangsOrFailsHasNoPulse(t *testing.T) {
	beats(t, func(ctx context.Context, o *organ, p jobs.Pulse) {
		yearly, err := jobs.Every(366 * 24 * time.Hour)
		if err != nil {
			t.Error(err)
		}
		s := newShelf(func() time.Time { return time.Now().UTC() })
		sight := func(string, store.Selector) (jobs.SweepSight, error) { return rows(0, 10) }
		l := larder{clock: func(string) (time.Time, error) { return time.Now().UTC(), nil }, sight: sight}
		sweeper := newSweeper(s, l, func() time.Time { return time.Now().UTC() },
			jobs.Policy{Name: "well", Stores: []string{"well"}, Schedule: yearly, Expired: true}, jobs.Policy{Name: "sick", Stores: []string{"sick"}, Schedule: yearly, Expired: true})
		sweeper.Ledger, sweeper.Pulse = sickSweeps{sweeper.Ledger, o}, p
		_ = sweeper.Run(ctx)
	})
}

func TestALoopThatRestsHasAPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heart
		ctx, stop := context.WithCancel(t.Context())
		rest := func() bool { return true }
		a := &diary{}
		var all sync.WaitGroup
		for _, run := range []func(context.Context) error{
			(&jobs.Relay{Outbox: sickOutbox{}, Pulse: h.pulse, Rest: rest}).Run,
			(&jobs.Reconciler{Ledger: a, Queue: a, Pulse: h.pulse, Rest: rest, Now: time.Now}).Run,
			(&jobs.Sweeper{All: []jobs.Policy{{Name: "p", Stores: []string{"s"}}}, Pulse: h.pulse, Rest: rest, Now: time.Now}).Run,
		} {
			all.Go(func() { _ = run(ctx) })
		}
		time.Sleep(time.Hour)
		if len(h.last) != 4 || h.age() > 70*time.Second {
			t.Errorf("%d parts rest, and one of them came round %s ago", len(h.last), h.age())
		}
		stop()
		all.Wait()
	})
}

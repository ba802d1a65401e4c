package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lethe/audit/audittest"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A broken ledger breaks an attempt at a batch off.
type broken struct {
	worker.Ledger
	begin func(jobs.Batch, error) (jobs.Batch, error)
	fence func(error) error
}

func (b broken) Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error) {
	begun, err := b.Ledger.Begin(ctx, t)
	if b.begin != nil {
		return b.begin(begun, err)
	}
	return begun, err
}

func (b broken) Fence(ctx context.Context, r jobs.Ring) error {
	err := b.Ledger.Fence(ctx, r)
	if b.fence != nil {
		return b.fence(err)
	}
	return err
}

// A rivalry is two requests about bob's rows: all of them, and all or all but
// one. The first attempt at the one is broken off, and the other goes on.
type rivalry struct {
	*house
	m     *storetest.Memory
	far   *far
	stop  context.CancelFunc // of the process that makes the first attempt
	rival func()             // erases, once
}

var errBroken = errors.New("broken off")

// brokenOff are the places at which an attempt ends: before the store's Erase, or
// with its answer in hand.
func brokenOff() map[string]func(r *rivalry, l *broken, s *step) {
	return map[string]func(r *rivalry, l *broken, s *step){
		"at its beginning": func(_ *rivalry, l *broken, _ *step) {
			l.begin = func(b jobs.Batch, _ error) (jobs.Batch, error) { return b, errBroken }
		},
		"by a fence that cannot be read": func(_ *rivalry, l *broken, _ *step) {
			l.fence = func(error) error { return errBroken }
		},
		"by the loss of its task": func(r *rivalry, l *broken, _ *step) {
			l.fence = func(error) error {
				r.clock.add(time.Minute)
				return jobs.ErrStale
			}
		},
		"by holds that cannot be compared": func(r *rivalry, _ *broken, _ *step) {
			r.place(store.Selector{UserID: "nobody"})
			r.m.Set(func(f *storetest.Faults) { f.Fail = map[storetest.Op]int{storetest.Find: 1} })
		},
		"by the end of its process, at the beginning": func(r *rivalry, l *broken, _ *step) {
			l.begin = func(b jobs.Batch, err error) (jobs.Batch, error) { r.stop(); return b, err }
		},
		"by the end of its process, at the fence": func(r *rivalry, l *broken, _ *step) {
			l.fence = func(err error) error { r.stop(); return err }
		},
		"by an outage": func(r *rivalry, l *broken, _ *step) {
			l.fence = func(err error) error {
				r.m.Set(func(f *storetest.Faults) { f.Away = away() })
				if _, err := r.far.Remaining(r.t.Context(), nil); !errors.Is(err, store.ErrUnavailable) {
					r.t.Errorf("error %v", err)
				}
				r.m.Set(func(f *storetest.Faults) { f.Away = nil })
				return err
			}
		},
		"with a receipt": func(r *rivalry, _ *broken, s *step) {
			s.beforeErase = r.rival
			s.afterErase = func() { r.stop() }
		},
		"after it has erased": func(r *rivalry, _ *broken, s *step) {
			s.afterErase = func() { r.stop() }
		},
	}
}

// What two requests erase between them is certified once, wherever an attempt of
// one of them was broken off.
func TestWhatAnotherRequestErasedMeanwhileIsNotClaimedTwice(t *testing.T) {
	t.Parallel()
	for _, on := range []string{"SQLite", "PostgreSQL"} {
		for where, broke := range brokenOff() {
			for _, some := range []bool{false, true} {
				if on == "PostgreSQL" && !some {
					continue
				}
				t.Run(fmt.Sprintf("%s/Some=%t/%s", on, some, where), func(t *testing.T) {
					t.Parallel()
					url := ""
					if on == "PostgreSQL" {
						url = audittest.Schema(t)
					}
					newRivalry(t, url).play(some, broke)
				})
			}
		}
	}
}

func newRivalry(t *testing.T, url string) *rivalry {
	t.Helper()
	return &rivalry{house: newHouseAt(t, url, "m"), m: storetest.NewMemory(people(3, "bob")...)}
}

func (r *rivalry) play(some bool, broke func(*rivalry, *broken, *step)) {
	r.t.Helper()
	other := r.eraser(kept("m", r.m))
	ids := []string{"bob-0000", "bob-0001", "bob-0002"}
	if some {
		ids = ids[1:]
	}
	first := r.forget("bob")
	attempt := r.planned(other)
	second := r.forgetIDs(ids...)
	rivals := r.planned(other)
	done := false
	r.rival = func() {
		if !done {
			done = true
			r.handle(other, rivals)
		}
	}
	ctx, stop := context.WithCancel(r.t.Context())
	defer stop()
	r.stop = stop
	s := &step{purging: r.m}
	r.far = r.house.far("m", s, nil)
	l := &broken{Ledger: r.ledger}
	broke(r, l, s)
	e := r.eraser(kept("m", r.far.Link))
	e.Ledger = l
	if err := e.Handle(ctx, attempt); err != nil {
		r.t.Fatal(err)
	}
	if r.request(first).Jobs[0].BatchesDone != 0 {
		r.t.Fatal("the attempt was not broken off")
	}
	r.rival()
	r.finish(other, first)
	r.finish(other, second)
	claimed := 0
	for _, id := range []string{first, second} {
		c := r.completed(id).Stores[0]
		claimed += c.Erased
		if c.Erased+c.Absent != c.Found {
			r.t.Errorf("erased %d and absent %d, of %d", c.Erased, c.Absent, c.Found)
		}
	}
	if gone := 3 - r.m.Len(); gone != 3 || claimed != gone {
		r.t.Errorf("%d rows are gone, and the certificates say %d", gone, claimed)
	}
}

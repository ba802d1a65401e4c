package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
)

// An outbox hands out what it was given, once.
type outbox struct {
	mu       sync.Mutex
	ready    []jobs.Ring
	asked    int
	unqueued []jobs.Ring
	err      error
	bell     chan struct{}
}

func (o *outbox) Enqueue(context.Context, map[string]int) ([]jobs.Ring, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	rings := o.ready
	o.ready = nil
	return rings, o.err
}

func (o *outbox) times() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

func (o *outbox) Unqueue(_ context.Context, r jobs.Ring, after time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if after <= 0 {
		return errors.New("at once, in a loop")
	}
	o.unqueued = append(o.unqueued, r)
	return nil
}

func (o *outbox) Bell() <-chan struct{} { return o.bell }

// A doorbell fails for some rings.
type doorbell struct {
	rung   []jobs.Ring
	broken map[string]bool
}

func (d *doorbell) Ring(_ context.Context, r jobs.Ring) error {
	if d.broken[r.ID] {
		return errors.New("connection refused")
	}
	d.rung = append(d.rung, r)
	return nil
}

func relay(t *testing.T, o *outbox, d *doorbell) *jobs.Relay {
	t.Helper()
	o.bell = make(chan struct{}, 1)
	r := &jobs.Relay{Outbox: o, Bell: d, Windows: map[string]int{"notes": 8}, Logger: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func TestARingThatFailsIsUnqueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := jobs.Ring{ID: "a", Epoch: 1}, jobs.Ring{ID: "b", Epoch: 2}, jobs.Ring{ID: "c", Epoch: 3}
		o := &outbox{ready: []jobs.Ring{a, b, c}}
		d := &doorbell{broken: map[string]bool{"b": true}}
		relay(t, o, d)
		synctest.Wait()
		if want := []jobs.Ring{a, c}; !slices.Equal(d.rung, want) {
			t.Errorf("rung %v, want %v: one failure must not stop the others", d.rung, want)
		}
		if want := []jobs.Ring{b}; !slices.Equal(o.unqueued, want) {
			t.Errorf("unqueued %v, want %v", o.unqueued, want)
		}
	})
}

func TestTheRelayRingsWhatItGotDespiteAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := jobs.Ring{ID: "a", Epoch: 1}
		o := &outbox{ready: []jobs.Ring{a}, err: errors.New("half an answer")}
		d := &doorbell{}
		relay(t, o, d)
		synctest.Wait()
		if !slices.Equal(d.rung, []jobs.Ring{a}) {
			t.Errorf("rung %v", d.rung)
		}
	})
}

func TestTheRelayHearsTheBellAndLooksWithoutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{}
		relay(t, o, &doorbell{})
		synctest.Wait()
		o.bell <- struct{}{}
		synctest.Wait()
		if n := o.times(); n != 2 {
			t.Errorf("asked %d times, want at the start and at the bell", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := o.times(); n < 6 {
			t.Errorf("asked %d times after a second without a bell", n)
		}
	})
}

func TestNothingIsCarriedAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{ready: []jobs.Ring{{ID: "a"}}}
		asked := 0
		r := &jobs.Relay{Outbox: o, Bell: &doorbell{}, Rest: func() bool { asked++; return asked < 10 }, Logger: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Second)
		if n := o.times(); n != 0 {
			t.Errorf("asked the outbox %d times at rest", n)
		}
		time.Sleep(time.Minute)
		stop()
		if err := <-done; err != nil || o.times() == 0 {
			t.Errorf("%v, asked %d times after its rest", err, o.times())
		}
	})
}

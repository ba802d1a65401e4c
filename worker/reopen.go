package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lethe/store"
)

// When a store is asked, and asked again, in units of a Link's Pace.
const (
	pingEvery = 5  // one that is up
	shortWait = 5  // longest, for one that is away or not as expected
	longWait  = 60 // longest, for one that denies us, or that opens and fails again
	settled   = 60 // up for so long it has not failed again
)

func (l *Link) times(n int) time.Duration { return time.Duration(n) * cmp.Or(l.Pace, time.Second) }

func (l *Link) patience() time.Duration { return cmp.Or(l.Patience, 5*time.Second) }

// Reopen makes one attempt to open a store that is down. It returns why it is
// still down, or nil.
func (l *Link) Reopen(ctx context.Context) error {
	l.bury(ctx)
	s, err := l.Open(ctx)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%w: no answer in time", store.ErrUnavailable)
	case err != nil && ctx.Err() != nil:
		return ctx.Err() // nobody wants to know any more
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	if err != nil {
		if l.reason == nil {
			l.since = now
		}
		l.fails++
		l.reason = err
		l.say(ctx, err)
		return err
	}
	if l.closed {
		return errors.Join(errClosed, s.Close())
	}
	if l.reason != nil {
		l.Logger.InfoContext(ctx, "a store is back", slog.String("store", l.Name),
			slog.Duration("after", now.Sub(l.since).Round(time.Millisecond)), slog.Any("was", l.reason))
	}
	o := &opened{Store: s, at: now}
	o.gone, o.leave = context.WithCancel(context.Background())
	l.now, l.reason, l.since, l.said, l.fails = o, nil, now, "", 0
	return nil
}

// say logs an outage once, and again when there is something new for people to
// do about it. It is called with the lock.
func (l *Link) say(ctx context.Context, reason error) {
	text := reason.Error()
	if errors.Is(reason, store.ErrUnavailable) { // which of its faces it shows changes by the second
		text = store.ErrUnavailable.Error()
	}
	if text == l.said {
		return
	}
	l.said = text
	l.Logger.WarnContext(ctx, "a store is down; its jobs wait until it is back", slog.String("store", l.Name), slog.Any("reason", reason))
}

// bury closes the life of the store that has ended, once its calls have.
// SQLite's locks would not survive opening its file again before.
func (l *Link) bury(ctx context.Context) {
	l.mu.Lock()
	o := l.last
	l.last = nil
	l.mu.Unlock()
	if o == nil {
		return
	}
	o.calls.Wait()
	if err := o.Close(); err != nil { // of what is gone: nothing depends on it
		l.Logger.DebugContext(ctx, "closing a store that is down", slog.String("store", l.Name), slog.Any("error", err))
	}
}

// Run opens the store when it is down, and looks whether it still answers when
// it is up, until ctx is done.
func (l *Link) Run(ctx context.Context) error {
	l.mu.Lock()
	fell := l.bell()
	l.mu.Unlock()
	tick := time.NewTicker(l.times(pingEvery))
	defer tick.Stop()
	for silent := 0; ctx.Err() == nil; {
		if _, reason := l.Down(); reason != nil {
			silent = 0
			l.attempt(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-fell:
		case <-tick.C:
			silent = l.ping(ctx, silent)
		}
	}
	return nil
}

// attempt waits for its turn and makes one attempt to open the store.
func (l *Link) attempt(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(l.wait()):
	}
	ctx, cancel := context.WithTimeout(ctx, 6*l.patience())
	defer cancel()
	_ = l.Reopen(ctx) // it has said so
}

// wait is how long to wait before the next attempt: not at all after an outage,
// longer each time that an attempt fails, or what it opened soon does.
func (l *Link) wait() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fails == 0:
		return l.times(pause(l.flaps, longWait))
	case errors.Is(l.reason, store.ErrDenied):
		return l.times(pause(l.fails, longWait))
	}
	return l.times(pause(l.fails, shortWait))
}

// pause is how long to wait after n failures in a row: 0, 1, 2, 4 and
// so on up to limit.
func pause(n, limit int) int {
	if n == 0 {
		return 0
	}
	return min(1<<min(n-1, 10), limit)
}

// ping asks a store that is up whether it is there, and returns how often in a
// row it has been silent.
func (l *Link) ping(ctx context.Context, silent int) int {
	l.mu.Lock()
	o := l.now
	l.mu.Unlock()
	if o == nil {
		return 0
	}
	p, ok := o.Store.(store.Pinger)
	if !ok {
		return 0
	}
	asked, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	err := l.with(asked, func(ctx context.Context, _ store.Store) error { return p.Ping(ctx) })
	if err == nil || asked.Err() == nil || ctx.Err() != nil {
		return 0
	}
	if silent++; silent == 2 { // once can be a pause
		l.fall(o, fmt.Errorf("%w: no answer within %s", store.ErrUnavailable, l.patience()))
	}
	return silent
}

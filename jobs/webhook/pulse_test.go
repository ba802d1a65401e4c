package webhook_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/jobs/webhook"
)

// A sickBook answers, fails, or does not answer.
type sickBook struct {
	*shelf
	fails, hangs atomic.Bool
}

func (b *sickBook) Notices(ctx context.Context, _ int) ([]jobs.Notice, error) {
	if b.hangs.Load() {
		<-ctx.Done()
	}
	if b.fails.Load() {
		return nil, errors.New("connection refused")
	}
	return nil, ctx.Err()
}

func TestASenderWhoseBookHangsOrFailsHasNoPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last atomic.Pointer[time.Time]
		turned := func() { now := time.Now(); last.Store(&now) }
		b := &sickBook{shelf: &shelf{}}
		s := &webhook.Sender{
			Book: b, Now: time.Now, Count: func(string) {}, Logger: slog.New(slog.DiscardHandler),
			Pulse: func() func() { turned(); return turned },
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Run(ctx) }()
		age := func() time.Duration { time.Sleep(time.Hour); return time.Since(*last.Load()) }
		if got := age(); got > time.Minute {
			t.Errorf("all is well, and it came round %s ago", got)
		}
		b.fails.Store(true)
		if got := age(); got < 59*time.Minute {
			t.Errorf("its book has failed for an hour, and it came round %s ago", got)
		}
		b.fails.Store(false)
		if got := age(); got > time.Minute {
			t.Errorf("all is well again, and it came round %s ago", got)
		}
		b.hangs.Store(true)
		if got := age(); got < 59*time.Minute {
			t.Errorf("its book has hung for an hour, and it came round %s ago", got)
		}
		stop()
		<-done
	})
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

const (
	maxRest   = time.Hour              // the longest rest after a purge
	purgeTurn = 200 * time.Millisecond // how soon to look again while another purge runs
)

// purge rewrites the store's files if the job waits for that. One purge serves
// every job that had been verified when it began. Until one could, the job
// keeps its evidence, verified, and its request stays in verification.
func (e *Eraser) purge(ctx context.Context, t jobs.Task, s *Store) error {
	if waits, err := e.waitsForPurge(ctx, t); err != nil || !waits {
		return err
	}
	if !s.purging.TryLock() {
		return &waitError{purgeTurn, "purging"} // rung at once if that purge serves it
	}
	defer s.purging.Unlock()
	if waits, err := e.waitsForPurge(ctx, t); err != nil || !waits {
		return err // served by a purge that has just ended
	}
	began := e.Now()
	if at := s.Purge.Next(began); at.After(began) {
		return &waitError{at.Sub(began), "purge-window"}
	}
	if s.purgeAt.After(began) {
		return &waitError{s.purgeAt.Sub(began), "purge-rest"}
	}
	p, ok := s.Store.(store.Purger)
	if !ok {
		return fmt.Errorf("purge: %w", errCannotPurge)
	}
	if err := rest(ctx, e.Skew); err != nil {
		return err
	}
	if err := e.Ledger.Fence(ctx, t.Ring); err != nil {
		return err
	}
	fault.Point("worker/purge-fenced")
	e.Logger.InfoContext(ctx, "purging a store; its files are locked as they are rewritten", slog.String("store", s.Name))
	_, end := e.step(ctx, "purge", t, 0)
	err := s.rewrite(ctx, p)
	end(err)
	fault.Point("worker/purge-done")
	s.resting = min(9*e.Now().Sub(began), maxRest)
	s.purgeAt = e.Now().Add(s.resting)
	if errors.Is(err, store.ErrBusy) {
		e.Logger.InfoContext(ctx, "the store's files are busy; the purge will be tried again",
			slog.String("store", t.Store), slog.String("why", err.Error()))
		return &waitError{max(backoff(t.Attempts), s.resting), "store-busy"}
	}
	served, err := e.purged(ctx, s, began, err)
	if err != nil {
		return err
	}
	fault.Point("worker/purge-kept")
	e.Logger.InfoContext(ctx, "purged a store", slog.String("store", s.Name), slog.Int("jobs", served))
	return nil
}

// rest waits until what other processes call the time of the purge's beginning,
// or earlier, is over: a job that one of them has verified by then, by a clock
// that is behind, had its rows erased before the purge.
func rest(ctx context.Context, skew time.Duration) error {
	if skew == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(skew):
		return nil
	}
}

var errCannotPurge = errors.New("the store cannot purge")

// purged commits what a purge has shown. One that could not look ends the jobs
// too: it would see no more the next time.
func (e *Eraser) purged(ctx context.Context, s *Store, began time.Time, err error) (served int, _ error) {
	switch {
	case errors.Is(err, store.ErrUnseen):
		e.Logger.WarnContext(ctx, "the store was rewritten and its files cannot be read; evidence stays verified",
			slog.String("store", s.Name), slog.String("why", err.Error()))
		return e.Ledger.Rewritten(ctx, s.Name, began, jobs.RewriteUnseen)
	case err != nil:
		return 0, fmt.Errorf("purge: %w", err)
	case s.Rewrites:
		return e.Ledger.Rewritten(ctx, s.Name, began, jobs.RewriteSeen)
	}
	return e.Ledger.Purged(ctx, s.Name, began)
}

func (e *Eraser) waitsForPurge(ctx context.Context, t jobs.Task) (bool, error) {
	job, err := e.Ledger.Job(ctx, t.Job)
	return job.Stage == jobs.StagePurging, err
}

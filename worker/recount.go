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

// unapprovedTurn is after how long a batch looks again whether its plan has been
// approved. It is only met by one that was under way when its request began to
// wait: an approval puts the others back.
const unapprovedTurn = time.Minute

// errUnapproved puts such a batch back, as no failure of its own.
func errUnapproved(err error) error {
	if errors.Is(err, jobs.ErrUnapproved) {
		return &waitError{unapprovedTurn, "approval"}
	}
	return err
}

// planned reports whether the plan of a job stands and is to be counted again
// before it is carried out.
func (e *Eraser) planned(ctx context.Context, t jobs.Task) (bool, error) {
	job, err := e.Ledger.Job(ctx, t.Job)
	return err == nil && job.PlannedAt != nil && job.Stage == jobs.StagePlanning, err
}

// recount counts again what a plan counted, some time ago, and leaves it to the
// ledger whether the plan still holds. It lists nothing.
func (e *Eraser) recount(ctx context.Context, t jobs.Task, s *Store) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	fault.Point("worker/recount-begun")
	version, err := s.mapVersion(ctx)
	if err != nil {
		return fmt.Errorf("count plan again: %w", err)
	}
	census, err := e.census(ctx, t, s)
	if err != nil {
		return fmt.Errorf("count plan again: %w", err)
	}
	x, err := e.exempt(ctx, t)
	if err != nil {
		return err
	}
	fault.Point("worker/recounted")
	drifts, err := e.Ledger.Recounted(ctx, t, jobs.Recount{Places: places(x.without(census)), Unattributable: census.Unattributable, MapVersion: version})
	if err == nil && len(drifts) > 0 {
		e.Logger.WarnContext(ctx, "a plan is made anew: what it would erase has changed too much", slog.String("request_id", t.Request),
			slog.String("store", t.Store), slog.Int("places", len(drifts)))
	}
	return err
}

// mapVersion returns by which data map the store finds and erases, or "" for one
// that does not say.
func (s *Store) mapVersion(ctx context.Context) (version string, err error) {
	err = s.with(ctx, func(st store.Store) error {
		if m, ok := st.(store.Mapper); ok {
			version = m.MapVersion()
		}
		return nil
	})
	return version, err
}

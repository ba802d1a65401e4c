package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"lethe/jobs"
)

// certify ends the request once every one of its jobs is done: the statement
// goes into the log, and the selector, the IDs and their key are wiped, in one
// commit. If another job is not done yet, that job's own task comes back for
// it.
func (e *Eraser) certify(ctx context.Context, t jobs.Task) error {
	rec, err := e.Ledger.Record(ctx, t.Request)
	if err != nil {
		return err
	}
	open := func(j jobs.Job) bool { return j.Stage != jobs.StageDone }
	switch {
	case slices.ContainsFunc(rec.Jobs, func(j jobs.Job) bool { return j.ID == t.Job && open(j) }):
		return errNotDone // this very task must come back: no other would
	case slices.ContainsFunc(rec.Jobs, open):
		return e.Ledger.Drop(ctx, t.Ring)
	}
	now := e.Now()
	entry := jobs.CompletedEntry(rec, e.exclusions(), now)
	if err := e.Ledger.Complete(ctx, t, entry, now.Add(e.KeepKey)); err != nil {
		return err
	}
	e.Metrics.completed(rec.Origin, now.Sub(rec.CreatedAt))
	e.Logger.InfoContext(ctx, "request completed", slog.String("request_id", t.Request),
		slog.Int("stores", len(rec.Jobs)), slog.Duration("after", now.Sub(rec.CreatedAt).Round(time.Millisecond)))
	return nil
}

// errNotDone: a purge did not serve the job that it was made for, because the
// clock was set back after the job had been verified.
var errNotDone = errors.New("the job has been verified after its purge")

func (e *Eraser) exclusions() map[string][]jobs.Exclusion {
	all := map[string][]jobs.Exclusion{}
	for name, s := range e.Stores {
		all[name] = s.Exclusions
	}
	return all
}

package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
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
	case rec.Status.Ended():
		return jobs.ErrStale // another job's task was faster
	case slices.ContainsFunc(rec.Jobs, func(j jobs.Job) bool { return j.ID == t.Job && open(j) }):
		return errNotDone // this very task must come back: no other would
	case slices.ContainsFunc(rec.Jobs, open):
		return e.Ledger.Drop(ctx, t.Ring)
	}
	now := e.Now()
	exclusions, err := e.exclusions(ctx, t.Request)
	if err != nil {
		return err
	}
	entry := jobs.CompletedEntry(rec, exclusions, now)
	fault.Point("worker/certifying")
	if err := e.Ledger.Complete(ctx, t, entry, now.Add(e.KeepKey)); err != nil {
		return err
	}
	fault.Point("worker/certified")
	e.Metrics.completed(rec.Origin, now.Sub(rec.CreatedAt))
	e.Logger.InfoContext(ctx, "request completed", slog.String("request_id", t.Request),
		slog.Int("stores", len(rec.Jobs)), slog.Duration("after", now.Sub(rec.CreatedAt).Round(time.Millisecond)))
	return nil
}

// errNotDone: a purge did not serve the job that it was made for, because the
// clock was set back after the job had been verified.
var errNotDone = errors.New("the job has been verified after its purge")

// exclusions lists what erasing in each store does not reach: as configured,
// and the places that this request's selector could not be compared with.
func (e *Eraser) exclusions(ctx context.Context, request string) (map[string][]jobs.Exclusion, error) {
	all := map[string][]jobs.Exclusion{}
	for name, s := range e.Stores {
		all[name] = slices.Clone(s.Exclusions)
	}
	if fault.Bug("worker/exclusions-left-out") {
		return all, nil
	}
	for sel, err := range e.selectors(ctx, request) {
		if err != nil {
			return nil, err
		}
		for name, s := range e.Stores {
			if l, ok := s.Store.(store.Limiter); ok {
				for _, place := range l.Unreached(sel) {
					all[name] = append(all[name], jobs.Exclusion{Code: "unreached-" + place})
				}
			}
		}
		break // a list of IDs comes as many selectors of one kind
	}
	return all, nil
}

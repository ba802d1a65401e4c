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
	exclusions, err := e.exclusions(ctx, rec)
	if err != nil {
		return err
	}
	entry := jobs.CompletedEntry(rec, exclusions, now)
	fault.Point("worker/certifying")
	ended, err := e.ending(ctx, t, now)
	if err != nil {
		return err
	}
	certifying, end := e.step(ctx, "certify", t, 0)
	err = e.Ledger.Complete(certifying, t, entry, ended)
	end(err)
	if err != nil {
		return err
	}
	fault.Point("worker/certified")
	e.Metrics.completed(rec.Origin, t.Request, now.Sub(rec.CreatedAt))
	e.Logger.InfoContext(ctx, "request completed", slog.String("request_id", t.Request),
		slog.Int("stores", len(rec.Jobs)), slog.Duration("after", now.Sub(rec.CreatedAt).Round(time.Millisecond)))
	return nil
}

// errNotDone: a purge did not serve the job that it was made for, because the
// clock was set back after the job had been verified.
var errNotDone = errors.New("the job has been verified after its purge")

// relatedCode is what a certificate calls rows that are about who was selected and
// were left, because the request did not ask for them. See store.Selector.
const relatedCode = "related-rows"

// exclusions lists what erasing in each of the request's stores does not reach:
// as configured, and the places that its selector could not be compared with.
func (e *Eraser) exclusions(ctx context.Context, rec jobs.Record) (map[string][]jobs.Exclusion, error) {
	var selector store.Selector
	for sel, err := range e.selectors(ctx, jobs.Task{Request: rec.ID}) {
		if err != nil {
			return nil, err
		}
		selector = sel
		break // a list of IDs comes as many selectors of one kind
	}
	all := map[string][]jobs.Exclusion{}
	for _, j := range rec.Jobs {
		s := e.Stores[j.Store]
		if s == nil {
			// Its job was done while it was configured; what that did not
			// reach was said there, and must not be taken for nothing.
			all[j.Store] = []jobs.Exclusion{{Code: "no-longer-configured"}}
			continue
		}
		all[j.Store] = slices.Clone(s.Exclusions)
		if j.Related > 0 && !rec.Related {
			all[j.Store] = append(all[j.Store], jobs.Exclusion{Code: relatedCode})
		}
		if rec.Origin == jobs.OriginWatch || rec.Origin == jobs.OriginReplay {
			continue // it names its rows: there is none that they could not be compared with
		}
		places, err := s.unreached(ctx, selector)
		if err != nil {
			return nil, err
		}
		if fault.Bug("worker/exclusions-left-out") {
			continue
		}
		for _, place := range places {
			all[j.Store] = append(all[j.Store], jobs.Exclusion{Code: "unreached-" + place})
		}
	}
	return all, nil
}

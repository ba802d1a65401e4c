package worker

import (
	"context"
	"fmt"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// mark adds to a receipt the marks of the IDs that are gone: erased, or not there
// when their turn came, which a backup may still have.
func (e *Eraser) mark(t jobs.Task, ids []store.ID, receipt store.Receipt, r *jobs.Receipt) error {
	if e.Suppression == nil || fault.Bug("watch/no-marks") {
		return nil
	}
	gone := make([]store.ID, 0, len(ids))
	for i, o := range receipt {
		if o == store.Erased || o == store.Absent {
			gone = append(gone, ids[i])
		}
	}
	if len(gone) == 0 {
		return nil
	}
	m, err := e.Suppression.Marker(e.Now())
	if err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	r.Epoch, r.Marks = m.Epoch, m.Marks(t.Store, gone)
	return nil
}

// ending is what is kept of a request that is about to be wiped. Whom it forgot is
// marked if it selected by one identity key and nothing else.
func (e *Eraser) ending(ctx context.Context, t jobs.Task, now time.Time) (jobs.Ending, error) {
	end := jobs.Ending{KeyUntil: now.Add(e.KeepKey)}
	if e.Suppression == nil {
		return end, nil
	}
	end.Watch = e.Suppression.Watch
	text, err := e.Ledger.Selector(ctx, t.Request)
	if err != nil || text == nil {
		return end, err
	}
	sel, err := jobs.DecodeSelector(text)
	if err != nil {
		return end, err
	}
	who, alone := jobs.Identity(sel)
	if !alone {
		return end, nil
	}
	m, err := e.Suppression.Marker(now)
	if err != nil {
		return end, fmt.Errorf("mark: %w", err)
	}
	end.Epoch, end.Who = m.Epoch, []jobs.Mark{m.Who(who)}
	return end, nil
}

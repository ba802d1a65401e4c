package worker

import (
	"context"
	"errors"

	"lethe/jobs"
	"lethe/store"
)

// A Tracer is told of each step of the work. Step must not wait for anything. What it
// returns is called once, at the end of the step, with a code that says how it ended,
// "" for well, and whether that is a failure. A step that begins with the context that
// it returns is a part of it.
type Tracer interface {
	Step(ctx context.Context, name string, t jobs.Task, ids int) (context.Context, func(code string, failed bool))
}

// step begins a step of a task, of so many IDs, 0 if they are not known.
func (e *Eraser) step(ctx context.Context, name string, t jobs.Task, ids int) (context.Context, func(error)) {
	if e.Trace == nil {
		return ctx, func(error) {}
	}
	ctx, end := e.Trace.Step(ctx, name, t, ids)
	return ctx, func(err error) { end(outcome(err)) }
}

// outcome is the code for how a step ended. The text of an error goes nowhere.
func outcome(err error) (code string, failed bool) {
	var wait *waitError
	switch {
	case err == nil:
		return "", false
	case errors.As(err, &wait):
		return wait.note, false
	case errors.Is(err, jobs.ErrStale):
		return "another-has-it", false
	case errors.Is(err, jobs.ErrStopped):
		return "cancelled", false
	case errors.Is(err, jobs.ErrHolds):
		return "holds", false
	case errors.Is(err, jobs.ErrUnapproved):
		return "unapproved", false
	case errors.Is(err, errDown), errors.Is(err, store.ErrUnavailable):
		return jobs.NoteStoreDown, true
	case errors.Is(err, context.Canceled):
		return "stopped", false
	}
	return note(err), true
}

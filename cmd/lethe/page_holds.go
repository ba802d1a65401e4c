package main

import (
	"context"
	"time"

	"lethe/jobs"
	web "lethe/jobs/console"
	"lethe/store"
)

// pageHolds are the legal holds as the page asks for them.
type pageHolds struct{ book jobs.Holds }

// Holds implements web.Holds.
func (p pageHolds) Holds(ctx context.Context, by jobs.Actor) ([]web.Hold, error) {
	list, err := p.book.Holds(ctx, by)
	all := make([]web.Hold, len(list))
	for i, h := range list {
		all[i] = web.Hold{ID: h.ID, State: string(h.State), Reason: h.Reason, By: h.By, Placed: h.CreatedAt}
		if h.Until != nil {
			all[i].Until = *h.Until
		}
	}
	return all, err
}

// Place implements web.Holds.
func (p pageHolds) Place(ctx context.Context, by jobs.Actor, sel store.Selector, reason string, until time.Time) (string, error) {
	h, err := p.book.PlaceHold(ctx, jobs.HoldOrder{Selector: sel, Reason: reason, Until: until}, by)
	return h.ID, err
}

// Release implements web.Holds.
func (p pageHolds) Release(ctx context.Context, by jobs.Actor, id, reason string) error {
	_, err := p.book.ReleaseHold(ctx, id, reason, by)
	return err
}

//go:build torture

package main

import (
	"context"
	"strings"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// held returns the rows that an ask's hold selects, by store and key.
func (h *house) held(ctx context.Context, a *ask) map[string]string {
	rows := map[string]string{}
	user := a.user
	if len(a.deed.holdIDs) > 0 {
		user = ""
	}
	for _, in := range h.world.stores {
		now, err := in.snapshot(ctx)
		if err != nil {
			return nil
		}
		for _, t := range h.selected(in, user, a.deed.holdIDs) {
			if text, there := now[t.key(in)]; there {
				rows[in.name+": "+t.key(in)] = text
			}
		}
	}
	return rows
}

// mine lists the holds that were placed for an ask, which its key as their reason
// tells: an answer may be lost.
func (h *house) mine(ctx context.Context, a *ask) (list []api.Hold) {
	_ = h.as(ctx, h.second, func(ctx context.Context, c *api.Client) error {
		all, err := c.Holds(ctx)
		list = nil
		for _, one := range all {
			if one.Reason == a.key {
				list = append(list, one)
			}
		}
		return err
	})
	return list
}

// hold places one, and returns once it stands and was answered.
func (h *house) hold(ctx context.Context, a *ask) {
	s := api.Submission{Selector: store.Selector{UserID: a.user}}
	if len(a.deed.holdIDs) > 0 {
		s.Selector = store.Selector{IDs: a.deed.holdIDs}
	}
	for ctx.Err() == nil {
		stands, placing := false, false
		for _, one := range h.mine(ctx, a) {
			stands = stands || one.State == jobs.HoldActive
			placing = placing || one.State == jobs.HoldPlacing
		}
		if stands {
			break
		}
		if c := h.second(); c != nil && !placing { // once: it is no call to be made again
			one, cancel := context.WithTimeout(ctx, patience)
			_, err := c.PlaceHold(one, s, a.key, time.Time{})
			cancel()
			if code := refusedFor(err); code != "" && !strings.Contains(code, "placing") && code != "unavailable" {
				h.note("place hold: %v", err)
			}
			if err == nil {
				break
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	a.deed.stood, a.deed.placed = h.held(ctx, a), time.Now()
	h.tally("holds placed", 1)
	h.tally("rows held", len(a.deed.stood))
}

// unhold looks whether all that was held is there, and releases it.
func (h *house) unhold(ctx context.Context, a *ask) {
	time.Sleep(100 * time.Millisecond) // for whoever would erase it
	now := h.held(ctx, a)
	if ctx.Err() != nil {
		return
	}
	for key, was := range a.deed.stood {
		if is, there := now[key]; now != nil && (!there || is != was) {
			a.wrong("request %s: A HELD ROW IS GONE, or has changed: %s\n    was  %s\n    is   %s", a.id, key, was, is)
		}
	}
	for ctx.Err() == nil {
		list := h.mine(ctx, a)
		if len(list) == 0 && ctx.Err() == nil {
			a.deed.released = true
			return
		}
		for _, one := range list {
			_ = h.as(ctx, h.second, func(ctx context.Context, c *api.Client) error {
				_, err := c.ReleaseHold(ctx, one.ID, "lifted")
				return err
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

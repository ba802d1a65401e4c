//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"lethe/jobs/api"
)

const (
	// poisonEvery: one of so many cases of lane kill is about an ID that kills
	// whoever tries to erase it, and another about a worker that is lost.
	poisonEvery = 45
	poisonedAt  = 8
	leasedAt    = 4

	poisonedSize = 1000 // memories of the person, in one batch
	mostDeaths   = 16   // three until the batch runs alone and is split, and one for each halving
)

// poisoned is one case: of a thousand IDs one kills its worker each time. All
// others must finish, the one must be reported, and the request stay open.
func (c *kase) poisoned(ctx context.Context) error {
	w, err := makeWorld(ctx, c.rng, c.dir, scale{stores: 1, people: 6, each: 3, big: poisonedSize})
	if err != nil {
		return fmt.Errorf("make world: %w", err)
	}
	h, err := c.house(w, settings{queue: "embedded", purge: "off"})
	if err != nil {
		return err
	}
	in := w.stores[0]
	ids := in.memoriesOf(w.people[0])
	poison := ids[c.rng.IntN(len(ids))]
	plan := "worker/poison~memories/" + poison + ":*:kill"
	c.note("poison in a batch of %d", len(ids))
	b := &book{asks: []*ask{{user: w.people[0], key: "poisoned"}, {user: w.people[1], key: "innocent"}, {user: w.people[2], key: "innocent too"}}}
	asking, stop := context.WithCancel(ctx)
	wait := b.open(asking, h)
	defer func() { stop(); wait() }()
	deaths := 0
	for ; ; deaths++ {
		l, err := h.start(ctx, plan)
		if err != nil {
			return err
		}
		if h.setAside(ctx, l, b) {
			break
		}
		h.set(nil)
		all := h.passes(l)
		h.count(all)
		if !l.dead() {
			l.kill()
			return fmt.Errorf("NOT ISOLATED: the others do not finish:%s", b.waiting())
		}
		h.struck(time.UnixMilli(all[len(all)-1].at), "kill at a fault point")
		if deaths == mostDeaths {
			return fmt.Errorf("NOT ISOLATED after %d deaths:%s", deaths, b.waiting())
		}
	}
	c.tally("deaths until one poison ID of a thousand was set aside", deaths)
	c.tally("poison IDs isolated", 1)
	return h.afterPoison(ctx, b, stop, wait)
}

// setAside waits for the life to die, or for all others to have finished and
// the one to be reported.
func (h *house) setAside(ctx context.Context, l *life, b *book) bool {
	sick := b.asks[0]
	for end := time.Now().Add(20 * time.Second); !l.dead() && time.Now().Before(end) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		sick.mu.Lock()
		r := sick.last
		sick.mu.Unlock()
		if len(r.Stores) == 1 && r.Stores[0].Refused == 1 && r.Stores[0].Note == "kills-its-worker" && r.Stores[0].BatchesDone == r.Stores[0].BatchesTotal-1 && b.asks[1].done() && b.asks[2].done() {
			return !l.dead()
		}
	}
	return false
}

// afterPoison cancels what cannot end, so that the oracle can judge: the
// certificate must then say of all but one that they were erased.
func (h *house) afterPoison(ctx context.Context, b *book, stop func(), wait func()) error {
	sick := b.asks[0]
	s := sick.last.Stores[0]
	if sick.ended || s.Erased != s.Found-1 || s.BatchesDone != s.BatchesTotal-1 {
		return fmt.Errorf("the poisoned request: status %s, erased %d of %d, batches %d of %d", sick.last.Status, s.Erased, s.Found, s.BatchesDone, s.BatchesTotal)
	}
	h.mu.Lock()
	l := h.now
	h.mu.Unlock()
	if text := (&oracle{house: h, book: b}).scrape(ctx, l); !strings.Contains(text, "lethe_ids_refused 1") {
		return errors.New("lethe_ids_refused does not say 1")
	}
	if _, err := l.client.Cancel(ctx, sick.id); err != nil {
		var refused *api.Problem
		if !errors.As(err, &refused) {
			return err
		}
	}
	sick.mu.Lock()
	sick.stopped, sick.cancel = true, 1
	sick.mu.Unlock()
	return h.conclude(ctx, b, l, time.Now(), nil, stop, wait)
}

// leased is one case: a worker is lost in the midst of the only task there is,
// and its process lives on. When the task is taken up again is up to the
// ledger's lease alone, as it is when another process has to take it up: Asynq
// would wait for its own, which is longer.
func (c *kase) leased(ctx context.Context) error {
	w, err := makeWorld(ctx, c.rng, c.dir, scale{stores: 1, people: 6, each: 3})
	if err != nil {
		return fmt.Errorf("make world: %w", err)
	}
	server, err := startRedis(ctx, filepath.Join(c.dir, "redis"))
	if err != nil {
		return err
	}
	defer server.close()
	h, err := c.house(w, settings{queue: server.url(), purge: "off"})
	if err != nil {
		return err
	}
	point := pick(c.rng, "worker/fenced", "worker/erased", "worker/finish", "worker/verify-begun", "worker/certifying")
	c.note("a worker is lost at %s", point)
	b := &book{asks: []*ask{{user: w.people[0], key: "leased"}}}
	asking, stop := context.WithCancel(ctx)
	wait := b.open(asking, h)
	defer func() { stop(); wait() }()
	l, err := h.start(ctx, point+":1:panic")
	if err != nil {
		return err
	}
	err = h.conclude(ctx, b, l, time.Now(), nil, stop, wait)
	var lost int64
	for _, p := range h.passes(l) {
		switch {
		case p.action == "panic":
			lost = p.at
		case lost > 0 && p.point == "worker/claimed":
			h.measure("recovery by the lease", time.Duration(p.at-lost)*time.Millisecond)
			return err
		}
	}
	return errors.Join(err, errors.New("the task was never taken up again"))
}

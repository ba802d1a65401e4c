//go:build torture

package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// A story is what a case is about. The zero story is left to chance.
type story struct {
	bugs     []string
	plans    []string // of the lives before the last
	before   []blow   // of the lives before those
	disaster string
	whole    bool     // every kind of request is made
	lives    int      // over which requests come, if not all at once
	big      int      // memories of the first person beyond a batch
	purge    string   // the rule; "" for chance
	queue    string   // "redis", "embedded", or "" for chance
	late     string   // "yes", or "" for chance
	extra    string   // of the configuration
	ledger   string   // the URL of one in PostgreSQL; "" for SQLite
	last     string   // plan of the last life, which survives it
	people   bool     // there are tokens, approvals and holds
	sweeps   bool     // there are policies; not with people
	parts    []string // of the second person, at an ask of each life
	limit    int      // seconds in which all must finish; 0 for a minute
}

// setting makes a world, a queue, a house and a book by chance.
func (c *kase) setting(ctx context.Context, s story) (*house, *book, *redisServer, error) {
	sc := scale{stores: 1 + c.rng.IntN(2), people: 10 + c.rng.IntN(4) + s.lives/4 + len(s.parts), each: 4, big: s.big}
	if c.rng.IntN(8) == 0 && sc.big == 0 {
		sc.big = 990 + c.rng.IntN(1500)
	}
	w, err := makeWorld(ctx, c.rng, c.dir, sc)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make world: %w", err)
	}
	set := settings{queue: "embedded", purge: cmp.Or(s.purge, pick(c.rng, "always", "always", "off")), extra: s.extra}
	var redis *redisServer
	if c.rng.IntN(2) == 0 && s.queue != "embedded" || s.queue == "redis" {
		if redis, err = startRedis(ctx, filepath.Join(c.dir, "redis")); err != nil {
			return nil, nil, nil, err
		}
		set.queue = redis.url()
	}
	if c.rng.IntN(8) == 0 && !s.whole {
		set.extra = "subject_key_retention: 1ms\n"
	}
	if s.ledger != "" {
		set.extra += "ledger: " + s.ledger + "\n"
	}
	b := c.asks(w, s)
	var who *cast
	if s.people {
		if who, err = c.actors(w, b, s, &set); err != nil {
			return nil, nil, redis, err
		}
	}
	if s.sweeps {
		if b.broom, err = c.sweeping(ctx, w, s, &set); err != nil {
			return nil, nil, redis, fmt.Errorf("make what is swept: %w", err)
		}
	}
	h, err := c.house(w, set)
	if err != nil {
		return nil, nil, redis, err
	}
	h.ledger = s.ledger
	if s.limit > 0 {
		h.limit = time.Duration(s.limit) * time.Second
	}
	if who != nil {
		err = h.peopled(ctx, who)
	}
	return h, b, redis, err
}

// asks makes the requests of a case. No two are about the same row, so that the
// oracle knows what each has to say.
func (c *kase) asks(w *world, s story) *book {
	whole, lives := s.whole, s.lives
	one := func(of int) bool { return c.rng.IntN(of) == 0 || whole }
	b := &book{}
	people := slices.Clone(w.people)
	take := func() string {
		p := people[0]
		people = people[1:]
		return p
	}
	add := func(a *ask) *ask {
		a.key = fmt.Sprintf("key-%d-%d", c.number, len(b.asks))
		b.asks = append(b.asks, a)
		return a
	}
	for i, part := range s.parts {
		add(&ask{user: take(), life: i + 1, deed: &deed{part: part}, notify: true})
	}
	add(&ask{user: take(), twice: one(2), other: one(3)})
	byID := take()
	var ids []string
	for _, in := range w.stores {
		for _, id := range in.memoriesOf(byID) {
			if c.rng.IntN(3) > 0 || len(ids) == 0 {
				ids = append(ids, id, id) // some twice
			}
		}
	}
	for n := c.rng.IntN(3); n > 0 || whole && len(ids) < 5; n-- {
		ids = append(ids, newID(c.rng)) // and some that are not there
	}
	add(&ask{ids: ids, twice: one(4)})
	if one(2) {
		add(&ask{user: take(), stores: []string{w.stores[c.rng.IntN(len(w.stores))].name}})
	}
	if one(2) {
		add(&ask{user: take(), cancel: 1 + time.Duration(c.rng.IntN(400))*time.Millisecond})
	}
	if one(4) {
		after := time.Duration(c.rng.IntN(200)+1) * time.Millisecond
		if whole {
			after += time.Second
		}
		add(&ask{user: take(), grace: time.Hour, cancel: after})
	}
	if one(4) {
		add(&ask{user: "nobody." + w.token})
	}
	for len(people) > 1 && !whole { // the last is never asked for; the rest come while things happen
		a := add(&ask{user: take()})
		if lives > 0 {
			a.life = 1 + c.rng.IntN(lives)
		} else {
			a.after = time.Duration(c.rng.IntN(3000)) * time.Millisecond
		}
	}
	return b
}

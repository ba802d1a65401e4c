//go:build torture

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// A disaster is something that happens to Redis, or to the line to it, and is
// over when it returns.
type disaster struct {
	name   string
	happen func(*upset, context.Context) error
}

// An upset is a case with a Redis to which things happen.
type upset struct {
	*house
	redis *redisServer
	proxy *proxy
}

func disasters() []disaster {
	return []disaster{
		{"kill", (*upset).dies},
		{"lost", (*upset).loses},
		{"flush", (*upset).flushed},
		{"rollback", (*upset).rollsBack},
		{"hang", (*upset).hangs},
		{"full", (*upset).fillsUp},
		{"evict", (*upset).evicts},
		{"cut", (*upset).isCut},
		{"deaf", (*upset).isDeaf},
		{"lost-replies", (*upset).losesReplies},
		{"slow", (*upset).isSlow},
		{"duplicate", (*upset).delivers2},
		{"lease", (*upset).leasesEnd},
		{"archive", (*upset).archives},
	}
}

const redisAtOnce = 8

func redisLane(ctx context.Context, r *run) error {
	all := disasters()
	r.cases(ctx, redisAtOnce, func(ctx context.Context, c *kase) error {
		chosen := []disaster{all[c.number%len(all)]} // each in turn, then more by chance
		for range c.rng.IntN(3) {
			chosen = append(chosen, pick(c.rng, all...))
		}
		return c.upset(ctx, chosen, story{})
	})
	if late := r.summarize(nil); len(late) > 0 {
		return fmt.Errorf("%w: %s", errFound, strings.Join(late, "; "))
	}
	return nil
}

// upset is one case: requests at work, disasters among them, and the oracle.
func (c *kase) upset(ctx context.Context, chosen []disaster, s story) error {
	big := s.big
	if big == 0 {
		big = 1500 + c.rng.IntN(2500)
	}
	w, err := makeWorld(ctx, c.rng, c.dir, scale{stores: 1 + c.rng.IntN(2), people: 7, each: 4, big: big})
	if err != nil {
		return fmt.Errorf("make world: %w", err)
	}
	server, err := startRedis(ctx, filepath.Join(c.dir, "redis"))
	if err != nil {
		return err
	}
	defer server.close()
	line, err := newProxy(server.addr)
	if err != nil {
		return err
	}
	defer line.close()
	h, err := c.house(w, settings{queue: line.url(), purge: pick(c.rng, "always", "off")})
	if err != nil {
		return err
	}
	u := &upset{house: h, redis: server, proxy: line}
	if s.limit > 0 {
		h.limit = time.Duration(s.limit) * time.Second
	}
	b := c.asks(w, story{whole: s.whole})
	asking, stop := context.WithCancel(ctx)
	wait := b.open(asking, h)
	defer func() { stop(); wait() }()
	late := h.lateWriter(ctx, s.late == "yes")
	l, err := h.start(ctx, dawdle(c), s.bugs...)
	if err != nil {
		return err
	}
	if l.dead() {
		return fmt.Errorf("the service does not start: %w\n%s", l.err, h.lastWords())
	}
	for _, d := range chosen {
		time.Sleep(time.Duration(c.rng.IntN(400)) * time.Millisecond)
		c.note("%s", d.name)
		if err := d.happen(u, ctx); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		c.tally(d.name, 1)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	line.set(weather{})
	c.tally("disasters", len(chosen))
	began := time.Now()
	if c.rng.IntN(5) == 0 && !b.done() { // and then the service dies too
		h.set(nil)
		l.kill()
		h.duplicates(l)
		return h.finish(ctx, b, nil, late, stop, wait, s)
	}
	err = h.conclude(ctx, b, l, began, late, stop, wait)
	h.duplicates(l)
	return err
}

// dawdle slows the work down, so that there is some left when things happen.
func dawdle(c *kase) string {
	return fmt.Sprintf("worker/claimed:*:sleep=%d,worker/erased:*:sleep=%d,queue/ack:*:sleep=%d", c.rng.IntN(60), c.rng.IntN(150), c.rng.IntN(60))
}

// duplicates counts rings that came to a worker when there was nothing to do
// for them any more, and rows that it found by itself and another had taken.
func (h *house) duplicates(l *life) {
	taken, claimed := 0, 0
	for _, p := range h.passes(l) {
		switch p.point {
		case "queue/taken", "worker/goes-on":
			taken++
		case "worker/claimed":
			claimed++
		}
	}
	h.tally("rings, and rows found without, answered as stale", taken-claimed)
}

func (u *upset) pause(from, to int) {
	time.Sleep(time.Duration(from+u.rng.IntN(to-from)) * time.Millisecond)
}

// dies: kill -9, and a start with what its append-only file holds.
func (u *upset) dies(ctx context.Context) error {
	u.redis.kill()
	u.pause(0, 1200)
	return u.redis.start(ctx)
}

// loses: kill -9, and the disk is gone too.
func (u *upset) loses(ctx context.Context) error {
	u.redis.kill()
	if err := u.forget(); err != nil {
		return err
	}
	u.pause(0, 600)
	return u.redis.start(ctx)
}

// forget puts the append-only files where the oracle still sees them.
func (u *upset) forget() error {
	from := filepath.Join(u.redis.dir, "appendonlydir")
	return os.Rename(from, fmt.Sprintf("%s-was-%d", from, u.rng.Uint32()))
}

func (u *upset) flushed(ctx context.Context) error { return u.redis.client.FlushAll(ctx).Err() }

// rollsBack: Redis comes back with what it held some time ago.
func (u *upset) rollsBack(ctx context.Context) error {
	from := filepath.Join(u.redis.dir, "appendonlydir")
	old := filepath.Join(u.dir, fmt.Sprintf("old-%d", u.rng.Uint32()))
	if err := os.CopyFS(old, os.DirFS(from)); err != nil {
		return err
	}
	u.pause(100, 700)
	u.redis.kill()
	if err := u.forget(); err != nil {
		return err
	}
	if err := os.CopyFS(from, os.DirFS(old)); err != nil {
		return err
	}
	return u.redis.start(ctx)
}

// hangs: SIGSTOP, sometimes for longer than a lease.
func (u *upset) hangs(context.Context) error {
	_ = u.redis.cmd.Process.Signal(syscall.SIGSTOP)
	if u.rng.IntN(6) == 0 {
		time.Sleep(9 * time.Second)
	}
	u.pause(200, 3000)
	return u.redis.cmd.Process.Signal(syscall.SIGCONT)
}

// fillsUp: out of memory, and nothing is evicted.
func (u *upset) fillsUp(ctx context.Context) error {
	if err := u.redis.client.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		return err
	}
	u.pause(200, 2000)
	return u.redis.client.ConfigSet(ctx, "maxmemory", "0").Err()
}

// evicts: out of memory, and keys are thrown away by chance.
func (u *upset) evicts(ctx context.Context) error {
	keys, err := u.redis.client.Keys(ctx, "asynq:*").Result()
	if err != nil {
		return err
	}
	slices.Sort(keys)
	for _, k := range keys {
		if u.rng.IntN(3) == 0 {
			if err := u.redis.client.Del(ctx, k).Err(); err != nil {
				return err
			}
			u.tally("keys evicted", 1)
		}
	}
	return nil
}

func (u *upset) isCut(context.Context) error {
	u.proxy.set(weather{cut: true})
	u.pause(0, 1500)
	u.proxy.set(weather{})
	return nil
}

func (u *upset) isDeaf(context.Context) error {
	u.proxy.set(weather{deaf: true})
	u.pause(100, 2500)
	u.proxy.set(weather{cut: true}) // what waits for an answer waits no longer
	u.proxy.set(weather{})
	return nil
}

func (u *upset) losesReplies(context.Context) error {
	u.proxy.set(weather{lose: 0.05 + 0.4*u.rng.Float64()})
	u.pause(300, 2000)
	u.proxy.set(weather{})
	return nil
}

func (u *upset) isSlow(context.Context) error {
	u.proxy.set(weather{delay: time.Duration(5+u.rng.IntN(200)) * time.Millisecond, slices: u.rng.IntN(2) == 0})
	u.pause(300, 2000)
	u.proxy.set(weather{})
	return nil
}

// delivers2 puts every task that is known, also such as are being worked on,
// into the list of those to be done once more.
func (u *upset) delivers2(ctx context.Context) error {
	for range 6 {
		keys, err := u.redis.client.Keys(ctx, "asynq:{lethe}:t:*").Result()
		if err != nil {
			return err
		}
		for _, k := range keys {
			id := strings.TrimPrefix(k, "asynq:{lethe}:t:")
			if err := u.redis.client.LPush(ctx, "asynq:{lethe}:pending", id).Err(); err != nil {
				return err
			}
			u.tally("tasks delivered twice", 1)
		}
		u.pause(20, 150)
	}
	return nil
}

// leasesEnd makes Asynq believe that whoever works has died.
func (u *upset) leasesEnd(ctx context.Context) error {
	for range 8 {
		ids, err := u.redis.client.LRange(ctx, "asynq:{lethe}:active", 0, -1).Result()
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := u.redis.client.ZAdd(ctx, "asynq:{lethe}:lease", redis.Z{Score: 1, Member: id}).Err(); err != nil {
				return err
			}
			u.tally("leases ended", 1)
		}
		u.pause(20, 120)
	}
	return nil
}

// archives takes what waits and buries it where Asynq buries the dead.
func (u *upset) archives(ctx context.Context) error {
	for range 5 {
		id, err := u.redis.client.RPop(ctx, "asynq:{lethe}:pending").Result()
		if err == nil {
			err = u.redis.client.ZAdd(ctx, "asynq:{lethe}:archived", redis.Z{Score: float64(time.Now().Unix()), Member: id}).Err()
			u.tally("tasks archived", 1)
		}
		if err != nil && err != redis.Nil { //nolint:errorlint // it is never wrapped
			return err
		}
		u.pause(10, 100)
	}
	return nil
}

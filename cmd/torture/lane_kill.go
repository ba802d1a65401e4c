//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Cases from againFrom on go once more, a few times, to a point at which by
// chance nobody was killed.
const (
	againFrom  = 1000000
	againTries = 4
)

// killsAtOnce is how many cases run at the same time: they mostly wait.
const killsAtOnce = 8

// A blow is what happens to one life of the service.
type blow struct {
	plan  string        // for LETHE_FAULT, or ""
	after time.Duration // SIGKILL from outside, this long after it serves, if there is no plan
}

func (b blow) String() string {
	if b.plan != "" {
		return b.plan
	}
	return "SIGKILL after " + b.after.String()
}

// killLane first visits every fault point, with each action at its first hits,
// and then chance has its way.
func killLane(ctx context.Context, r *run) error {
	points, err := faultPoints()
	if err != nil {
		return fmt.Errorf("find the fault points: %w", err)
	}
	tour := tourOf(points)
	one := func(ctx context.Context, c *kase) error {
		if c.number >= againFrom {
			first, s := aimed(points[(c.number-againFrom)/againTries] + ":1:kill")
			return c.killed(ctx, first, s)
		}
		if c.number%poisonEvery == poisonEvery-1 {
			return c.poisoned(ctx)
		}
		if c.number%poisonEvery == poisonEvery/2 {
			return c.leased(ctx)
		}
		blows := c.blows(points)
		if c.number < len(tour) {
			first, s := aimed(tour[c.number])
			return c.killed(ctx, append(first, blows[1:]...), s)
		}
		return c.killed(ctx, blows, story{})
	}
	r.cases(ctx, killsAtOnce, one)
	if r.only < 0 && r.result.Cases >= len(points) {
		r.visit(ctx, points, one)
	}
	if r.only < 0 {
		r.unvisited(points)
	}
	late := r.summarize(map[string]time.Duration{"recovery after kill -9, by a new process": 10 * time.Second, "recovery by the lease": 10 * time.Second, "stop after SIGTERM": stopLimit})
	if len(late) > 0 {
		return fmt.Errorf("%w: %s", errFound, strings.Join(late, "; "))
	}
	return nil
}

// aimed returns the lives and the story that lead to a plan: some points are not
// passed in every life.
func aimed(plan string) ([]blow, story) {
	point, _, _ := strings.Cut(plan, ":")
	switch {
	case point == "jobs/key-destroyed": // by the start after the end of a request
		return []blow{{plan: "worker/certified:1:kill"}, {plan: plan}}, story{extra: "subject_key_retention: 1ms\n"}
	case point == "worker/residue":
		return []blow{{plan: "worker/erased:*:sleep=1500," + plan}}, story{late: "yes"}
	case strings.HasPrefix(point, "worker/purge"):
		return []blow{{plan: plan}}, story{purge: "always"}
	case point == "jobs/cancel-marked" || point == "jobs/queue-lost":
		return []blow{{plan: plan}}, story{whole: true, queue: "redis"}
	}
	return []blow{{plan: plan}}, story{}
}

// tourOf lists every point with every action, the first hits of all points
// before the second of any.
func tourOf(points []string) []string {
	var all []string
	for hit := 1; hit <= 3; hit++ {
		for _, action := range []string{"kill", "term", "panic", "stop"} {
			if hit > 1 && action != "kill" {
				continue
			}
			for _, p := range points {
				all = append(all, fmt.Sprintf("%s:%d:%s", p, hit, action))
			}
		}
	}
	return all
}

// blows makes three to eight blows by chance.
func (c *kase) blows(points []string) []blow {
	var all []blow
	for range 3 + c.rng.IntN(6) {
		action := pick(c.rng, "kill", "kill", "kill", "kill", "kill", "kill", "term", "panic")
		switch c.rng.IntN(6) {
		case 0:
			all = append(all, blow{after: time.Duration(c.rng.IntN(700)) * time.Millisecond})
		case 1, 2:
			all = append(all, blow{plan: fmt.Sprintf("%s:%d:%s", points[c.rng.IntN(len(points))], 1+c.rng.IntN(4), action)})
		default:
			all = append(all, blow{plan: fmt.Sprintf("*:%d:%s", 1+c.rng.IntN(70), action)})
		}
	}
	if c.rng.IntN(60) == 0 {
		all[0].plan = fmt.Sprintf("*:%d:stop", 20+c.rng.IntN(80))
	}
	return all
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// visit goes to the points at which nobody was killed.
func (r *run) visit(ctx context.Context, points []string, one func(context.Context, *kase) error) {
	for i, p := range points {
		for try := range againTries {
			r.mu.Lock()
			at := r.result.Points[p]
			been := at != nil && at.Acts["kill"] > 0
			r.mu.Unlock()
			if been || ctx.Err() != nil {
				break
			}
			r.try(ctx, againFrom+againTries*i+try, one)
		}
	}
}

// unvisited fails the lane for points at which nobody was killed: then the
// zeros mean little.
func (r *run) unvisited(points []string) {
	var never []string
	for _, p := range points {
		if at := r.result.Points[p]; at == nil || at.Acts["kill"] == 0 {
			never = append(never, p)
		}
	}
	switch {
	case len(never) == 0:
	case r.result.Cases < len(points): // a small run cannot be everywhere
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("no kill at %d of %d points", len(never), len(points)))
	default:
		r.fail(-1, fmt.Errorf("%w: nobody was killed at %s", errFound, strings.Join(never, ", ")))
	}
}

// killed is one case: lives that end badly, one that does not, and the oracle.
func (c *kase) killed(ctx context.Context, blows []blow, s story) error {
	h, b, redis, err := c.setting(ctx, s)
	if redis != nil {
		defer redis.close()
	}
	if err != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	wait := b.open(asking, h)
	defer func() { stop(); wait() }()
	late := h.lateWriter(ctx, s.late == "yes")
	var died *pass
	for _, blow := range blows {
		c.note("life %d: %s", h.lives+1, blow)
		if died, err = h.suffer(ctx, b, blow, died, s.bugs); err != nil {
			return err
		}
		if b.done() {
			break
		}
	}
	return h.finish(ctx, b, died, late, stop, wait, s)
}

// suffer lives one life until it dies or all is done.
func (h *house) suffer(ctx context.Context, b *book, what blow, before *pass, bugs []string) (*pass, error) {
	l, err := h.start(ctx, what.plan, bugs...)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for !l.dead() && ctx.Err() == nil {
		switch {
		case what.plan == "" && time.Since(began) >= what.after:
			l.kill()
			h.tally("kills from outside", 1)
		case strings.Contains(what.plan, ":stop") && l.isStopped():
			time.Sleep(8700 * time.Millisecond) // longer than the ledger's lease
			l.signal(syscall.SIGCONT)
		case b.done() || time.Since(began) > 25*time.Second: // the plan was not reached
			err := h.stop(l)
			if all := h.passes(l); err == nil {
				h.count(all)
				return nil, nil
			}
			continue // it was killed while it stopped, or should not have died
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.set(nil)
	all := h.passes(l)
	h.count(all)
	h.recovery(before, all)
	return h.autopsy(l, all, what)
}

// autopsy makes sure that a life ended as it was to, and returns its last pass
// if it was killed there.
func (h *house) autopsy(l *life, all []pass, what blow) (*pass, error) {
	acted := ""
	for _, p := range all {
		if p.action != "" {
			acted = p.action
			h.tally(strings.SplitN(p.action, "=", 2)[0]+"s at fault points", 1)
		}
	}
	state, _ := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case acted == "kill" || what.plan == "":
		if state.Signal() != syscall.SIGKILL {
			return nil, fmt.Errorf("a life that was to be killed ended with %w", l.err)
		}
		if len(all) > 0 {
			return &all[len(all)-1], nil
		}
		return nil, nil
	case acted == "term" && l.err != nil:
		return nil, fmt.Errorf("SIGTERM at %s: the service ended with %w", what.plan, l.err)
	case acted == "":
		return nil, fmt.Errorf("the service has died by itself: %w\n%s", l.err, h.lastWords())
	}
	return nil, nil
}

// recovery measures how long after a kill the next life goes on with work.
func (h *house) recovery(before *pass, all []pass) {
	if before == nil || !strings.HasPrefix(before.point, "worker/") && !strings.HasPrefix(before.point, "ledger/") {
		return
	}
	for _, p := range all {
		if p.point == "worker/claimed" {
			h.measure("recovery after kill -9, by a new process", time.Duration(p.at-before.at)*time.Millisecond)
			return
		}
	}
}

// finish lives the last life, in which nothing goes wrong, and judges.
func (h *house) finish(ctx context.Context, b *book, died *pass, late *sync.WaitGroup, stop func(), wait func(), s story) error {
	l, err := h.start(ctx, s.last, s.bugs...)
	if err != nil {
		return err
	}
	if l.dead() || l.client == nil {
		return fmt.Errorf("the service does not start again: %w\n%s", l.err, h.lastWords())
	}
	h.died = died
	return h.conclude(ctx, b, l, time.Now(), late, stop, wait)
}

var errUnfinished = errors.New("NOT FINISHED")

// conclude waits until all is done, a minute at most, asks the life that serves
// what can only be asked of one, ends it, and judges.
func (h *house) conclude(ctx context.Context, b *book, l *life, began time.Time, late *sync.WaitGroup, stop func(), wait func()) error {
	for !b.done() && time.Since(began) < h.limit && !l.dead() && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if l.dead() {
		return fmt.Errorf("the service has died by itself: %w\n%s", l.err, h.lastWords())
	}
	h.measure("all done once nothing goes wrong", time.Since(began))
	if late != nil {
		late.Wait()
	}
	o := &oracle{house: h, book: b}
	var unfinished error
	if !b.done() {
		unfinished = fmt.Errorf("%w %s after the last fault:%s", errUnfinished, h.limit, b.waiting())
	}
	stop()
	wait()
	asked, cancel := context.WithTimeout(ctx, 20*time.Second)
	o.ask(asked, l)
	cancel()
	stopped := h.stop(l)
	all := h.passes(l)
	h.recovery(h.died, all)
	h.count(all)
	h.tally("lives", h.lives)
	h.tally("requests", len(b.asks))
	return errors.Join(unfinished, stopped, o.judge(ctx))
}

// lateWriter is Mem0 at work: once in some cases it writes one more memory of
// the first person at some time.
func (h *house) lateWriter(ctx context.Context, surely bool) *sync.WaitGroup {
	var done sync.WaitGroup
	if h.rng.IntN(3) > 0 && !surely {
		return &done
	}
	in := h.world.stores[0]
	t := &thing{place: "memories", id: newID(h.rng), user: h.world.people[0], secret: h.world.token + newToken(h.rng), late: &lateness{}}
	after := time.Duration(h.rng.IntN(900)) * time.Millisecond
	done.Go(func() {
		if surely {
			h.await(ctx, "worker/erased")
		} else {
			time.Sleep(after)
		}
		t.late.begun = time.Now().UnixMilli()
		if err := in.write(ctx, []*thing{t}); err != nil {
			t.late.begun = 1 << 60 // never
			h.note("the late memory was not written: %v", err)
			return
		}
		t.late.written = time.Now().UnixMilli()
		h.mu.Lock()
		defer h.mu.Unlock()
		in.rows = append(in.rows, t)
		in.addFirst(t)
	})
	return &done
}

func (h *house) lastWords() string {
	text := readTail(filepath.Join(h.dir, "service.log"), 4000)
	return tail(text, 6)
}

func readTail(path string, n int64) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, int64(len(text))-n):])
}

// await returns when some life has passed a point, or after some seconds.
func (h *house) await(ctx context.Context, point string) {
	for end := time.Now().Add(10 * time.Second); ctx.Err() == nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(h.dir, "hits-*"))
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), point+" ") {
				return
			}
		}
	}
}

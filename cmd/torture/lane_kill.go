//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Cases from shortFrom on are shorter ones: the smoke's.
const shortFrom = 500000

// Cases from againFrom on go once more, a few times, to a point at which by
// chance nobody was killed.
const (
	againFrom  = 1000000
	againTries = 4
)

// killsAtOnce is how many cases run at the same time: they mostly wait.
const killsAtOnce = 14

// lifeLimit is how long a life may go without its blow. Then it is killed.
const lifeLimit = 10 * time.Second

// One of so many of the cases that are left to chance is about people who decide.
const (
	peopleEvery = 6
	peopleAt    = 3
)

// stopped is for how long a process is stopped: longer than the ledger's lease.
const stopped = 8700 * time.Millisecond

// A blow is what happens to one life of the service.
type blow struct {
	plan  string        // for LETHE_FAULT, or ""
	or    int           // at this pass of any point it is killed if not before; 0 for never
	after time.Duration // SIGKILL from outside, this long after it serves, if there is no plan
}

func (b blow) String() string {
	if b.plan != "" {
		return b.faults()
	}
	return "SIGKILL after " + b.after.String()
}

func (b blow) faults() string {
	if b.or > 0 && b.plan != "" && !strings.HasSuffix(b.plan, ":term") { // of two that are due at once the last holds
		return fmt.Sprintf("*:%d:kill,%s", b.or, b.plan)
	}
	return b.plan
}

// killLane first visits every fault point, with each action at its first hits,
// and then chance has its way.
func killLane(ctx context.Context, r *run) error {
	points, err := faultPoints()
	if err != nil {
		return fmt.Errorf("find the fault points: %w", err)
	}
	tour := tourOf(points)
	var d database
	defer d.stop()
	one := func(ctx context.Context, c *kase) error {
		number, short := c.number, c.number >= shortFrom && c.number < againFrom
		if short {
			number -= shortFrom
		}
		before := others(number)
		switch {
		case c.number >= againFrom:
			point := points[(c.number-againFrom)/againTries]
			if isOfReturns(point) {
				return c.returned(ctx, point)
			}
			return c.aimed(ctx, &d, shortLife, point+":1:kill")
		case number%poisonEvery == returnedAt:
			return c.returned(ctx, ofReturns()[number/poisonEvery%len(ofReturns())])
		case number%poisonEvery == poisonedAt:
			return c.poisoned(ctx)
		case number%poisonEvery == leasedAt:
			return c.leased(ctx)
		case short && number-before < len(tour):
			at := tour[number-before]
			return c.aimed(ctx, &d, shortLife, at[:min(len(at), shortLife)]...)
		case number-before < len(tour):
			return c.aimed(ctx, &d, fullLife, tour[number-before]...)
		case c.number%sharedEvery == 0:
			return c.two(ctx, &d, points)
		}
		return c.aimed(ctx, &d, fullLife)
	}
	atOnce := killsAtOnce
	if r.size == "smoke" { // it may run on a machine that does other things
		r.from, atOnce = shortFrom, killsAtOnce/2
	}
	r.cases(ctx, atOnce, one)
	whole := r.size != "smoke" && r.result.Cases >= len(tour)+3*(len(tour)/poisonEvery+1)
	if r.only < 0 && whole {
		r.visit(ctx, points, one)
	}
	if r.only < 0 {
		r.unvisited(points, whole)
	}
	late := r.summarize(map[string]time.Duration{"recovery after kill -9, by a new process": 10 * time.Second, "recovery by the lease": 10 * time.Second, takeOver: 10 * time.Second, "stop after SIGTERM": stopLimit})
	if len(late) > 0 {
		return fmt.Errorf("%w: %s", errFound, strings.Join(late, "; "))
	}
	return nil
}

// visit goes to the points at which nobody was killed, though the lane's time may
// be up: without them its zeros would mean little.
func (r *run) visit(ctx context.Context, points []string, one func(context.Context, *kase) error) {
	until := r.until
	r.until = time.Time{}
	defer func() { r.until = until }()
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
func (r *run) unvisited(points []string, whole bool) {
	var never []string
	for _, p := range points {
		if at := r.result.Points[p]; at == nil || at.Acts["kill"] == 0 {
			never = append(never, p)
		}
	}
	switch {
	case len(never) == 0:
	case !whole: // a small run cannot be everywhere
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
	if h.cast != nil {
		defer h.cast.ears.close()
	}
	asking, stop := context.WithCancel(ctx)
	wait := b.open(asking, h)
	defer func() { stop(); wait() }()
	late := h.lateWriter(ctx, s.late == "yes")
	var died *pass
	for _, blow := range blows {
		if b.done() || c.isUp() {
			break
		}
		c.note("life %d: %s", h.lives+1, blow)
		if died, err = h.suffer(ctx, b, blow, died, s.bugs); err != nil {
			return err
		}
	}
	return h.finish(ctx, b, died, late, stop, wait, s)
}

// suffer lives one life until it dies or all is done.
func (h *house) suffer(ctx context.Context, b *book, what blow, before *pass, bugs []string) (*pass, error) {
	b.release(h.lives + 1)
	l, err := h.start(ctx, what.faults(), bugs...)
	if err != nil {
		return nil, err
	}
	began, outside := time.Now(), false
	for !l.dead() && ctx.Err() == nil {
		b.release(h.lives)
		since := time.Since(began)
		switch {
		case strings.Contains(what.plan, ":stop") && l.isStopped():
			time.Sleep(stopped)
			l.signal(syscall.SIGCONT)
		case b.done():
			err := h.stop(l)
			if all := h.passes(l); err == nil {
				h.count(all)
				return nil, nil
			}
			continue // it was killed while it stopped, or should not have died
		case strings.HasSuffix(what.plan, ":term") && since < lifeLimit+stretched(stopLimit):
		case what.plan == "" && since >= what.after || since > lifeLimit:
			outside = true
			h.struck(time.Now(), "kill from outside")
			l.kill()
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.set(nil)
	all := h.passes(l)
	h.count(all)
	h.recovery(before, all)
	return h.autopsy(l, all, what, outside)
}

// struck writes a blow down that has fallen, of which the end of the case says
// whether there was work in flight.
func (h *house) struck(at time.Time, what string) {
	h.tally(what, 1)
	h.blows = append(h.blows, at)
}

// autopsy makes sure that a life ended as it was to, and returns its last pass
// if it was killed there.
func (h *house) autopsy(l *life, all []pass, what blow, outside bool) (*pass, error) {
	acted := ""
	for _, p := range all {
		name, _, _ := strings.Cut(p.action, "=")
		if name == "term" {
			h.measure("stop after SIGTERM", l.ended.Sub(time.UnixMilli(p.at)))
		}
		if p.action != "" && name != "sleep" {
			acted = p.action
			h.struck(time.UnixMilli(p.at), name+" at a fault point")
		}
	}
	state, _ := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case acted == "kill" || outside:
		if acted == "term" {
			return nil, fmt.Errorf("SIGTERM at %s: the service did not stop", what)
		}
		if state.Signal() != syscall.SIGKILL {
			return nil, fmt.Errorf("a life that was to be killed ended with %w\n%s", l.err, h.lastWords())
		}
		if len(all) > 0 {
			return &all[len(all)-1], nil
		}
		return nil, nil
	case acted == "term" && l.err != nil:
		return nil, fmt.Errorf("SIGTERM at %s: the service ended with %w", what, l.err)
	case acted == "":
		return nil, fmt.Errorf("the service has died by itself: %w\n%s", l.err, h.lastWords())
	}
	return nil, nil
}

// recovery measures how long after a kill the next life goes on with work.
func (h *house) recovery(before *pass, all []pass) {
	if before == nil || !strings.HasPrefix(before.point, "worker/") && !strings.HasPrefix(before.point, "ledger/") && before.point != "jobs/relay-taken" {
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
	b.release(math.MaxInt)
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
	for !b.done() && !h.tooLong(began, b) && !l.dead() && ctx.Err() == nil {
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
		unfinished = fmt.Errorf("%w %s after the last fault:%s", errUnfinished, time.Since(began).Round(time.Second), b.waiting())
	}
	if h.cast != nil && unfinished == nil {
		unfinished = h.cast.ears.all(ctx, h)
	}
	if h.ledger != "" && unfinished == nil {
		h.swept(ctx, b)
	}
	stop()
	wait()
	asked, cancel := context.WithTimeout(ctx, stretched(30*time.Second))
	o.ask(asked, l)
	cancel()
	stopped := h.stop(l)
	all := h.passes(l)
	h.recovery(h.died, all)
	h.count(all)
	h.tally("lives", h.lives)
	h.tally("requests", len(b.asks))
	if len(h.blows) > 0 {
		h.tally("crash points", len(h.blows))
	}
	for _, at := range h.blows {
		if b.inFlight(at) {
			h.tally("crash points with work in flight", 1)
		}
	}
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

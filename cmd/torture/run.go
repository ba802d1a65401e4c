//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A lab is one run of the command.
type lab struct {
	options
	dir    string // of all cases, on memory where there is some
	binary string // the service, built with the tag
	stderr io.Writer
}

func newLab(ctx context.Context, o options, stderr io.Writer) (*lab, error) {
	root := os.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		root = "/dev/shm" // fsync costs nothing there; what it is for, lane power looks after
	}
	dir, err := os.MkdirTemp(root, "lethe-torture-*")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, dir: dir, binary: filepath.Join(dir, "lethe"), stderr: stderr}
	if !slices.ContainsFunc(lanes(), func(one lane) bool { return one.service && l.wants(one.name) }) {
		return l, nil
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", "torture", "-o", l.binary, "lethe/cmd/lethe")
	if text, err := build.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("build the service: %w\n%s", err, text)
	}
	return l, nil
}

func (l *lab) close() {
	if !l.keep {
		_ = os.RemoveAll(l.dir)
		return
	}
	_ = os.Remove(l.dir) // if it is empty
}

// run runs the lanes that were asked for.
func (l *lab) run(ctx context.Context) report {
	began := time.Now()
	rep := newReport(l.options)
	var beside sync.WaitGroup
	for _, name := range besides() {
		if l.wants(name) {
			l.begin(ctx, &beside, &rep, name, l.end(began, 1, 1))
		}
	}
	todo := l.chosen()
	for i, now := range todo { // what lanes before have left over is shared by the rest
		var together sync.WaitGroup
		until := l.end(began, now.parts, parts(todo[i:]))
		for _, name := range now.lanes {
			l.begin(ctx, &together, &rep, name, until)
		}
		together.Wait()
	}
	beside.Wait()
	rep.Held = ctx.Err() == nil // a run that was interrupted has shown nothing
	for _, r := range rep.Lanes {
		rep.Held = rep.Held && r.Held
	}
	rep.Seconds = time.Since(began).Seconds()
	return rep
}

// end says when those end who get some parts of the time that is left; it is
// zero for never.
func (l *lab) end(began time.Time, parts, of int) time.Time {
	if l.limit == 0 {
		return time.Time{}
	}
	left := l.limit - time.Since(began)
	return time.Now().Add(left * time.Duration(parts) / time.Duration(of))
}

// begin lets a lane live until a time.
func (l *lab) begin(ctx context.Context, with *sync.WaitGroup, rep *report, name string, until time.Time) {
	one, _ := laneByName(name)
	r := &run{lab: l, lane: one, n: one.n[l.size], until: until, result: &laneReport{Lane: one.name, What: one.what, Held: true}}
	if l.number > 0 {
		r.n = l.number
	}
	rep.add(r.result)
	with.Go(func() { r.live(ctx) })
}

// wants reports whether a lane was asked for.
func (l *lab) wants(name string) bool { return len(l.lanes) == 0 || slices.Contains(l.lanes, name) }

// chosen are the lanes that were asked for, with their shares of the time.
func (l *lab) chosen() []share {
	var todo []share
	for _, s := range shares() {
		s.lanes = slices.DeleteFunc(s.lanes, func(name string) bool { return !l.wants(name) })
		if len(s.lanes) > 0 {
			todo = append(todo, s)
		}
	}
	return todo
}

func parts(of []share) (n int) {
	for _, s := range of {
		n += s.parts
	}
	return n
}

// A run is one lane at work. Its methods may be called concurrently.
type run struct {
	*lab
	lane   lane
	n      int       // cases
	from   int       // number of the first
	until  time.Time // no case begins later; zero for never
	mu     sync.Mutex
	result *laneReport
	times  map[string][]time.Duration
}

func (r *run) live(ctx context.Context) {
	began := time.Now()
	r.say("lane %s: %s", r.lane.name, r.lane.what)
	work := r.lane.run
	if r.many() {
		work = inProcesses
	}
	if err := work(ctx, r); err != nil {
		r.fail(-1, err)
	}
	r.result.Seconds = time.Since(began).Seconds()
}

func (r *run) say(format string, args ...any) {
	if !r.quiet {
		fmt.Fprintf(r.stderr, format+"\n", args...)
	}
}

// A kase is one numbered try. All that happens in it comes from rng.
type kase struct {
	*run
	number int
	rng    *rand.Rand
	dir    string   // of its own, empty
	notes  []string // what was done, for a failure
}

// cases runs f for each case, several at once. A case that f returns an error
// for has failed: its replay is printed. Of a panic likewise.
func (r *run) cases(ctx context.Context, atOnce int, f func(context.Context, *kase) error) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for {
				number := (int(next.Add(1))-1)*r.of + r.part
				if r.only >= 0 {
					if number > 0 {
						return
					}
					number = r.only - r.from
				}
				if r.only < 0 && (number >= r.n || !r.until.IsZero() && time.Now().After(r.until)) || ctx.Err() != nil {
					return
				}
				r.try(ctx, r.from+number, f)
			}
		})
	}
	all.Wait()
	r.admit()
}

// admit says so if not all cases were run.
func (r *run) admit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.only < 0 && r.of == 1 && r.result.Cases < r.n {
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("time was up after %d of %d cases", r.result.Cases, r.n))
	}
}

// isUp reports whether the lane's time is up: a case that is at work then comes
// to its end, sooner than when it is replayed.
func (c *kase) isUp() bool { return c.only < 0 && !c.until.IsZero() && time.Now().After(c.until) }

func (r *run) try(ctx context.Context, number int, f func(context.Context, *kase) error) {
	c := &kase{run: r, number: number, rng: r.rand(number), dir: filepath.Join(r.dir, fmt.Sprintf("%s-%d", r.lane.name, number))}
	err := os.MkdirAll(c.dir, 0o700)
	if err == nil {
		err = guarded(func() error { return f(ctx, c) })
	}
	if ctx.Err() != nil {
		return // it was interrupted, and says nothing
	}
	r.mu.Lock()
	r.result.Cases++
	done := r.result.Cases
	r.mu.Unlock()
	if err != nil {
		for _, n := range c.notes {
			err = fmt.Errorf("%w\n  %s", err, n)
		}
		r.fail(number, err)
	}
	if err == nil || !r.keep {
		_ = os.RemoveAll(c.dir)
	} else {
		r.say("kept %s", c.dir)
	}
	if done%100 == 0 && (r.n < 10000 || done%10000 == 0) {
		r.say("  %d of %d", done, r.n)
	}
}

func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// rand makes the randomness of one case: of the seed, the lane and the number.
func (r *run) rand(number int) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, b := range []byte(r.lane.name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(r.seed, h+uint64(number))) //nolint:gosec // it is to be repeatable
}

// note remembers what a case does, to be printed if it fails.
func (c *kase) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// fail writes a failure down. A number below 0 is of the lane as a whole.
func (r *run) fail(number int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := failure{Case: number, Error: err.Error()}
	if number >= 0 {
		f.Replay = fmt.Sprintf("make torture-replay SEED=%d PLAN=%s/%d", r.seed, r.lane.name, number)
	}
	r.result.Held = false
	r.result.Failures = append(r.result.Failures, f)
	fmt.Fprintf(r.stderr, "FAILED %s\n  %s\n", f.Replay, f.Error)
}

// tally adds to one of the lane's figures.
func (r *run) tally(name string, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Counts == nil {
		r.result.Counts = map[string]int{}
	}
	r.result.Counts[name] += by
}

// errFound is what a lane returns for what is wrong with all of it.
var errFound = errors.New("the lane has not done what it is for")

//go:build torture

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// worthMany is how many cases a lane must have for more than one process.
const worthMany = 1000

// many reports whether the lane's cases are shared among processes.
func (r *run) many() bool {
	return r.lane.apart && r.of == 1 && r.only < 0 && r.n >= worthMany && runtime.NumCPU() > 1
}

// inProcesses shares a lane's cases among as many processes of this program as
// there are processors, and adds up what they report. Each keeps to one
// processor: what goes on in a ledger is one thing after another, and handing it
// from processor to processor takes a third of the time.
func inProcesses(ctx context.Context, r *run) error {
	n := runtime.NumCPU()
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = r.process(ctx, i, n) })
	}
	all.Wait()
	r.admit()
	return errors.Join(errs...)
}

func (r *run) process(ctx context.Context, i, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file := filepath.Join(r.dir, fmt.Sprintf("%s-%d-of-%d.json", r.lane.name, i, n))
	args := []string{
		self, "--lane", r.lane.name, "--size", r.size, "--seed", fmt.Sprint(r.seed), "--n", fmt.Sprint(r.n),
		"--part", fmt.Sprintf("%d/%d", i, n), "--report", file, "--quiet", fmt.Sprintf("--keep=%t", r.keep),
	}
	if !r.until.IsZero() {
		args = append(args, "--for", time.Until(r.until).String())
	}
	if nice, err := exec.LookPath("nice"); err == nil {
		args = append([]string{nice, "-n", "5"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=1600")
	cmd.Stderr = r.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	ended := cmd.Run()
	text, err := os.ReadFile(file)
	if err != nil || ctx.Err() != nil {
		return errors.Join(ended, err)
	}
	var rep report
	if err := json.Unmarshal(text, &rep); err != nil {
		return fmt.Errorf("read the report of a process: %w", err)
	}
	for _, l := range rep.Lanes {
		r.gather(l)
	}
	if rep.Held && ended != nil {
		return ended
	}
	return nil
}

// gather adds what one process reports.
func (r *run) gather(l *laneReport) {
	for name, n := range l.Counts {
		r.tally(name, n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Held = r.result.Held && l.Held
	r.result.Cases += l.Cases
	r.result.Notes = append(r.result.Notes, l.Notes...)
	r.result.Failures = append(r.result.Failures, l.Failures...)
}

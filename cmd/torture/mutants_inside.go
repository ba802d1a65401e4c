//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A rerun is a run of this very program, with a bug planted in it: for lanes
// that work inside it.
type rerun struct {
	lane  string
	cases int // the first ones of the lane's
}

// insideMutants lists the planted bugs that lanes inside this program have to
// catch, and those of what such a lane has found.
func insideMutants() []mutant {
	run := func(lane string, cases int) *rerun { return &rerun{lane, cases} }
	return []mutant{
		{bug: "worker/believe-receipts", run: run("lies", 400)},
		{bug: "worker/believe-remaining", run: run("lies", 400)},
		{bug: "worker/believe-counts", run: run("lies", 300)},
		{bug: "worker/verify-without-count", check: "worker TestWhatIsCountedButNotFoundKeepsTheCertificateBack"},
		{bug: "audit/deny-early", check: "audit TestANoIsNotSaidBeforeItsReasonIsCommitted"},
		{bug: "ledger/sync-normal", run: run("power", 1)},
		{bug: "jobs/cancel-untold", run: run("model", 60)},
	}
}

// rerun runs the lane with the bug, and without it.
func (c *kase) rerun(ctx context.Context, m mutant) (string, error) {
	text, err := c.again(ctx, m.run, m.bug)
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(text, "make torture-replay") {
		return "", fmt.Errorf("THE PLANTED BUG %s SURVIVED %d cases of lane %s", m.bug, m.run.cases, m.run.lane)
	}
	if sound, err := c.again(ctx, m.run, ""); err != nil {
		return "", fmt.Errorf("what should catch %s objects without it, too: %w\n%s", m.bug, err, tail(sound, 12))
	}
	_, found, _ := strings.Cut(text, m.run.lane+" failed: ")
	found, _, _ = strings.Cut(found, "\n")
	return fmt.Sprintf("lane %s: %s", m.run.lane, shorten(found)), nil
}

func (c *kase) again(ctx context.Context, r *rerun, bug string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self, "--lane", r.lane, "--n", fmt.Sprint(r.cases), "--seed", fmt.Sprint(c.seed), "--quiet")
	cmd.Env = append(os.Environ(), "LETHE_BUG="+bug)
	text, err := cmd.Output()
	return string(text), err
}

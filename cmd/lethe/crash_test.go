package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs/api"
	"lethe/jobs/queue/queuetest"
	"lethe/store"
	"lethe/store/mem0"
)

// What a child is told. The plan reads "Finish before 1": the service kills
// itself with SIGKILL before its first call of Finish takes effect.
const (
	killPlan  = "LETHE_TEST_KILL"
	killDir   = "LETHE_TEST_DIR"
	killQueue = "LETHE_TEST_QUEUE"
)

// A victim is an installation on which the service is killed.
type victim struct {
	dir   string
	mem   mem0.SQLiteConfig
	queue string
}

func (v victim) config() Config {
	return configFor(filepath.Join(v.dir, "data"), v.queue, configured("mem0", v.mem))
}

// ask is the same request each time, as a client asks who got no answer.
func (v victim) ask() api.Submission {
	return api.Submission{Selector: store.Selector{UserID: "alice"}, IdempotencyKey: "the-only-one"}
}

// late has Mem0 write one more memory of alice while her batch is being
// erased, once in all the lives of the service.
func (v victim) late(t testing.TB, next moment) moment {
	return func(ctx context.Context, call string, after bool) {
		if call == "Erase" && !after {
			f, err := os.OpenFile(filepath.Join(v.dir, "late"), os.O_CREATE|os.O_EXCL, 0o600)
			if err == nil {
				_ = f.Close()
				write(t, v.mem, mem0.Memory{ID: "late", UserID: "alice", Text: "SECRET-A-alice-9999 came late"})
			}
		}
		if next != nil {
			next(ctx, call, after)
		}
	}
}

// TestKilledService is the child: it does nothing unless it is to be killed.
func TestKilledService(t *testing.T) {
	plan := strings.Fields(os.Getenv(killPlan))
	if len(plan) == 0 {
		return
	}
	dir := os.Getenv(killDir)
	v := victim{dir, files(dir), os.Getenv(killQueue)}
	n, err := strconv.ParseInt(plan[2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	kill := func(_ context.Context, call string, after bool) {
		if call == plan[0] && after == (plan[1] == "after") && calls.Add(1) == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	r := start(t, v.config(), v.late(t, kill))
	_ = r.completed(r.submit(v.ask()))
	t.Log("it was never killed")
}

func files(dir string) mem0.SQLiteConfig {
	dir = filepath.Join(dir, "mem0")
	return mem0.SQLiteConfig{
		Vectors: filepath.Join(dir, "vector_store.db"), Entities: filepath.Join(dir, "vector_store_entities.db"), History: filepath.Join(dir, "memory.db"),
	}
}

// killed runs the service in a process that must be killed.
func (v victim) killed(t testing.TB, plan string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledService$", "-test.v")
	tmp := t.TempDir() // what the child cannot clean up goes with the test
	child.Env = append(os.Environ(), killPlan+"="+plan, killDir+"="+v.dir, killQueue+"="+v.queue, "TMPDIR="+tmp)
	text, err := child.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGKILL {
			return
		}
	}
	t.Fatalf("the service was not killed %s: %v\n%s", plan, err, text)
}

// An aftermath is all that must be the same however often the service died.
type aftermath struct {
	Certificate string
	Entries     map[string]int
	Rows        map[string]string
}

// survive starts the service once more and lets it finish.
func (v victim) survive(t testing.TB) aftermath {
	t.Helper()
	r := start(t, v.config(), v.late(t, nil))
	id := r.submit(v.ask())
	a := aftermath{Certificate: said(r.completed(id).Stores[0]), Entries: r.kinds()}
	r.stop()
	a.Rows = rowsOf(t, v.mem)
	return a
}

func newVictim(t testing.TB, queue string) victim {
	t.Helper()
	dir := t.TempDir()
	return victim{dir, realMem0(t, filepath.Join(dir, "mem0")), queue}
}

// undisturbed is what a service that is never killed leaves.
func undisturbed(t *testing.T) aftermath {
	t.Helper()
	want := newVictim(t, queueEmbedded).survive(t)
	if want.Certificate != "requested 90 found 90 erased 90 absent 0 unattributable 12 rounds 2 purged" ||
		cmp.Diff(want.Entries, map[string]int{"erasure.accepted/v1": 1, "erasure.completed/v1": 1}) != "" {
		t.Fatalf("undisturbed: %s, %v", want.Certificate, want.Entries)
	}
	return want
}

// atOnce is how many services are killed at the same time: they mostly wait.
const atOnce = 5

// allKilled tries every list of plans, each on a victim of its own.
func allKilled(t *testing.T, want aftermath, queue func(*testing.T) string, lists [][]string) {
	t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, plans := range lists {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(strings.ReplaceAll(strings.Join(plans, ", then "), " ", "_"), func(t *testing.T) {
				v := newVictim(t, queue(t))
				for _, plan := range plans {
					v.killed(t, plan)
				}
				if diff := cmp.Diff(want, v.survive(t)); diff != "" {
					t.Errorf("(-undisturbed +killed)\n%s", diff)
				}
			})
		})
	}
	wg.Wait()
}

func embeddedQueue(*testing.T) string { return queueEmbedded }

// TestKillNineAtEachStep kills the service before and after the first call of
// each method that it may die in, over real files of Mem0.
func TestKillNineAtEachStep(t *testing.T) {
	t.Parallel()
	var lists [][]string
	for _, call := range []string{
		"Accept", "Claim", "Selector", "Replan", "Count", "Find", "Freeze", "Planned", "Begin", "Fence", "Erase", "Remaining", "Finish",
		"Job", "Batches", "Residue", "Verified", "Purge", "Purged", "Record", "Complete",
	} {
		for _, when := range []string{"before", "after"} {
			lists = append(lists, []string{fmt.Sprintf("%s %s 1", call, when)})
		}
	}
	allKilled(t, undisturbed(t), embeddedQueue, lists)
}

// TestKillNineInTheSecondRoundAndInRecovery kills later calls, and kills again
// what takes up after a kill.
func TestKillNineInTheSecondRoundAndInRecovery(t *testing.T) {
	t.Parallel()
	allKilled(t, undisturbed(t), embeddedQueue, [][]string{
		{"Planned before 2"},
		{"Planned after 2"},
		{"Erase before 2"},
		{"Erase after 2"},
		{"Finish before 2"},
		{"Finish after 2"},
		{"Accept after 1", "Planned before 1", "Erase after 1", "Finish before 1", "Complete before 1"},
		{"Erase after 1", "Erase after 1", "Erase after 1", "Erase after 1"},
		{"Freeze after 1", "Freeze after 1", "Planned after 1"},
		{"Residue after 1", "Freeze after 1", "Erase after 1"},
		{"Purge after 1", "Purge after 1", "Purged after 1", "Complete after 1"},
	})
}

// TestKillNineWithRedis leaves tasks in a Redis that outlives the service.
func TestKillNineWithRedis(t *testing.T) {
	t.Parallel()
	redis := func(t *testing.T) string { return queuetest.Redis(t).URL() }
	allKilled(t, undisturbed(t), redis, [][]string{
		{"Accept after 1"},
		{"Claim before 1"},
		{"Claim after 1"},
		{"Erase after 1"},
		{"Finish after 1"},
		{"Purged before 1"},
		{"Complete before 1"},
		{"Complete after 1"},
		{"Planned after 1", "Finish before 1"},
	})
}

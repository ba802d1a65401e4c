//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A target is one of the product's fuzz targets.
type target struct{ pkg, name string }

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// targets returns every fuzz target of the module, so that a new one is fuzzed
// without being listed anywhere.
func targets(root string) ([]target, error) {
	var list []target
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "deploy" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, m := range fuzzFunc.FindAllSubmatch(text, -1) {
			list = append(list, target{pkg, string(m[1])})
		}
		return nil
	})
	slices.SortFunc(list, func(a, b target) int { return strings.Compare(a.pkg+a.name, b.pkg+b.name) })
	return list, err
}

// fuzzTime is how long a target is fuzzed, if there is time for all of them.
func fuzzTime(size string) time.Duration {
	return map[string]time.Duration{"smoke": 3 * time.Second, "full": 8 * time.Second, "long": time.Hour}[size]
}

// fuzzAtOnce is how many targets are fuzzed at the same time, each by one worker.
const fuzzAtOnce = 2

// fuzzLane fuzzes each target for a while. What a target fails with is kept in
// its package's testdata, where every test run tries it again from then on.
func fuzzLane(ctx context.Context, r *run) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	all, err := targets(root)
	if err != nil {
		return err
	}
	if len(all) < 10 {
		return fmt.Errorf("%w: only %d fuzz targets were found", errFound, len(all))
	}
	if r.size != "smoke" && r.number == 0 {
		r.n = len(all)
	}
	f, err := newFuzzer(ctx, root, r.dir)
	if err != nil {
		return err
	}
	chosen := func(number int) target {
		if r.size == "smoke" && r.only < 0 { // others each time the seed is another
			number += int(r.seed)
		}
		return all[number%len(all)]
	}
	f.long = fuzzTime(r.size)
	if r.only < 0 {
		if err := f.compile(ctx, min(r.n, len(all)), chosen); err != nil {
			return err
		}
		f.long = r.turns(f.long, r.n)
		r.until = time.Time{} // every target has its turn, if a short one
	}
	r.cases(ctx, fuzzAtOnce, func(ctx context.Context, c *kase) error {
		t := chosen(c.number)
		n, err := f.fuzz(ctx, t, f.long)
		if err == nil && n == 0 { // it took all its time to try again what it knows
			n, err = f.fuzz(ctx, t, 5*f.long)
		}
		if err == nil && n == 0 {
			err = errors.New("nothing was tried")
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", t.name, t.pkg, err)
		}
		c.tally("executions", n)
		return nil
	})
	r.remark("fuzz targets", fmt.Sprintf("%d of %d, for %s each", min(r.result.Cases, len(all)), len(all), f.long))
	return nil
}

// turns returns how long each of n targets may take so that all of them have
// their turn in the time that the lane has; at least three seconds.
func (r *run) turns(long time.Duration, n int) time.Duration {
	if r.until.IsZero() {
		return long
	}
	rounds := (n + fuzzAtOnce - 1) / fuzzAtOnce
	each := time.Until(r.until)/time.Duration(rounds) - 500*time.Millisecond // to start and to end
	return min(long, max(each, 3*time.Second)).Truncate(100 * time.Millisecond)
}

// A fuzzer fuzzes targets of packages whose tests it has compiled, once, so
// that they tell it which code they reach.
type fuzzer struct {
	root, dir, cache string
	long             time.Duration

	mu    sync.Mutex
	tests map[string]func() error // compiles a package's tests
}

func newFuzzer(ctx context.Context, root, dir string) (*fuzzer, error) {
	text, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("ask where fuzzing keeps its finds: %w", err)
	}
	return &fuzzer{root: root, dir: dir, cache: filepath.Join(strings.TrimSpace(string(text)), "fuzz", "lethe"), tests: map[string]func() error{}}, nil
}

// compile compiles what the first n targets need.
func (f *fuzzer) compile(ctx context.Context, n int, chosen func(int) target) error {
	var all sync.WaitGroup
	errs := make([]error, fuzzAtOnce)
	for worker := range errs {
		all.Go(func() {
			for i := worker; i < n; i += fuzzAtOnce {
				errs[worker] = errors.Join(errs[worker], f.ready(ctx, chosen(i).pkg))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (f *fuzzer) binary(pkg string) string {
	return filepath.Join(f.dir, "fuzz-"+strings.ReplaceAll(pkg, "/", "-"))
}

// ready compiles the tests of a package, unless they are.
func (f *fuzzer) ready(ctx context.Context, pkg string) error {
	f.mu.Lock()
	one := f.tests[pkg]
	if one == nil {
		one = sync.OnceValue(func() error {
			cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-fuzz=.", "-o", f.binary(pkg), "./"+pkg)
			cmd.Dir = f.root
			if text, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("compile the fuzz targets of %s: %w\n%s", pkg, err, tail(string(text), 12))
			}
			return nil
		})
		f.tests[pkg] = one
	}
	f.mu.Unlock()
	return one()
}

var fuzzExecs = regexp.MustCompile(`execs: (\d+)`)

// fuzz runs one target and returns how often it was tried.
func (f *fuzzer) fuzz(ctx context.Context, t target, long time.Duration) (int, error) {
	if err := f.ready(ctx, t.pkg); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, f.binary(t.pkg), "-test.run", "^$", "-test.fuzz", "^"+t.name+"$", "-test.fuzztime", long.String(),
		"-test.fuzzminimizetime", "5s", "-test.parallel", "1", "-test.fuzzcachedir", filepath.Join(f.cache, t.pkg))
	cmd.Dir = filepath.Join(f.root, t.pkg)
	cmd.WaitDelay = 5 * time.Second
	text, err := cmd.CombinedOutput()
	n := 0
	if all := fuzzExecs.FindAllSubmatch(text, -1); len(all) > 0 {
		n, _ = strconv.Atoi(string(all[len(all)-1][1]))
	}
	if err != nil && !timeOut(string(text)) {
		return n, fmt.Errorf("%w\n%s", err, tail(string(text), 25))
	}
	return n, nil
}

// timeOut reports whether fuzzing failed with nothing but the end of its time,
// as Go's does if that comes at a bad moment.
func timeOut(text string) bool {
	return strings.Contains(text, "context deadline exceeded") && !strings.Contains(text, "Failing input written") && !strings.Contains(text, "panic")
}

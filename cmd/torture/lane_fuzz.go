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
	time := map[string]string{"smoke": "3s", "full": "8s", "long": "1h"}[r.size]
	r.cases(ctx, 1, func(ctx context.Context, c *kase) error {
		t := all[c.number%len(all)]
		if r.size == "smoke" && r.only < 0 { // others each time the seed is another
			t = all[(c.number+int(r.seed))%len(all)]
		}
		n, err := t.fuzz(ctx, root, time)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", t.name, t.pkg, err)
		}
		c.tally("executions", n)
		return nil
	})
	r.remark("fuzz targets", fmt.Sprintf("%d, for %s each", len(all), time))
	return nil
}

var fuzzExecs = regexp.MustCompile(`execs: (\d+)`)

// fuzz runs one target and returns how often it was tried.
func (t target) fuzz(ctx context.Context, root, long string) (int, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", long, "-fuzzminimizetime", "5s", "-parallel", "2", "./"+t.pkg)
	cmd.Dir = root
	cmd.WaitDelay = 5 * time.Second
	text, err := cmd.CombinedOutput()
	n := 0
	if all := fuzzExecs.FindAllSubmatch(text, -1); len(all) > 0 {
		n, _ = strconv.Atoi(string(all[len(all)-1][1]))
	}
	switch {
	case err != nil:
		return n, fmt.Errorf("%w\n%s", err, tail(string(text), 25))
	case n == 0:
		return n, errors.New("nothing was tried")
	}
	return n, nil
}

//go:build torture

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A mutant is a planted bug and the cheapest thing that claims to catch it: a
// scene of a lane, or the promise that a test holds.
type mutant struct {
	bug   string
	scene *scene
	check string // package and test, such as "worker TestX"
	run   *rerun
}

// A scene is a case of a lane that is made for something.
type scene struct {
	lane  string // "kill" or "redis"
	story story
	tries int
}

// bugsAtOnce is how many are tried at the same time.
const bugsAtOnce = 4

// bugsLane fails if a planted bug survives, or if what should catch it objects
// without it too.
func bugsLane(ctx context.Context, r *run) error {
	all := append(mutants(), insideMutants()...)
	if r.n == 0 || r.n > len(all) {
		r.n = len(all)
	}
	pick := func(number int) mutant {
		if r.size == "smoke" && r.only < 0 { // others each time the seed is another
			number = (number*len(all)/r.n + int(r.seed)) % len(all)
		}
		return all[number]
	}
	var needed []mutant // whose tests have to be compiled
	for i := range r.n {
		needed = append(needed, pick(i))
	}
	if r.only >= 0 && r.only < len(all) {
		needed = all[r.only : r.only+1]
	}
	checks, err := r.compileChecks(ctx, needed)
	if err != nil {
		return err
	}
	if r.size != "smoke" {
		r.until = time.Time{} // to miss one would be to miss all: they take some minutes
	}
	r.result.Caught = map[string]string{}
	r.cases(ctx, bugsAtOnce, func(ctx context.Context, c *kase) error {
		m := pick(c.number)
		by, err := c.hunt(ctx, m, checks)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.result.Caught[m.bug] = by
		return nil
	})
	r.tally("planted bugs caught", len(r.result.Caught))
	return nil
}

// hunt returns what caught a planted bug, or an error if nothing did.
func (c *kase) hunt(ctx context.Context, m mutant, checks map[string]string) (string, error) {
	if m.check != "" {
		return c.check(ctx, m, checks)
	}
	if m.run != nil {
		return c.rerun(ctx, m)
	}
	for try := range m.scene.tries {
		err := c.play(ctx, m.scene, try, m.bug)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err == nil {
			continue
		}
		caught, objects := c.control(ctx, m, try, err)
		if objects != nil {
			return "", fmt.Errorf("what should catch %s objects without it, too: %w", m.bug, objects)
		}
		if caught {
			first, _, _ := strings.Cut(err.Error(), "\n")
			return fmt.Sprintf("lane %s: %s", m.scene.lane, shorten(first)), nil
		}
	}
	return "", fmt.Errorf("THE PLANTED BUG %s SURVIVED %d cases of lane %s", m.bug, m.scene.tries, m.scene.lane)
}

// control plays the scene without the bug, and reports whether what was found
// with it is the bug's doing. On a busy machine the scene may not end in its
// time without the bug either: then both are played once more, with all the
// time there is. Only what objects to the control then is an error.
func (c *kase) control(ctx context.Context, m mutant, try int, found error) (caught bool, objects error) {
	of := *m.scene
	if !errors.Is(found, errUnfinished) { // so time has no part in it
		of.story.limit = 0
	}
	err := c.play(ctx, &of, try, "")
	if err == nil || of.story.limit == 0 {
		return err == nil, err
	}
	of.story.limit = 0
	if objects = c.play(ctx, &of, try, ""); objects != nil {
		return false, objects
	}
	return c.play(ctx, &of, try, m.bug) != nil, nil
}

// play runs a scene with a bug in the service, or with none.
func (c *kase) play(ctx context.Context, of *scene, try int, bug string) error {
	dir := filepath.Join(c.dir, fmt.Sprintf("%d-%s-%d", try, strings.ReplaceAll(cmp.Or(bug, "control"), "/", "-"), of.story.limit))
	c = &kase{run: c.run, number: c.number, rng: c.rand(1000*c.number + try), dir: dir}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return err
	}
	s := of.story
	s.bugs = []string{bug}
	if of.lane == "redis" {
		var chosen []disaster
		for _, d := range disasters() {
			if d.name == s.disaster { // more than once: there must be something to lose
				chosen = append(chosen, d, d, d, d)
			}
		}
		return c.upset(ctx, chosen, s)
	}
	var blows []blow
	for _, plan := range s.plans {
		blows = append(blows, blow{plan: plan})
	}
	return c.killed(ctx, blows, s)
}

// shorten leaves out of a finding what differs from run to run.
func shorten(text string) string {
	if len(text) > 90 {
		text = text[:90] + "…"
	}
	return text
}

// check runs one test of the product, compiled with the tag, with the bug.
func (c *kase) check(ctx context.Context, m mutant, checks map[string]string) (string, error) {
	pkg, test, _ := strings.Cut(m.check, " ")
	if text, err := runCheck(ctx, checks[pkg], pkg, test, ""); err != nil {
		return "", fmt.Errorf("%s fails without any planted bug: %w\n%s", m.check, err, tail(text, 12))
	}
	text, err := runCheck(ctx, checks[pkg], pkg, test, m.bug)
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		return "", fmt.Errorf("THE PLANTED BUG %s SURVIVED %s\n%s", m.bug, m.check, tail(text, 5))
	}
	return "test " + m.check, nil
}

func runCheck(ctx context.Context, binary, pkg, test, bug string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^"+test+"$", "-test.timeout", "150s")
	cmd.Dir = pkg
	cmd.Env = append(os.Environ(), "LETHE_BUG="+bug)
	text, err := cmd.CombinedOutput()
	if strings.Contains(string(text), "no tests to run") {
		return string(text), errors.New("there is no such test")
	}
	return string(text), err
}

// compileChecks compiles the tests that are needed, with the tag.
func (r *run) compileChecks(ctx context.Context, all []mutant) (map[string]string, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(root); err != nil {
		return nil, err
	}
	made := map[string]string{}
	for _, m := range all {
		pkg, _, _ := strings.Cut(m.check, " ")
		if pkg == "" || made[pkg] != "" {
			continue
		}
		made[pkg] = filepath.Join(r.dir, strings.ReplaceAll(pkg, "/", "-")+".test")
		build := exec.CommandContext(ctx, "go", "test", "-tags", "torture", "-c", "-o", made[pkg], "./"+pkg)
		if text, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compile the tests of %s: %w\n%s", pkg, err, text)
		}
	}
	return made, nil
}

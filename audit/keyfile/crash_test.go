package keyfile_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/audit/keyfile"
)

var errStopped = errors.New("stopped")

// unsynced takes a step but leaves out the syncs, which a kill does not need.
func unsynced(name string, do func() error) error {
	if strings.HasPrefix(name, "sync") {
		return nil
	}
	return do()
}

// stopAt runs act and stops it before its step n, as a kill or as an error of
// the disk. It reports whether act got that far.
func stopAt(t *testing.T, f keyfile.File, n int, kill bool, act func(keyfile.File) error) (stopped bool) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil && r != any(errStopped) {
			panic(r)
		}
	}()
	step := 0
	err := act(f.Stopping(func(name string, do func() error) error {
		step++
		switch {
		case step <= n:
			return unsynced(name, do)
		case kill:
			stopped = true
			panic(errStopped)
		case step == n+1:
			stopped = true
			return errStopped
		}
		return unsynced(name, do)
	}))
	if !stopped && err != nil || stopped && !errors.Is(err, errStopped) {
		t.Fatalf("step %d: err = %v", n, err)
	}
	return stopped
}

// A change is a call that changes files, from a state that prepare makes.
type change struct {
	name    string
	prepare func(t *testing.T, f keyfile.File)
	act     func(f keyfile.File) error
	between func(t *testing.T, f keyfile.File, was state) // what must hold when it was stopped
	after   func(t *testing.T, f keyfile.File, was state) // and when it was called again
}

// A state is the keys before a change.
type state struct{ key, next string }

func changes() []change {
	has := func(t *testing.T, f keyfile.File) { open(t, f, origin) }
	rotates := func(t *testing.T, f keyfile.File) { has(t, f); makeNext(t, f) }
	const second = "log.example/second"
	replace := func(f keyfile.File) error { _, err := f.Replace(second, ""); return err }
	replaced := func(t *testing.T, f keyfile.File, was state) {
		k := open(t, f, second)
		retired := []string{was.key}
		if was.next != "" {
			retired = append(retired, was.next)
		}
		check(t, f, k.Verifier, "", retired...)
	}
	oldOrReplaced := func(t *testing.T, f keyfile.File, was state) {
		k := open(t, f, "")
		if k.Origin == second {
			replaced(t, f, was)
			return
		}
		next, err := f.Next()
		if err != nil || k.Verifier != was.key || was.next != "" && next.Verifier != was.next {
			t.Errorf("stopped: key %v, next %v, %v", k, next, err)
		}
	}
	return []change{
		{
			"Open", func(*testing.T, keyfile.File) {}, func(f keyfile.File) error { return reopen(f, origin) },
			func(*testing.T, keyfile.File, state) {},
			func(t *testing.T, f keyfile.File, _ state) { check(t, f, open(t, f, origin).Verifier, "") },
		},
		{
			"MakeNext", has, func(f keyfile.File) error { _, err := f.MakeNext(""); return err },
			func(t *testing.T, f keyfile.File, was state) {
				next, err := f.Next()
				if err != nil {
					t.Fatal(err)
				}
				verifier := ""
				if next != nil {
					verifier = next.Verifier
				}
				check(t, f, was.key, verifier)
			},
			func(t *testing.T, f keyfile.File, was state) { check(t, f, was.key, makeNext(t, f).Verifier) },
		},
		{
			"Promote", rotates, keyfile.File.Promote,
			func(t *testing.T, f keyfile.File, was state) {
				if k := open(t, f, ""); k.Verifier == was.next {
					check(t, f, was.next, "", was.key)
					return
				}
				next, err := f.Next()
				if err != nil || next.Verifier != was.next || open(t, f, "").Verifier != was.key {
					t.Errorf("stopped: next key %v, %v, want %s", next, err, was.next)
				}
				if retired, err := f.Retired(); err != nil || len(retired) > 0 {
					t.Errorf("stopped: retired %q, %v, with the old key in force", retired, err)
				}
			},
			func(t *testing.T, f keyfile.File, was state) { check(t, f, was.next, "", was.key) },
		},
		{"Replace", has, replace, oldOrReplaced, replaced},
		{"Replace during a rotation", rotates, replace, oldOrReplaced, replaced},
	}
}

// begin returns a file in the state from which c starts.
func (c change) begin(t *testing.T) (keyfile.File, state) {
	t.Helper()
	f := newFile(t).Stopping(unsynced)
	c.prepare(t, f)
	var was state
	if len(beside(t, f)) > 0 {
		was.key = open(t, f, "").Verifier
		if next, err := f.Next(); err != nil {
			t.Fatal(err)
		} else if next != nil {
			was.next = next.Verifier
		}
	}
	return f, was
}

// keysGone makes sure that no file holds a private key that is not one of
// those in force or next.
func keysGone(t *testing.T, f keyfile.File) {
	t.Helper()
	for _, name := range beside(t, f) {
		if name != "" && name != ".next" && strings.Contains(read(t, f.Path+name), "PRIVATE") {
			t.Errorf("%s holds a private key", name)
		}
	}
}

func TestAKillBeforeAnyStepIsMadeUpFor(t *testing.T) {
	for _, c := range changes() {
		for _, way := range []struct{ kill, look bool }{{true, true}, {true, false}, {false, false}} {
			t.Run(fmt.Sprintf("%s %v", c.name, way), func(t *testing.T) {
				t.Parallel()
				kill, look := way.kill, way.look
				n := 0
				for ; ; n++ {
					f, was := c.begin(t)
					var destroyed []func()
					for _, name := range beside(t, f) {
						if (c.name != "MakeNext" && name == "") || (name == ".next" && c.name != "Promote") {
							destroyed = append(destroyed, watch(t, f.Path+name))
						}
					}
					if !stopAt(t, f, n, kill, c.act) {
						break
					}
					if look {
						c.between(t, f, was)
					}
					if err := c.act(f); err != nil {
						t.Fatalf("%s, stopped at step %d, look %v: again: %v", c.name, n, look, err)
					}
					c.after(t, f, was)
					keysGone(t, f)
					for _, d := range destroyed {
						d()
					}
					if t.Failed() {
						t.Fatalf("%s, stopped at step %d, kill %v, look %v", c.name, n, kill, look)
					}
				}
				if n < 6 {
					t.Errorf("%s has %d steps: the test sees too few", c.name, n)
				}
			})
		}
	}
}

// TestTwoKillsInARowAreMadeUpFor takes every 17th pair of steps; all of them
// take a minute.
func TestTwoKillsInARowAreMadeUpFor(t *testing.T) {
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stopped := true
			for n := 0; stopped; n++ {
				for m := n % 17; ; m += 17 {
					f, was := c.begin(t)
					if stopped = stopAt(t, f, n, true, c.act); !stopped {
						break
					}
					again := stopAt(t, f, m, true, c.act)
					if err := c.act(f); err != nil {
						t.Fatalf("%s, stopped at steps %d and %d: %v", c.name, n, m, err)
					}
					c.after(t, f, was)
					if t.Failed() {
						t.Fatalf("%s, stopped at steps %d and %d", c.name, n, m)
					}
					if !again {
						break
					}
				}
			}
		})
	}
}

// TestAnAbandonedPromotionIsTakenBack removes the next key where a promotion
// was stopped before it came into force.
func TestAnAbandonedPromotionIsTakenBack(t *testing.T) {
	for n := 0; ; n++ {
		f := newFile(t)
		k := open(t, f, origin)
		makeNext(t, f)
		if !stopAt(t, f, n, true, keyfile.File.Promote) || open(t, f, origin).Verifier != k.Verifier {
			break
		}
		if err := os.Remove(f.Path + ".next"); err != nil {
			t.Fatal(err)
		}
		if err := f.Promote(); err != nil {
			t.Fatal(err)
		}
		check(t, f, k.Verifier, "")
	}
}

// TestAStagedSuccessorOfAnotherOriginIsNotUsed stops a succession and begins
// another.
func TestAStagedSuccessorOfAnotherOriginIsNotUsed(t *testing.T) {
	for n := 0; ; n++ {
		f := newFile(t)
		old := open(t, f, origin)
		first := func(f keyfile.File) error { _, err := f.Replace("log.example/first", ""); return err }
		if !stopAt(t, f, n, true, first) || open(t, f, "").Verifier != old.Verifier {
			break
		}
		k, err := f.Replace("log.example/second", "")
		if err != nil || k.Origin != "log.example/second" {
			t.Fatalf("Replace = %v, %v", k, err)
		}
		check(t, f, k.Verifier, "", old.Verifier)
	}
}

func TestAStrangePublicHalfStopsARotationThatWasKilled(t *testing.T) {
	for n := 0; ; n++ {
		f := newFile(t)
		old := open(t, f, origin)
		makeNext(t, f)
		if !stopAt(t, f, n, true, keyfile.File.Promote) {
			break
		}
		if slices.Contains(beside(t, f), retiredName(old.Verifier)) {
			break // the public half has followed
		}
		write(t, f.Path+".pub", "other\n")
		if err := reopen(f, ""); err == nil {
			t.Errorf("stopped at step %d: opened beside another public key", n)
		}
	}
}

func TestATornOverwriteIsCarriedOut(t *testing.T) {
	f := newFile(t)
	old := open(t, f, origin)
	text := read(t, f.Path)
	next := makeNext(t, f)
	if err := f.Promote(); err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{"\x00" + text[1:], text[:len(text)/2] + strings.Repeat("\x00", 50)} {
		write(t, f.Path+".retiring", torn)
		destroyed := watch(t, f.Path+".retiring")
		check(t, f, next.Verifier, "", old.Verifier)
		destroyed()
	}
	// What is no key of ours is not ours to destroy.
	write(t, f.Path+".retiring", "notes\n")
	if err := reopen(f, ""); err == nil || read(t, f.Path+".retiring") != "notes\n" {
		t.Error(fmt.Errorf("a file that is no key: %w", err))
	}
}

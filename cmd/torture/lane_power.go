//go:build torture

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const (
	cutsPerCase   = 50 // power cuts in the life of one ledger
	errorsPerCase = 10 // I/O errors, each in a life of its own
)

// powerLane runs the ledger and the log over a disk whose cache is lost with
// the power, and whose operations fail. The world outside, which had been told
// what was done, remembers.
func powerLane(ctx context.Context, r *run) error {
	seed, err := newSeedling(ctx, r)
	if err != nil {
		return err
	}
	r.cases(ctx, 2, func(ctx context.Context, c *kase) error {
		l, err := seed.live(ctx, c)
		if err != nil {
			return fmt.Errorf("before any cut: %w", err)
		}
		for i := range cutsPerCase {
			if err := l.cut(ctx, i); err != nil {
				return err
			}
		}
		lost, err := l.control(ctx)
		if err != nil {
			return err
		}
		c.tally("cuts of a disk that lies", 1)
		if lost {
			c.tally("of which lost something, as they should", 1)
		}
		for i := range errorsPerCase {
			if err := seed.sweep(ctx, c, c.number*errorsPerCase+i); err != nil {
				return err
			}
		}
		return nil
	})
	if n, lost := r.figure("cuts of a disk that lies"), r.figure("of which lost something, as they should"); 2*lost < n && n > 1 {
		return fmt.Errorf("%w: of %d cuts of a disk that lies only %d lost anything", errFound, n, lost)
	}
	if n, of := r.figure("I/O errors"), seed.operations*len(diskTroubles()); n > 0 && r.only < 0 {
		r.remark("I/O errors", fmt.Sprintf("%d lives, of %d: each of %d operations of a request's life, %d kinds of trouble", n, of, seed.operations, len(diskTroubles())))
	}
	return nil
}

// figure returns one of the lane's figures.
func (r *run) figure(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result.Counts[name]
}

// remark says something in words.
func (r *run) remark(what, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Measured == nil {
		r.result.Measured = map[string]string{}
	}
	r.result.Measured[what] = text
}

// A seedling is a new home, which is copied rather than built each time.
type seedling struct {
	dir        string
	operations int // of the disk, in the life that errors are swept over
}

func newSeedling(ctx context.Context, r *run) (*seedling, error) {
	s := &seedling{dir: filepath.Join(r.dir, "seedling")}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	h, err := openHome(ctx, s.dir, newSlowClock(), "a", "b")
	if err != nil {
		return nil, err
	}
	if err := h.close(); err != nil {
		return nil, err
	}
	return s, s.rehearse(ctx, r)
}

// plant copies the seedling into dir.
func (s *seedling) plant(dir string) error {
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Join(dir, "keys"), filepath.Join(dir, "keys", "seal"), filepath.Join(dir, "keys", "subject")} {
		if err := os.Chmod(d, 0o700); err != nil { //nolint:gosec // a folder
			return err
		}
	}
	return os.Chmod(filepath.Join(dir, "log.key"), 0o600)
}

// keysOf returns all key files of a home by name.
func keysOf(dir string) (map[string][]byte, error) {
	keys := map[string][]byte{}
	for _, kind := range []string{"seal", "subject"} {
		entries, err := os.ReadDir(filepath.Join(dir, "keys", kind))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := filepath.Join("keys", kind, e.Name())
			if keys[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	return keys, nil
}

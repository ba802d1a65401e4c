//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lethe/jobs/api"
	"lethe/store"
)

// returnedAt: another of the cases of lane kill is about a person whom a restored
// backup brings back.
const returnedAt = 12

// ofReturns are the points that are passed only where something comes back, or the
// key of a month is destroyed.
func ofReturns() []string {
	return []string{"jobs/came-back", "jobs/epoch-destroyed", "jobs/replay-found", "jobs/watch-taken", "ledger/looks-answered"}
}

func isOfReturns(point string) bool { return slices.Contains(ofReturns(), point) }

// returned is one case: a person is forgotten, a backup of the store is put back, and
// the service dies when it comes to a point, while it finds, files or supersedes. The
// life after it has the person erased again, once, and nobody else is touched.
func (c *kase) returned(ctx context.Context, point string) error {
	w, err := makeWorld(ctx, c.rng, c.dir, scale{stores: 1, people: 6, each: 3})
	if err != nil {
		return fmt.Errorf("make world: %w", err)
	}
	h, err := c.house(w, settings{queue: "embedded", purge: "off", extra: "suppression: {watch: [1s]}\n"})
	if err != nil {
		return err
	}
	c.note("what comes back, and a kill at %s", point)
	in := w.stores[0]
	home, backup := filepath.Dir(in.files.Vectors), filepath.Join(c.dir, "backup")
	if err := os.CopyFS(backup, os.DirFS(home)); err != nil {
		return err
	}
	first, err := h.once(ctx, func(l *life) (string, error) {
		answer, _, err := l.client.Submit(ctx, api.Submission{Selector: store.Selector{UserID: w.people[0]}})
		return answer.ID, err
	})
	if err != nil {
		return err
	}
	without, err := in.snapshot(ctx)
	if err == nil {
		err = errors.Join(os.RemoveAll(home), os.CopyFS(home, os.DirFS(backup)))
	}
	if err == nil && point == "jobs/epoch-destroyed" { // of a month that was over long ago
		err = os.WriteFile(filepath.Join(c.dir, "data", "keys", "epoch", "2020-01"), make([]byte, 32), 0o600)
	}
	if err != nil {
		return err
	}
	if err := h.dieAt(ctx, point); err != nil {
		return err
	}
	again, err := h.once(ctx, func(l *life) (string, error) { return h.eraseAgain(ctx, l, first, point) })
	if err != nil {
		return err
	}
	after, err := in.snapshot(ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(without, after) {
		return fmt.Errorf("killed at %s: after request %s the store is not as it was when %s was done: %d rows, %d then", point, again, first, len(after), len(without))
	}
	if point == "jobs/epoch-destroyed" {
		if _, err := os.Stat(filepath.Join(c.dir, "data", "keys", "epoch", "2020-01")); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the key of a month long over is still there: %w", err)
		}
	}
	c.tally("people brought back by a backup, and erased again", 1)
	return nil
}

// once is a life that serves until a request has ended, and stops in good order.
func (h *house) once(ctx context.Context, file func(*life) (id string, err error)) (id string, err error) {
	l, err := h.start(ctx, "")
	if err != nil {
		return "", err
	}
	defer func() { h.count(h.passes(l)) }()
	if l.dead() {
		return "", fmt.Errorf("the service has died by itself: %w\n%s", l.err, h.lastWords())
	}
	if id, err = file(l); err == nil {
		err = h.sees(ctx, "the request ends", func() (bool, error) {
			r, err := l.client.Request(ctx, id)
			return err == nil && r.CompletedAt != nil, err
		})
	}
	return id, errors.Join(err, h.stop(l))
}

// dieAt is a life that dies at a point of what comes back.
func (h *house) dieAt(ctx context.Context, point string) error {
	l, err := h.start(ctx, point+":1:kill")
	if err != nil {
		return err
	}
	if !l.dead() && point == "jobs/replay-found" {
		_, _ = l.client.Replay(ctx, h.world.stores[0].name, time.Time{}, false) // it gets no answer
	}
	err = h.sees(ctx, "the service dies at "+point, func() (bool, error) { return l.dead(), nil })
	h.set(nil)
	if err != nil {
		l.kill()
	}
	all := h.passes(l)
	h.count(all)
	if err == nil && !slices.ContainsFunc(all, func(p pass) bool { return p.point == point && p.action == "kill" }) {
		err = fmt.Errorf("the service has died, and not at %s: %w\n%s", point, l.err, h.lastWords())
	}
	return err
}

// eraseAgain returns the request that erases what came back, of which there is one.
func (h *house) eraseAgain(ctx context.Context, l *life, first, point string) (id string, err error) {
	if point == "jobs/replay-found" {
		if _, err := l.client.Replay(ctx, h.world.stores[0].name, time.Time{}, false); err != nil {
			return "", err
		}
	}
	err = h.sees(ctx, "what came back is filed", func() (bool, error) {
		var filed []string
		for r, err := range l.client.List(ctx) {
			if err != nil {
				return false, err
			}
			if r.ID != first {
				filed = append(filed, r.ID)
			}
		}
		if len(filed) > 2 { // a replay and a watch may both have found it
			return false, fmt.Errorf("filed %d times", len(filed))
		}
		if len(filed) > 0 {
			id = filed[0]
		}
		return len(filed) > 0, nil
	})
	return id, err
}

// sees waits for what must happen within the lab's time for all.
func (h *house) sees(ctx context.Context, what string, ok func() (bool, error)) error {
	var last error
	for end := time.Now().Add(stretched(2 * h.limit)); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		done, err := ok()
		if done {
			return nil
		}
		if last = err; err != nil && strings.HasPrefix(err.Error(), "filed ") {
			return err
		}
	}
	return fmt.Errorf("never: %s: %w", what, errors.Join(last, ctx.Err()))
}

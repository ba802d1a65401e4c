//go:build torture

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/worker"
)

// A told is all that the world had been told at one moment of a ledger's life.
type told struct {
	operations int                    // of the disk by then
	keys       map[string][]byte      // key files
	store      map[store.ID]string    // the rows of the store, which has its own disk
	history    map[string]int         // and what hangs on them
	head       []byte                 // the log's signed head
	status     map[string]jobs.Status // of each request that was acknowledged
	files      map[string][]byte      // certificates that were handed out
}

// A cutLife is the life of a ledger whose power is cut afterwards, at any of its
// moments, again and again.
type cutLife struct {
	*kase
	dir     string
	disk    *disk
	h       *home
	store   *liar
	people  map[string]int // rows of the person whom each request is about
	cancels map[string]bool
	told    []told
	erased  []told // the store, after each Erase: its disk loses nothing
	changes []change
}

// live lets a home do its work for some requests, and writes down all that it
// tells the world.
func (s *seedling) live(ctx context.Context, c *kase) (*cutLife, error) {
	l := &cutLife{kase: c, dir: filepath.Join(c.dir, "life"), people: map[string]int{}, cancels: map[string]bool{}}
	if err := s.plant(l.dir); err != nil {
		return nil, err
	}
	var err error
	if l.disk, err = newDisk(l.dir); err != nil {
		return nil, err
	}
	defer l.disk.close()
	if l.h, err = openHome(ctx, l.dir, newSlowClock(), "a"); err != nil {
		return nil, err
	}
	defer l.h.close() // what it leaves is what is looked at
	l.store = honest(l.h)
	l.store.erased = func() {
		l.erased = append(l.erased, told{operations: l.disk.count(), store: maps.Clone(l.store.rows), history: maps.Clone(l.store.history)})
	}
	e := l.h.eraser("worker", map[string]store.Store{"a": l.store})
	if err := l.tell(ctx); err != nil {
		return nil, err
	}
	for range 30 + c.rng.IntN(40) {
		if err := l.step(ctx, e); err != nil {
			return nil, err
		}
		if err := l.tell(ctx); err != nil {
			return nil, err
		}
	}
	l.changes = l.disk.changes()
	return l, nil
}

// honest returns a store without faults.
func honest(h *home) *liar {
	s := newLiar(nil, h.clock.Now)
	s.subject, s.selected = func(string) bool { return false }, func(string) bool { return false }
	return s
}

// step is one thing that happens. It ends before it is told of.
func (l *cutLife) step(ctx context.Context, e *worker.Eraser) error {
	switch l.rng.IntN(10) {
	case 0, 1: // some ask at once, and are answered in one commit or several
		var all sync.WaitGroup
		errs := make([]error, 1+l.rng.IntN(3))
		ids := make([]string, len(errs))
		for i := range errs {
			user, n := fmt.Sprintf("%sperson-%d", canary, len(l.people)+i), 1+l.rng.IntN(4)
			for k := range n {
				l.store.put(fmt.Sprintf("%s-%d", user, k), user, false)
			}
			all.Go(func() {
				var r jobs.Request
				r, _, errs[i] = l.h.intake.Submit(ctx, jobs.Submission{By: jobs.ActorLocal, Origin: jobs.OriginAPI, Selector: store.Selector{UserID: user}})
				ids[i] = r.ID
			})
			defer func() { l.people[ids[i]] = n }()
		}
		all.Wait()
		return errors.Join(errs...)
	case 2:
		l.h.clock.add(time.Minute)
		return l.h.reconcile(ctx)
	case 3:
		for id := range l.people {
			if l.rng.IntN(20) == 0 {
				l.cancels[id] = true
				if _, err := l.h.intake.Cancel(ctx, jobs.ActorLocal, id); err != nil && !errors.Is(err, jobs.ErrTooLate) {
					return err
				}
				break
			}
		}
		return nil
	}
	l.h.windows["a"] = 1 // one task at a time: what is told afterwards is all that it did
	_, err := l.h.turn(ctx, e)
	return err
}

// tell writes down what the world knows now.
func (l *cutLife) tell(ctx context.Context) error {
	now := told{store: maps.Clone(l.store.rows), history: maps.Clone(l.store.history), status: map[string]jobs.Status{}, files: map[string][]byte{}}
	var err error
	if now.keys, err = keysOf(l.dir); err != nil {
		return err
	}
	size, err := l.h.ledger.Log().Size(ctx)
	if err != nil {
		return err
	}
	if size > 0 {
		if now.head, err = l.h.ledger.Log().Checkpoint(ctx); err != nil {
			return err
		}
	}
	for id := range l.people {
		r, err := l.h.intake.Request(ctx, jobs.ActorLocal, id)
		if err != nil {
			return err
		}
		now.status[id] = r.Status
		if r.Status.Ended() {
			if now.files[id], err = l.h.intake.Certificate(ctx, jobs.ActorLocal, id); err != nil {
				return err
			}
		}
	}
	now.operations = l.disk.count()
	l.told = append(l.told, now)
	return nil
}

// control cuts the power of a disk that says synced and did not. It reports
// whether something was lost: if nothing ever is, the lane would see nothing.
func (l *cutLife) control(ctx context.Context) (bool, error) {
	dir := filepath.Join(l.kase.dir, "control")
	defer os.RemoveAll(dir)
	last := len(l.told) - 1
	if err := l.image(dir, last, l.told[last].operations, 0.5, true); err != nil {
		return false, err
	}
	return l.look(ctx, dir, l.told[last]) != nil, nil
}

// cut cuts the power once, starts the machine again and looks.
func (l *cutLife) cut(ctx context.Context, number int) error {
	n := l.told[0].operations + l.rng.IntN(len(l.changes)-l.told[0].operations+1)
	odds := []float64{0, 0.1, 0.5, 0.9, 1}[l.rng.IntN(5)]
	i := 0
	for i+1 < len(l.told) && l.told[i+1].operations <= n {
		i++
	}
	dir := filepath.Join(l.kase.dir, fmt.Sprintf("cut-%d", number))
	defer os.RemoveAll(dir)
	if err := l.image(dir, i, n, odds, false); err != nil {
		return err
	}
	l.tally("cuts", 1)
	was := l.told[i]
	for _, e := range l.erased { // in the step that the cut was in
		if e.operations > was.operations && e.operations <= n {
			was.store, was.history = e.store, e.history
		}
	}
	if err := l.look(ctx, dir, was); err != nil {
		return fmt.Errorf("cut %d, after %d of %d operations, with %g of what was not synced: %w", number, n, len(l.changes), odds, err)
	}
	return nil
}

// image writes what the disks hold after a cut between two tellings.
func (l *cutLife) image(dir string, i, n int, odds float64, lies bool) error {
	for _, d := range []string{"keys/seal", "keys/subject"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	// A key is made before the first operation that needs it, and destroyed
	// after the last one of its step.
	for j := i; j <= i+1 && j < len(l.told); j++ {
		for name, key := range l.told[j].keys {
			if err := os.WriteFile(filepath.Join(dir, name), key, 0o600); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"keys/secret", "log.key"} {
		text, err := os.ReadFile(filepath.Join(l.dir, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return l.disk.cut(l.changes, n, dir, odds, lies, l.rng)
}

// look opens what the cut has left: all that was told is true, and all that was
// begun is finished.
func (l *cutLife) look(ctx context.Context, dir string, was told) error {
	h, err := openHome(ctx, dir, &slowClock{now: l.h.clock.Now().Add(time.Minute)}, "a")
	if err != nil {
		return fmt.Errorf("open it again: %w", err)
	}
	defer h.close() // it is thrown away
	var last []byte
	for _, earlier := range l.told {
		if earlier.operations > was.operations || bytes.Equal(earlier.head, last) {
			continue
		}
		last = earlier.head
		if err := h.ledger.Log().CheckPin(ctx, earlier.head); err != nil {
			return fmt.Errorf("the log does not extend a head that was given away: %w", err)
		}
	}
	if err := h.remembers(ctx, was); err != nil {
		return err
	}
	if l.rng.IntN(3) > 0 {
		return nil // the rest takes ten times as long
	}
	s := honest(h)
	for id, user := range was.store {
		s.place(id, user)
	}
	maps.Copy(s.history, was.history)
	if err := l.carryOn(ctx, h, s, was); err != nil {
		return err
	}
	l.tally("cuts after which all was finished", 1)
	return nil
}

// remembers reports whether all that was told is still so.
func (h *home) remembers(ctx context.Context, was told) error {
	for id, status := range was.status {
		r, err := h.intake.Request(ctx, jobs.ActorLocal, id)
		switch {
		case err != nil:
			return fmt.Errorf("a request that was acknowledged is lost: %w", err)
		case status.Ended() && r.Status != status:
			return fmt.Errorf("a request was %s and is %s", status, r.Status)
		}
		if !status.Ended() {
			continue
		}
		text, err := h.intake.Certificate(ctx, jobs.ActorLocal, id)
		if err != nil || !bytes.Equal(text, was.files[id]) {
			return fmt.Errorf("a certificate that was handed out is another one now, or lost: %w", err)
		}
	}
	return nil
}

// carryOn finishes what was begun, and compares it with what was there to do.
func (l *cutLife) carryOn(ctx context.Context, h *home, s *liar, was told) error {
	e := h.eraser("after", map[string]store.Store{"a": s})
	if _, err := h.ledger.Abandoned(ctx); err != nil {
		return err
	}
	if _, err := h.ledger.Forgotten(ctx, nil); err != nil {
		return err
	}
	for id := range was.status {
		if err := h.finish(ctx, e, id); err != nil {
			return err
		}
		entry, err := h.statement(ctx, id)
		if err != nil {
			return err
		}
		done, ok := entry.(*proof.Completed)
		switch {
		case !ok && !l.cancels[id]:
			return fmt.Errorf("a request ended as %s", entry.Kind())
		case ok && done.Stores[0].Erased != l.people[id]:
			return fmt.Errorf("the certificate says %d erased of %d", done.Stores[0].Erased, l.people[id])
		}
	}
	_, err := h.ledger.Log().Check(ctx)
	return err
}

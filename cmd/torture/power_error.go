//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// A trouble is a way in which a disk fails.
type trouble struct {
	name              string
	times, code, only int
}

// diskTroubles are all the ways: once, or for as long as somebody takes to
// notice.
func diskTroubles() []trouble {
	return []trouble{
		{"a write fails", 1, diskNoWrite, onlyWrites},
		{"a sync fails", 1, diskNoSync, onlySyncs},
		{"the disk is full for a while", 12, diskFull, onlyWrites},
		{"everything fails for a while", 12, diskNoWrite, anyOperation},
	}
}

// rehearse counts the operations of a life without trouble.
func (s *seedling) rehearse(ctx context.Context, r *run) error {
	c := &kase{run: r, dir: filepath.Join(r.dir, "rehearsal")}
	defer os.RemoveAll(c.dir)
	l := &errorLife{kase: c, dir: c.dir}
	if err := l.live(ctx, s, 0, trouble{}); err != nil {
		return fmt.Errorf("without any trouble: %w", err)
	}
	s.operations = l.operations
	return nil
}

// sweep lives a request's life with one of all troubles, at one of all
// operations.
func (s *seedling) sweep(ctx context.Context, c *kase, number int) error {
	all := diskTroubles()
	t, at := all[number%len(all)], number/len(all)%s.operations+1
	l := &errorLife{kase: c, dir: filepath.Join(c.dir, "errors")}
	defer os.RemoveAll(l.dir)
	if err := l.live(ctx, s, at, t); err != nil {
		return fmt.Errorf("%s at operation %d: %w", t.name, at, err)
	}
	c.tally("I/O errors", 1)
	if l.reported == 0 {
		c.tally("I/O errors that SQLite or Lethe got over unnoticed", 1)
	}
	c.tally("restarts that an I/O error made necessary", l.restarts)
	return nil
}

// An errorLife is a request's life on a disk that fails somewhere in it.
type errorLife struct {
	*kase
	dir        string
	disk       *disk
	h          *home
	clock      *slowClock
	store      *liar
	heads      [][]byte
	id         string
	operations int
	reported   int // errors that somebody was told of
	restarts   int
}

func (l *errorLife) live(ctx context.Context, s *seedling, at int, t trouble) (err error) {
	if err := s.plant(l.dir); err != nil {
		return err
	}
	if l.disk, err = newDisk(l.dir); err != nil {
		return err
	}
	defer l.disk.close()
	l.disk.fail(at, t.times, t.code, t.only)
	l.clock = newSlowClock()
	if err := l.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.shut()) }()
	l.store = honest(l.h)
	for i := range 3 {
		l.store.put(fmt.Sprintf("%salice-%d", canary, i), canary+"alice", false)
	}
	if err := l.submit(ctx); err != nil {
		return err
	}
	l.pin(ctx)
	for range 12 {
		l.turn(ctx)
		l.pin(ctx)
	}
	l.operations = l.disk.count()
	l.disk.fail(0, 0, 0, 0)
	return l.end(ctx)
}

// open opens the home, as often as that takes: a service that does not come up
// is started again.
func (l *errorLife) open(ctx context.Context) (err error) {
	for range 30 {
		if l.h, err = openHome(ctx, l.dir, l.clock, "a"); err == nil {
			return nil
		}
		l.reported++
	}
	return fmt.Errorf("open it: %w", err)
}

// shut closes the home; a checkpoint that fails then is made by the next Open.
func (l *errorLife) shut() error {
	if err := l.h.close(); err != nil {
		l.reported++
	}
	return nil
}

// submit asks until it is answered, under one idempotency key, as a client does.
func (l *errorLife) submit(ctx context.Context) error {
	s := jobs.Submission{
		By: jobs.ActorLocal, Origin: jobs.OriginAPI, Selector: store.Selector{UserID: canary + "alice"}, IdempotencyKey: "only one", BodyDigest: []byte("body"),
	}
	for try := range 40 {
		r, _, err := l.h.intake.Submit(ctx, s)
		if err == nil {
			l.id = r.ID
			return nil
		}
		l.reported++
		l.clock.add(time.Second)
		if try%20 == 19 {
			if err := l.restart(ctx); err != nil {
				return err
			}
		}
	}
	return errors.New("nothing was accepted after the trouble had passed")
}

func (l *errorLife) restart(ctx context.Context) error {
	l.restarts++
	if err := l.shut(); err != nil {
		return err
	}
	return l.open(ctx)
}

// turn lets the service do what is ready; what fails is tried again later.
func (l *errorLife) turn(ctx context.Context) {
	e := l.h.eraser("worker", map[string]store.Store{"a": l.store})
	n, err := l.h.turn(ctx, e)
	if err != nil {
		l.reported++
	}
	if n == 0 || err != nil {
		l.clock.add(time.Minute)
		if err := l.h.reconcile(ctx); err != nil {
			l.reported++
		}
	}
}

// pin keeps the log's head, as one to whom it was given.
func (l *errorLife) pin(ctx context.Context) {
	if head, err := l.h.ledger.Log().Checkpoint(ctx); err == nil {
		l.heads = append(l.heads, head)
	} else {
		l.reported++
	}
}

// end finishes the request without trouble, and looks.
func (l *errorLife) end(ctx context.Context) error {
	if l.h.logs.Len() > 0 {
		l.reported++
	}
	finish := func() error {
		return l.h.finish(ctx, l.h.eraser("worker", map[string]store.Store{"a": l.store}), l.id)
	}
	if err := finish(); err != nil { // then it said that it needs somebody to look
		l.say("needs a restart: %v", err)
		if err := l.restart(ctx); err != nil {
			return err
		}
		if err := finish(); err != nil {
			return err
		}
	}
	for _, head := range l.heads {
		if err := l.h.ledger.Log().CheckPin(ctx, head); err != nil {
			return fmt.Errorf("the log does not extend a head that was given away: %w", err)
		}
	}
	if _, err := l.h.ledger.Log().Check(ctx); err != nil {
		return err
	}
	if size, err := l.h.ledger.Log().Size(ctx); err != nil || size != 2 {
		return fmt.Errorf("the log has %d entries, want 2: %w", size, err)
	}
	list, _, err := l.h.intake.List(ctx, jobs.ActorLocal, nil, 10, "")
	if err != nil || len(list) != 1 {
		return fmt.Errorf("%d requests were filed under one key: %w", len(list), err)
	}
	e, err := l.h.statement(ctx, l.id)
	if err != nil {
		return err
	}
	done, ok := e.(*proof.Completed)
	if !ok || done.Stores[0].Erased != 3 || len(l.store.rows) != 0 {
		return fmt.Errorf("the end is %s, with %d rows left", e.Kind(), len(l.store.rows))
	}
	return nil
}

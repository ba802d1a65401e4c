//go:build torture

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"lethe/audit/keyfile"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
	"lethe/store"
	"lethe/worker"
)

// A slowClock moves on by a millisecond whenever it is read, and further when a
// case says so. No two readings are equal.
type slowClock struct {
	mu  sync.Mutex
	now time.Time
}

func newSlowClock() *slowClock {
	return &slowClock{now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
}

func (c *slowClock) Now() time.Time { return c.add(time.Millisecond) }

func (c *slowClock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// homeKeepsKeys is how long a home keeps a subject key after the end.
const homeKeepsKeys = time.Hour

// A home is Lethe inside this process: a real ledger, real keys, a real log
// and real workers. It has no queue: a case carries the rings itself, in any
// order and as often as it likes, which no real queue could be made to do.
type home struct {
	dir     string
	clock   *slowClock
	keys    *keyring.Keyring
	key     *keyfile.Key
	ledger  *ledger.Ledger
	intake  *jobs.Intake
	logs    *lockedBuffer
	windows map[string]int
}

// A lockedBuffer is what the home's logs are written to.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// openHome opens what is in dir, or makes it.
func openHome(ctx context.Context, dir string, c *slowClock, stores ...string) (*home, error) {
	if err := steadyPlans(); err != nil {
		return nil, err
	}
	h := &home{dir: dir, clock: c, logs: &lockedBuffer{}, windows: map[string]int{}}
	var err error
	if h.keys, err = keyring.Open(filepath.Join(dir, "keys")); err != nil {
		return nil, err
	}
	if h.key, err = keyfile.Open(filepath.Join(dir, "log.key"), "lab.example/log"); err != nil {
		return nil, err
	}
	h.ledger, err = ledger.Open(ctx, ledger.Options{Dir: dir, Keys: h.keys, Origin: h.key.Origin, Signer: h.key.Signer, Now: c.Now})
	if err != nil {
		return nil, err
	}
	var names []jobs.StoreName
	for _, s := range stores {
		names = append(names, jobs.StoreName{Name: s, Kind: "memory"})
		h.windows[s] = 8
	}
	h.intake = &jobs.Intake{Ledger: h.ledger, Keys: h.keys, Stores: names, KeepKey: homeKeepsKeys, Now: c.Now}
	h.intake.Clock, err = jobs.NewClock("") // what it would make for each request
	return h, err
}

func (h *home) close() error { return h.ledger.Close() }

// eraser makes one more process, as it were, over the stores.
func (h *home) eraser(owner string, stores map[string]store.Store) *worker.Eraser {
	byName := map[string]*worker.Store{}
	for name, s := range stores {
		byName[name] = &worker.Store{Store: s, Name: name, Kind: "memory", Concurrency: 2}
	}
	return &worker.Eraser{
		Ledger: h.ledger, Stores: byName, Subject: h.keys.Subject, Owner: owner, KeepKey: homeKeepsKeys,
		Now: h.clock.Now, Logger: slog.New(slog.NewJSONHandler(h.logs, nil)),
	}
}

// handle answers one ring as the queue's desk does: a panic goes no further,
// and the context ends with the call. It reports whether it was a panic.
func (h *home) handle(ctx context.Context, e *worker.Eraser, r jobs.Ring) (panicked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			panicked = true
		}
	}()
	return false, e.Handle(ctx, r)
}

// rings takes what is ready.
func (h *home) rings(ctx context.Context) ([]jobs.Ring, error) {
	return h.ledger.Enqueue(ctx, h.windows)
}

// turn answers all that is ready, and returns how much that was.
func (h *home) turn(ctx context.Context, e *worker.Eraser) (int, error) {
	rings, err := h.rings(ctx)
	for _, r := range rings {
		_, one := h.handle(ctx, e, r)
		err = errors.Join(err, one)
	}
	return len(rings), err
}

// reconcile does what jobs.Reconciler does, with a queue that has forgotten all
// it was told.
func (h *home) reconcile(ctx context.Context) error {
	if _, err := h.ledger.Expired(ctx); err != nil {
		return err
	}
	overdue, err := h.ledger.Overdue(ctx, 5*time.Second, 256)
	if err != nil {
		return err
	}
	for _, r := range overdue {
		if _, err := h.ledger.Forgotten(ctx, &r); err != nil {
			return err
		}
	}
	ids, err := h.ledger.Stopped(ctx)
	for _, id := range ids {
		err = errors.Join(err, h.intake.EndStopped(ctx, id))
	}
	return err
}

// finish takes turns until the request has ended, letting time pass when
// nothing is ready. Time is the home's own: a minute costs nothing.
func (h *home) finish(ctx context.Context, e *worker.Eraser, id string) error {
	for range 400 {
		r, err := h.intake.Request(ctx, jobs.ActorLocal, id)
		if err != nil {
			return err
		}
		if r.Status.Ended() {
			return nil
		}
		n, err := h.turn(ctx, e)
		if err != nil {
			return err
		}
		if n == 0 {
			h.clock.add(time.Minute)
			if err := h.reconcile(ctx); err != nil {
				return err
			}
		}
	}
	r, err := h.intake.Request(ctx, jobs.ActorLocal, id)
	if err != nil {
		return err
	}
	var where []string
	for _, j := range r.Jobs {
		where = append(where, fmt.Sprintf("%s %s %s %d/%d", j.Store, j.Stage, j.Note, j.BatchesDone, j.BatchesTotal))
	}
	return fmt.Errorf("the faults have stopped and the request does not end: it is %s, %v\n%s", r.Status, where, h.lastLogs(3))
}

// lastLogs returns the last n lines of the home's logs.
func (h *home) lastLogs(n int) []byte {
	h.logs.mu.Lock()
	defer h.logs.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(h.logs.Bytes()), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}

// statement verifies the certificate of a request, as a stranger would, and
// returns what it says.
func (h *home) statement(ctx context.Context, id string) (proof.Entry, error) {
	text, err := h.intake.Certificate(ctx, jobs.ActorLocal, id)
	if err != nil {
		return nil, err
	}
	keys, err := proof.ParseKeys([]byte(h.key.Verifier))
	if err != nil {
		return nil, err
	}
	r, err := proof.Verify(text, keys)
	if err != nil {
		return nil, err
	}
	return r.Entry, nil
}

// leaks looks for a word that only people's data have, in what the home has
// written: logs and the ledger's files.
func (h *home) leaks(word string) error {
	h.logs.mu.Lock()
	texts := map[string][]byte{"the logs": bytes.Clone(h.logs.Bytes())}
	h.logs.mu.Unlock()
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		text, err := readFile(filepath.Join(h.dir, name))
		switch {
		case err == nil:
			texts[name] = text
		case name == "ledger.db":
			return fmt.Errorf("look for people in the ledger: %w", err)
		}
	}
	var wide []byte
	for _, b := range []byte(word) {
		wide = append(wide, b, 0)
	}
	for where, text := range texts {
		for _, form := range [][]byte{[]byte(word), []byte(fmt.Sprintf("%x", word)), wide} {
			if bytes.Contains(text, form) {
				return fmt.Errorf("%s have an identifier of a person", where)
			}
		}
	}
	return nil
}

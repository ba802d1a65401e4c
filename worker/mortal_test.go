package worker_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/worker"
)

var errDead = errors.New("the process is dead")

// A fate makes a process die at its n-th step, before or after it takes
// effect. What is dead does nothing more. The zero fate is a long life.
type fate struct {
	n     int
	after bool

	mu    sync.Mutex
	taken int
	last  string // the step it died at
	dead  bool
}

func (f *fate) step(name string, do func() error) error {
	f.mu.Lock()
	f.taken++
	due := f.taken == f.n
	if due {
		f.last = name
	}
	if due && !f.after {
		f.dead = true
	}
	dead := f.dead
	f.mu.Unlock()
	if dead {
		return errDead
	}
	err := do()
	if due {
		f.mu.Lock()
		f.dead = true
		f.mu.Unlock()
		return errDead
	}
	return err
}

func answered[T any](f *fate, name string, do func() (T, error)) (T, error) {
	var v T
	err := f.step(name, func() (err error) { v, err = do(); return err })
	return v, err
}

// mortal is a ledger whose process dies.
type mortal struct {
	worker.Ledger
	fate *fate
}

func (m mortal) Claim(ctx context.Context, r jobs.Ring, owner string, lease time.Duration) (jobs.Task, error) {
	return answered(m.fate, "Claim", func() (jobs.Task, error) { return m.Ledger.Claim(ctx, r, owner, lease) })
}

func (m mortal) Fence(ctx context.Context, r jobs.Ring) error {
	return m.fate.step("Fence", func() error { return m.Ledger.Fence(ctx, r) })
}

func (m mortal) Retry(ctx context.Context, r jobs.Ring, after time.Duration, note string) error {
	return m.fate.step("Retry", func() error { return m.Ledger.Retry(ctx, r, after, note) })
}

func (m mortal) Drop(ctx context.Context, r jobs.Ring) error {
	return m.fate.step("Drop", func() error { return m.Ledger.Drop(ctx, r) })
}

func (m mortal) Selector(ctx context.Context, request string) ([]byte, error) {
	return answered(m.fate, "Selector", func() ([]byte, error) { return m.Ledger.Selector(ctx, request) })
}

func (m mortal) Staged(ctx context.Context, request string) iter.Seq2[[]string, error] {
	return mortals(m.fate, "Staged", m.Ledger.Staged(ctx, request))
}

func (m mortal) Replan(ctx context.Context, t jobs.Task) (round, seq int, err error) {
	err = m.fate.step("Replan", func() (err error) { round, seq, err = m.Ledger.Replan(ctx, t); return err })
	return round, seq, err
}

func (m mortal) Freeze(ctx context.Context, t jobs.Task, round, seq int, ids []store.ID) error {
	return m.fate.step("Freeze", func() error { return m.Ledger.Freeze(ctx, t, round, seq, ids) })
}

func (m mortal) Planned(ctx context.Context, t jobs.Task, p jobs.Planned, after time.Duration) error {
	return m.fate.step("Planned", func() error { return m.Ledger.Planned(ctx, t, p, after) })
}

func (m mortal) Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error) {
	return answered(m.fate, "Begin", func() (jobs.Batch, error) { return m.Ledger.Begin(ctx, t) })
}

func (m mortal) Finish(ctx context.Context, t jobs.Task, r jobs.Receipt) error {
	return m.fate.step("Finish", func() error { return m.Ledger.Finish(ctx, t, r) })
}

func (m mortal) Split(ctx context.Context, t jobs.Task, b jobs.Batch, at int, after time.Duration) error {
	return m.fate.step("Split", func() error { return m.Ledger.Split(ctx, t, b, at, after) })
}

func (m mortal) Spared(ctx context.Context, b jobs.Batch) error {
	return m.fate.step("Spared", func() error { return m.Ledger.Spared(ctx, b) })
}

func (m mortal) SplitSpared(ctx context.Context, t jobs.Task, b jobs.Batch, at int, after time.Duration) error {
	return m.fate.step("SplitSpared", func() error { return m.Ledger.SplitSpared(ctx, t, b, at, after) })
}

func (m mortal) Refuse(ctx context.Context, t jobs.Task, crashes int, after time.Duration, note string) error {
	return m.fate.step("Refuse", func() error { return m.Ledger.Refuse(ctx, t, crashes, after, note) })
}

func (m mortal) Batches(ctx context.Context, t jobs.Task) iter.Seq2[jobs.Batch, error] {
	return mortals(m.fate, "Batches", m.Ledger.Batches(ctx, t))
}

func (m mortal) GoesAlong(ctx context.Context, t jobs.Task, b jobs.Batch, also []store.ID) error {
	return m.fate.step("GoesAlong", func() error { return m.Ledger.GoesAlong(ctx, t, b, also) })
}

func (m mortal) GoneAlong(ctx context.Context, t jobs.Task, b jobs.Batch, ids []store.ID) (map[store.ID]bool, error) {
	return answered(m.fate, "GoneAlong", func() (map[store.ID]bool, error) { return m.Ledger.GoneAlong(ctx, t, b, ids) })
}

func (m mortal) Job(ctx context.Context, id string) (jobs.Job, error) {
	return answered(m.fate, "Job", func() (jobs.Job, error) { return m.Ledger.Job(ctx, id) })
}

func (m mortal) Residue(ctx context.Context, t jobs.Task, remaining int) error {
	return m.fate.step("Residue", func() error { return m.Ledger.Residue(ctx, t, remaining) })
}

func (m mortal) Verified(ctx context.Context, t jobs.Task, asOf time.Time, v jobs.Verification) error {
	return m.fate.step("Verified", func() error { return m.Ledger.Verified(ctx, t, asOf, v) })
}

func (m mortal) Purged(ctx context.Context, storeName string, since time.Time) (int, error) {
	return answered(m.fate, "Purged", func() (int, error) { return m.Ledger.Purged(ctx, storeName, since) })
}

func (m mortal) Record(ctx context.Context, id string) (jobs.Record, error) {
	return answered(m.fate, "Record", func() (jobs.Record, error) { return m.Ledger.Record(ctx, id) })
}

func (m mortal) Complete(ctx context.Context, t jobs.Task, e proof.Entry, end jobs.Ending) error {
	return m.fate.step("Complete", func() error { return m.Ledger.Complete(ctx, t, e, end) })
}

// mortals takes one step for each element.
func mortals[T any](f *fate, name string, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range all {
			if err = f.step(name, func() error { return err }); err != nil {
				yield(v, err)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// A purging store is what storetest.Memory is.
type purging interface {
	store.Store
	store.Purger
}

// mortalStore is a store whose process dies, ours and not its own.
type mortalStore struct {
	purging
	fate *fate
}

func (m mortalStore) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		if err := m.fate.step("Find", func() error { return nil }); err != nil {
			yield(store.ID{}, err)
			return
		}
		m.purging.Find(ctx, sel)(yield)
	}
}

func (m mortalStore) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	return answered(m.fate, "Count", func() (store.Census, error) { return m.purging.Count(ctx, sels) })
}

func (m mortalStore) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	return answered(m.fate, "Erase", func() (store.Receipt, error) { return m.purging.Erase(ctx, ids) })
}

func (m mortalStore) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	return answered(m.fate, "Remaining", func() ([]store.ID, error) { return m.purging.Remaining(ctx, ids) })
}

func (m mortalStore) Purge(ctx context.Context) error {
	return m.fate.step("Purge", func() error { return m.purging.Purge(ctx) })
}

// interrupted is a ledger with which something happens right after Begin.
type interrupted struct {
	worker.Ledger
	then func()
}

func (i interrupted) Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error) {
	b, err := i.Ledger.Begin(ctx, t)
	i.then()
	return b, err
}

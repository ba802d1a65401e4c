package main

import (
	"context"
	"iter"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/worker"
)

// A moment is told of each call to the ledger and to a store, before and after
// it. It may do whatever a test needs done then.
type moment func(ctx context.Context, call string, after bool)

func within[T any](ctx context.Context, m moment, call string, do func() (T, error)) (T, error) {
	m(ctx, call, false)
	v, err := do()
	m(ctx, call, true)
	return v, err
}

func (m moment) do(ctx context.Context, call string, do func() error) error {
	_, err := within(ctx, m, call, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func elements[T any](ctx context.Context, m moment, call string, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		m(ctx, call, false)
		all(yield)
		m(ctx, call, true)
	}
}

// watch puts moments around all that the service does to its ledger and its
// stores. It is called before Run.
func (s *service) watch(m moment) {
	s.eraser.Ledger = watchedLedger{s.eraser.Ledger, m}
	s.intake.Ledger = watchedIntake{s.intake.Ledger, m}
	for _, st := range s.stores {
		st.Store = watchedStore{st.Store.(*worker.Link), m}
	}
}

type watchedIntake struct {
	jobs.Ledger
	at moment
}

func (w watchedIntake) Accept(ctx context.Context, a jobs.Acceptance) (r *jobs.Request, body []byte, err error) {
	err = w.at.do(ctx, "Accept", func() error { r, body, err = w.Ledger.Accept(ctx, a); return err })
	return r, body, err
}

type watchedLedger struct {
	worker.Ledger
	at moment
}

func (w watchedLedger) Claim(ctx context.Context, r jobs.Ring, owner string, lease time.Duration) (jobs.Task, error) {
	return within(ctx, w.at, "Claim", func() (jobs.Task, error) { return w.Ledger.Claim(ctx, r, owner, lease) })
}

func (w watchedLedger) Fence(ctx context.Context, r jobs.Ring) error {
	return w.at.do(ctx, "Fence", func() error { return w.Ledger.Fence(ctx, r) })
}

func (w watchedLedger) Selector(ctx context.Context, request string) ([]byte, error) {
	return within(ctx, w.at, "Selector", func() ([]byte, error) { return w.Ledger.Selector(ctx, request) })
}

func (w watchedLedger) Replan(ctx context.Context, t jobs.Task) (round, seq int, err error) {
	err = w.at.do(ctx, "Replan", func() error { round, seq, err = w.Ledger.Replan(ctx, t); return err })
	return round, seq, err
}

func (w watchedLedger) Freeze(ctx context.Context, t jobs.Task, round, seq int, ids []store.ID) error {
	return w.at.do(ctx, "Freeze", func() error { return w.Ledger.Freeze(ctx, t, round, seq, ids) })
}

func (w watchedLedger) Planned(ctx context.Context, t jobs.Task, p jobs.Planned, after time.Duration) error {
	return w.at.do(ctx, "Planned", func() error { return w.Ledger.Planned(ctx, t, p, after) })
}

func (w watchedLedger) Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error) {
	return within(ctx, w.at, "Begin", func() (jobs.Batch, error) { return w.Ledger.Begin(ctx, t) })
}

func (w watchedLedger) Finish(ctx context.Context, t jobs.Task, r jobs.Receipt) error {
	return w.at.do(ctx, "Finish", func() error { return w.Ledger.Finish(ctx, t, r) })
}

func (w watchedLedger) Batches(ctx context.Context, t jobs.Task) iter.Seq2[jobs.Batch, error] {
	return elements(ctx, w.at, "Batches", w.Ledger.Batches(ctx, t))
}

func (w watchedLedger) Job(ctx context.Context, id string) (jobs.Job, error) {
	return within(ctx, w.at, "Job", func() (jobs.Job, error) { return w.Ledger.Job(ctx, id) })
}

func (w watchedLedger) Residue(ctx context.Context, t jobs.Task, remaining int) error {
	return w.at.do(ctx, "Residue", func() error { return w.Ledger.Residue(ctx, t, remaining) })
}

func (w watchedLedger) Verified(ctx context.Context, t jobs.Task, asOf time.Time, v jobs.Verification) error {
	return w.at.do(ctx, "Verified", func() error { return w.Ledger.Verified(ctx, t, asOf, v) })
}

func (w watchedLedger) Purged(ctx context.Context, storeName string, since time.Time) (int, error) {
	return within(ctx, w.at, "Purged", func() (int, error) { return w.Ledger.Purged(ctx, storeName, since) })
}

func (w watchedLedger) Record(ctx context.Context, id string) (jobs.Record, error) {
	return within(ctx, w.at, "Record", func() (jobs.Record, error) { return w.Ledger.Record(ctx, id) })
}

func (w watchedLedger) Complete(ctx context.Context, t jobs.Task, e proof.Entry, end jobs.Ending) error {
	return w.at.do(ctx, "Complete", func() error { return w.Ledger.Complete(ctx, t, e, end) })
}

type watchedStore struct {
	*worker.Link
	at moment
}

func (w watchedStore) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return elements(ctx, w.at, "Find", w.Link.Find(ctx, sel))
}

func (w watchedStore) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	return within(ctx, w.at, "Count", func() (store.Census, error) { return w.Link.Count(ctx, sels) })
}

func (w watchedStore) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	return within(ctx, w.at, "Erase", func() (store.Receipt, error) { return w.Link.Erase(ctx, ids) })
}

func (w watchedStore) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	return within(ctx, w.at, "Remaining", func() ([]store.ID, error) { return w.Link.Remaining(ctx, ids) })
}

func (w watchedStore) Purge(ctx context.Context) error {
	return w.at.do(ctx, "Purge", func() error { return w.Link.Purge(ctx) })
}

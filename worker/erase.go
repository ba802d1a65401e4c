package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// errRemains: the store said erased, and reading again found it.
var errRemains = errors.New("erased IDs can still be read")

// erase carries out one batch.
func (e *Eraser) erase(ctx context.Context, t jobs.Task, s *Store) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	release, err := e.apart(ctx, t)
	if err != nil {
		return err
	}
	defer release()
	b, err := e.Ledger.Begin(ctx, t)
	if err != nil {
		e.disown(ctx, t, b, touch{}, err)
		return errUnapproved(err)
	}
	if b.Crashes >= deadly && !fault.Bug("worker/no-quarantine") {
		return e.quarantine(ctx, t, b)
	}
	fault.Point("worker/batch-begun")
	var did touch
	receipt, answered, err := e.sparing(ctx, t, s, &b, &did)
	if answered || err != nil && e.disown(ctx, t, b, did, err) {
		return nil
	}
	switch {
	case errors.Is(err, jobs.ErrStopped):
		return e.account(ctx, t, s, b)
	case errors.Is(err, jobs.ErrStale), errors.Is(err, jobs.ErrHolds):
		return err
	case errors.Is(err, jobs.ErrUnapproved):
		return errUnapproved(err)
	case errors.Is(err, errDown):
		return err
	case err != nil:
		e.Metrics.batch(t.Store, "failed")
		return e.isolate(ctx, t, s, b, err)
	}
	receipt = unkept(&b, receipt)
	if err := e.finish(ctx, t, b, receipt); err != nil {
		if e.disown(ctx, t, b, did, err) {
			return nil
		}
		return err
	}
	e.Metrics.batch(t.Store, "done")
	e.Metrics.ids(t.Store, receipt)
	return nil
}

// eraseAndRead fences, erases, and reads again by another path. The fence
// stands directly before the only destructive call of the program. What it does
// is kept in did, also if it fails.
func (e *Eraser) eraseAndRead(ctx context.Context, t jobs.Task, s *Store, b jobs.Batch, did *touch) (store.Receipt, error) {
	if err := e.Ledger.Fence(ctx, t.Ring); err != nil && !fault.Bug("worker/skip-fence") {
		return nil, err
	}
	fault.Point("worker/fenced")
	fault.Among("worker/poison", b.IDs)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	still, err := e.still(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("erase batch %d: %w", b.Seq, err)
	}
	began := e.Now()
	_, end := e.step(ctx, "erase", t, len(b.IDs))
	receipt, err := s.Erase(e.fenced(e.noting(still, t, b), t), b.IDs)
	end(err)
	did.called, did.receipt = !errors.Is(err, errUnasked), receipt
	if err != nil && fault.Bug("worker/error-names-an-id") {
		return nil, fmt.Errorf("erase %s: %w", b.IDs[0].Key, err)
	}
	if err != nil {
		return nil, fmt.Errorf("erase batch %d: %w", b.Seq, err)
	}
	fault.Point("worker/erased")
	e.Metrics.erased(t, e.Now().Sub(began))
	if n := receipt.Count(store.Refused); n > 0 && !fault.Bug("worker/refused-is-done") {
		return nil, fmt.Errorf("erase batch %d: %w: %d of %d", b.Seq, store.ErrRefused, n, len(receipt))
	}
	var gone []store.ID
	for i, o := range receipt {
		if o == store.Erased || o == store.Absent {
			gone = append(gone, b.IDs[i])
		}
	}
	if fault.Bug("worker/skip-remaining") {
		gone = nil
	}
	_, end = e.step(ctx, "read_again", t, len(gone))
	remaining, err := s.Remaining(ctx, gone)
	end(err)
	if err != nil {
		return nil, fmt.Errorf("read batch %d again: %w", b.Seq, err)
	}
	if len(remaining) > 0 {
		e.Metrics.verifyFailed(t.Store)
		return nil, fmt.Errorf("read batch %d again: %w: %d of %d", b.Seq, errRemains, len(remaining), len(gone))
	}
	fault.Point("worker/read-again")
	touched := b.Touched || b.Attempts > 1 && fault.Bug("worker/every-retry-touched")
	if touched && !fault.Bug("worker/retry-counts-absent") || fault.Bug("worker/absent-is-erased") {
		return asErased(receipt), nil
	}
	return e.withAlong(ctx, t, b, receipt)
}

// asErased reads Absent as Erased; see the package's Decisions.
func asErased(r store.Receipt) store.Receipt {
	r = slices.Clone(r)
	for i, o := range r {
		if o == store.Absent {
			r[i] = store.Erased
		}
	}
	return r
}

// finish digests the receipt and commits it.
func (e *Eraser) finish(ctx context.Context, t jobs.Task, b jobs.Batch, receipt store.Receipt) error {
	key, err := e.Subject(t.Request)
	if err != nil {
		return fmt.Errorf("finish batch %d: %w", b.Seq, err)
	}
	r := jobs.Receipt{
		Erased: receipt.Count(store.Erased), Absent: receipt.Count(store.Absent),
		Held: receipt.Count(store.Held), Refused: receipt.Count(store.Refused),
		Places: outcomes(b.IDs, receipt), Leaves: make([][32]byte, len(receipt)),
	}
	if r.Kept = b.Kept; r.Kept > 0 {
		r.IDs = b.IDs
	}
	if fault.Bug("worker/count-twice") {
		r.Erased *= 2
	}
	for i, o := range receipt {
		if fault.Bug("worker/one-leaf") {
			i = 0
		}
		r.Leaves[i] = proof.ReceiptLeaf(key, b.ID, b.IDs[i].String(), byte(o))
	}
	if err := e.mark(t, b.IDs, receipt, &r); err != nil {
		return fmt.Errorf("finish batch %d: %w", b.Seq, err)
	}
	r.Root = proof.ReceiptRoot(r.Leaves)
	if fault.Bug("worker/leaves-turned") {
		slices.Reverse(r.Leaves)
	}
	if fault.Bug("worker/log-an-id") {
		e.Logger.InfoContext(ctx, "erased "+b.IDs[0].Key)
	}
	fault.Point("worker/finish")
	if err := e.Ledger.Finish(ctx, t, r); err != nil {
		return err
	}
	fault.Point("worker/finished")
	return nil
}

// outcomes counts a receipt by place.
func outcomes(ids []store.ID, receipt store.Receipt) []jobs.PlaceOutcome {
	by := map[string]store.Receipt{}
	for i, id := range ids {
		by[id.Place] = append(by[id.Place], receipt[i])
	}
	var list []jobs.PlaceOutcome
	for _, place := range slices.Sorted(maps.Keys(by)) {
		r := by[place]
		list = append(list, jobs.PlaceOutcome{
			Place: place, Erased: r.Count(store.Erased), Absent: r.Count(store.Absent),
			Held: r.Count(store.Held), Refused: r.Count(store.Refused),
		})
	}
	return list
}

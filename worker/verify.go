package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// settle brings a job whose batches are all done to its end: verify, purge,
// certify. Each step is committed, so a task that comes back goes on where the
// last one stopped.
func (e *Eraser) settle(ctx context.Context, t jobs.Task, s *Store) error {
	job, err := e.Ledger.Job(ctx, t.Job)
	if err != nil {
		return err
	}
	if job.Stage == jobs.StageVerifying && fault.Bug("worker/certify-unverified") {
		if err := e.Ledger.Verified(ctx, t, e.Now(), jobs.Verification{}); err != nil {
			return err
		}
	} else if job.Stage == jobs.StageVerifying {
		verifying, end := e.step(ctx, "verify", t, 0)
		clean, err := e.verify(verifying, t, s)
		end(err)
		if err != nil || !clean {
			return err
		}
	}
	fault.Point("worker/verified")
	if err := e.purge(ctx, t, s); err != nil {
		return err
	}
	return e.certify(ctx, t)
}

// verify reads the whole job again: every frozen ID, and the selector anew. If
// anything is left, or has come since planning, it becomes one more round,
// which answers the task, and verify returns false.
func (e *Eraser) verify(ctx context.Context, t jobs.Task, s *Store) (clean bool, err error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	life, err := s.life()
	if err != nil {
		return false, err
	}
	fault.Point("worker/verify-begun")
	asOf := e.Now() // what is written while this reads is not vouched for
	f, err := e.freeze(ctx, t, s)
	if err != nil {
		return false, err
	}
	x, err := e.exempt(ctx, t)
	if err != nil {
		return false, err
	}
	seen := map[store.ID]bool{}
	add := func(id store.ID) error {
		if seen[id] {
			return nil
		}
		seen[id] = true
		return f.add(id)
	}
	if !fault.Bug("worker/verify-by-find-alone") {
		if err := e.remaining(ctx, t, s, add); err != nil {
			return false, err
		}
	}
	counted, err := e.findAgain(ctx, t, s, x, add)
	if err != nil {
		return false, err
	}
	fault.Point("worker/verify-read")
	if err := f.flush(); err != nil {
		return false, err
	}
	if f.total == 0 {
		if n := rowsOf(counted); n > 0 && f.left == 0 && !fault.Bug("worker/verify-without-count") { // written while this read, or hidden from Find
			return false, fmt.Errorf("verify: %w: the store counts %d rows and finds none", errRemains, n)
		}
		purge, err := s.purges(ctx)
		if err != nil {
			return false, err
		}
		if now, err := s.life(); err != nil || now != life {
			return false, errors.Join(errOtherLife, err)
		}
		if err := e.left(ctx, t, x); err != nil {
			return false, err
		}
		return true, e.Ledger.Verified(ctx, t, asOf, jobs.Verification{
			Purge: purge && !x.whole() && s.AtMost == "", AtMost: s.AtMost, Unattributable: counted.Unattributable, Related: counted.Related,
		})
	}
	e.Metrics.residue(t.Store, f.total)
	e.Logger.InfoContext(ctx, "found more to erase while verifying", slog.String("request_id", t.Request),
		slog.String("store", t.Store), slog.Int("found", f.total), slog.Int("round", f.round))
	if err := e.Ledger.Residue(ctx, t, f.total); err != nil {
		return false, err
	}
	fault.Point("worker/residue")
	return false, e.Ledger.Planned(ctx, t, jobs.Planned{Round: f.round, Places: places(counted), Digest: f.digest.Sum()}, backoff(f.round-1))
}

// errOtherLife: the store was opened anew while it was being read, and may be
// another file or server by now.
var errOtherLife error = downError{reason: errors.New("opened anew meanwhile")}

// remaining passes on what can still be read of the frozen plan.
func (e *Eraser) remaining(ctx context.Context, t jobs.Task, s *Store, add func(store.ID) error) error {
	for b, err := range e.Ledger.Batches(ctx, t) {
		if err != nil {
			return err
		}
		left, err := s.Remaining(ctx, b.IDs)
		if err != nil {
			return fmt.Errorf("verify batch %d: %w", b.Seq, err)
		}
		for _, id := range left {
			if err := add(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// findAgain passes on what the selector selects now, and counts it, with the
// rows that nothing ties to anyone.
func (e *Eraser) findAgain(ctx context.Context, t jobs.Task, s *Store, x *exempt, add func(store.ID) error) (store.Census, error) {
	for a, err := range e.asks(ctx, t) {
		if err != nil {
			return store.Census{}, fmt.Errorf("verify: %w", err)
		}
		for id, err := range s.find(ctx, a) {
			if err != nil {
				return store.Census{}, fmt.Errorf("verify: find: %w", err)
			}
			if x.spares(id) {
				continue
			}
			if fault.Bug("worker/verify-by-plan-alone") || id.Place != "memories" && fault.Bug("worker/one-place") {
				continue
			}
			if err := add(id); err != nil {
				return store.Census{}, err
			}
		}
	}
	census, err := e.census(ctx, t, s)
	if err != nil {
		return store.Census{}, fmt.Errorf("verify: count: %w", err)
	}
	return x.without(census), nil
}

// rowsOf is how many rows a census found, in all places.
func rowsOf(c store.Census) int {
	n := 0
	for _, p := range c.Places {
		n += p.Found
	}
	return n
}

package worker_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/store/storetest"
	"lethe/worker"
)

// A mute ledger hands out a task and then does not answer, as one does whose
// machine is gone. A write gives up by itself, after longer than a lease.
type mute struct{ worker.Ledger }

func (mute) Claim(_ ctx, r jobs.Ring, _ string, _ time.Duration) (jobs.Task, error) {
	return jobs.Task{Ring: r, Kind: jobs.BatchTask, Store: "m"}, nil
}

func (mute) silence(ctx ctx) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		return errDead
	}
}

func (m mute) Begin(ctx ctx, _ jobs.Task) (jobs.Batch, error) { return jobs.Batch{}, m.silence(ctx) }

func (m mute) Extend(ctx ctx, _ jobs.Ring, _ time.Duration) error { return m.silence(ctx) }

func (m mute) Retry(ctx ctx, _ jobs.Ring, _ time.Duration, _ string) error { return m.silence(ctx) }

// By the end of the lease another process may have the task: a worker that could
// not extend it must have let go by then, also if it was told nothing at all.
func TestAWorkerLetsGoBeforeItsLeaseEndsAlsoOfALedgerThatIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &worker.Eraser{Ledger: mute{}, Stores: map[string]*worker.Store{"m": kept("m", storetest.NewMemory())}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		began := time.Now()
		if err := e.Handle(t.Context(), jobs.Ring{ID: "r", Epoch: 1}); err != nil {
			t.Error(err)
		}
		if held := time.Since(began); held >= 8*time.Second {
			t.Errorf("held on for %s, longer than the lease", held)
		}
	})
}

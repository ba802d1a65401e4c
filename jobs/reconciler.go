package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"
)

// A Queue is what the Reconciler asks about rings.
type Queue interface {
	// Waiting reports whether the queue will still deliver r.
	Waiting(ctx context.Context, r Ring) (bool, error)
	// Fresh reports, once, that the queue has lost all it was told.
	Fresh(ctx context.Context) (bool, error)
}

// An Arrears is what the Reconciler needs of the ledger. What it makes ready
// again gets a new epoch, so that an answer under the old one counts no more.
type Arrears interface {
	Expired(ctx context.Context) (int, error)
	Forgotten(ctx context.Context, r *Ring) (int, error)
	Overdue(ctx context.Context, older time.Duration, limit int) ([]Ring, error)
	Stopped(ctx context.Context) ([]string, error)
	KeysDue(ctx context.Context) ([]string, error)
	// Unsealed returns those of sealed that have ended, and those that were
	// never filed and will not be.
	Unsealed(ctx context.Context, sealed []string) (ended, unfiled []string, err error)
	DropStaged(ctx context.Context, request string) error
	// Late returns what has become overdue, each request once.
	Late(ctx context.Context) (overdue, unconfirmed []string, err error)
	SubjectKeyGone(ctx context.Context, request string, e proof.Entry) error
	// Outlived deletes records of requests that ended before a time, or before
	// ccpa if they are under the CCPA, and says how many. It may take long.
	Outlived(ctx context.Context, before, ccpa time.Time) (int, error)
}

const (
	reconcileEvery = 500 * time.Millisecond
	sweepKeysEvery = time.Minute
	outlivedEvery  = 24 * time.Hour
	overdueAfter   = 5 * time.Second // with a turn less than the lease of what runs: see doc.go
	overdueAtOnce  = 256
)

// Reasons why a task was rung again; they label a metric.
const (
	ReasonLease  = "lease_expired"
	ReasonFlush  = "queue_lost"
	ReasonForgot = "queue_forgot"
)

// A Reconciler rings again whatever should have been answered by now, ends
// cancelled requests whose last task has gone, goes on with holds, and destroys
// keys and records that are due.
// Several may run at once: every step is idempotent.
type Reconciler struct {
	Ledger   Arrears
	Queue    Queue
	Keys     Keyring
	Sealed   func() ([]string, error) // requests that have a seal key
	End      func(ctx context.Context, request string) error
	Holds    func(ctx context.Context) error // Custodian.Turn; nil for none
	Requeued func(reason string, n int)      // counts, for metrics
	Keep     Retention
	Rest     func() bool // whether nothing can be written now; nil for never
	Pulse    Pulse
	Alone    bool // no other process rings: what is queued at the start, one rang that has died
	Now      func() time.Time
	Logger   *slog.Logger

	outlivedAt time.Time // when it was last looked for records to delete

	caught bool // what was queued at the start has been asked after
}

// Run reconciles until ctx is done. Errors are logged and tried again. Leases have
// a turn of their own: an end waits for the log, which another process may have
// kept that has died, holds wait for batches, and a queue may be silent for seconds.
// A task that its worker has lost must wait for none of them.
func (r *Reconciler) Run(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { r.repeat(ctx, r.leases) })
	var swept time.Time
	both.Go(func() {
		r.repeat(ctx, func(ctx context.Context) error {
			err := r.once(ctx)
			if now := r.Now(); now.Sub(swept) >= sweepKeysEvery {
				swept = now
				err = errors.Join(err, r.sweepKeys(ctx), r.late(ctx), r.outlived(ctx))
			}
			return err
		})
	})
	both.Wait()
	return nil
}

// repeat takes turns until ctx is done.
func (r *Reconciler) repeat(ctx context.Context, turn func(context.Context) error) {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	turned := r.Pulse.Begin()
	for said := ""; ; {
		if r.Rest != nil && r.Rest() {
			turned()
		} else {
			err, text := turn(ctx), ""
			if err != nil {
				text = err.Error()
			} else {
				turned()
			}
			if text != "" && text != said && ctx.Err() == nil { // once: it is tried again twice a second
				r.Logger.WarnContext(ctx, "reconciling; it is tried again", slog.Any("error", err))
			}
			said = text
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once is a turn of all but the leases.
func (r *Reconciler) once(ctx context.Context) error {
	if fault.Bug("jobs/redis-is-the-truth") {
		return r.stopped(ctx)
	}
	return errors.Join(r.flushed(ctx), r.forgotten(ctx), r.stopped(ctx), r.holds(ctx))
}

func (r *Reconciler) holds(ctx context.Context) error {
	if r.Holds == nil {
		return nil
	}
	return r.Holds(ctx)
}

func (r *Reconciler) leases(ctx context.Context) error {
	if fault.Bug("jobs/leases-for-ever") {
		return nil
	}
	fault.Point("jobs/reconciling")
	n, err := r.Ledger.Expired(ctx)
	r.Requeued(ReasonLease, n)
	return err
}

func (r *Reconciler) flushed(ctx context.Context) error {
	fresh, err := r.Queue.Fresh(ctx)
	if err != nil || !fresh {
		return err
	}
	fault.Point("jobs/queue-lost")
	n, err := r.Ledger.Forgotten(ctx, nil)
	r.Requeued(ReasonFlush, n)
	return err
}

// forgotten asks after tasks that nobody has claimed. One may never have been
// rung: whoever marked it died before.
func (r *Reconciler) forgotten(ctx context.Context) error {
	older := overdueAfter
	if r.Alone && !r.caught {
		older = 0
	}
	overdue, err := r.Ledger.Overdue(ctx, older, overdueAtOnce)
	if err != nil {
		return err
	}
	for _, ring := range overdue {
		waiting, err := r.Queue.Waiting(ctx, ring)
		if err != nil {
			return err
		}
		if waiting {
			continue
		}
		n, err := r.Ledger.Forgotten(ctx, &ring)
		r.Requeued(ReasonForgot, n)
		if err != nil {
			return err
		}
	}
	r.caught = true
	return nil
}

func (r *Reconciler) stopped(ctx context.Context) error {
	ids, err := r.Ledger.Stopped(ctx)
	for _, id := range ids {
		err = errors.Join(err, r.End(ctx, id))
	}
	return err
}

// late says of each request once that it is overdue. It goes on all the same.
func (r *Reconciler) late(ctx context.Context) error {
	overdue, unconfirmed, err := r.Ledger.Late(ctx)
	for _, id := range overdue {
		r.Logger.WarnContext(ctx, "the request is overdue: it should have been answered by now, and goes on", slog.String("request_id", id))
	}
	for _, id := range unconfirmed {
		r.Logger.WarnContext(ctx, "the receipt of the request should have been confirmed by now: see lethe confirm", slog.String("request_id", id))
	}
	return err
}

// outlived deletes the records whose time is over, once a day: it may have the
// ledger's file rewritten.
func (r *Reconciler) outlived(ctx context.Context) error {
	now := r.Now()
	if r.Keep.Requests == 0 || now.Sub(r.outlivedAt) < outlivedEvery {
		return nil
	}
	before, ccpa := r.Keep.Over(now)
	n, err := r.Ledger.Outlived(ctx, before, ccpa)
	if err != nil {
		return err
	}
	if r.outlivedAt = now; n > 0 {
		r.Logger.InfoContext(ctx, "records of requests were deleted: their retention is over", slog.Int("requests", n))
	}
	return nil
}

// sweepKeys destroys what a crash left of keys, and subject keys whose time
// has come. The key goes first and the entry second: an entry must never say
// of a key that still exists that it is gone.
func (r *Reconciler) sweepKeys(ctx context.Context) error {
	sealed, err := r.Sealed()
	if err != nil {
		return err
	}
	ended, unfiled, err := r.Ledger.Unsealed(ctx, sealed)
	for _, id := range unfiled { // the seal key last: it is what is looked for
		if err = errors.Join(err, r.Ledger.DropStaged(ctx, id), r.Keys.DestroySubject(id)); err == nil {
			ended = append(ended, id)
		}
	}
	for _, id := range ended {
		err = errors.Join(err, r.Keys.DestroySeal(id))
	}
	if err != nil {
		return err
	}
	due, err := r.Ledger.KeysDue(ctx)
	for _, id := range due {
		if gone := r.Keys.DestroySubject(id); gone != nil {
			err = errors.Join(err, gone)
			continue
		}
		fault.Point("jobs/key-destroyed")
		err = errors.Join(err, r.Ledger.SubjectKeyGone(ctx, id, &proof.SubjectKeyDestroyed{RequestID: id, DestroyedAt: proof.At(r.Now())}))
	}
	return err
}

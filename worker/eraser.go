package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// Tasks is how a worker holds its task. Every method returns an error wrapping
// jobs.ErrStale once the task is another's.
type Tasks interface {
	Claim(ctx context.Context, r jobs.Ring, owner string, lease time.Duration) (jobs.Task, error)
	Extend(ctx context.Context, r jobs.Ring, lease time.Duration) error
	Fence(ctx context.Context, r jobs.Ring) error // jobs.ErrUnapproved: later
	Retry(ctx context.Context, r jobs.Ring, after time.Duration, note string) error
	Drop(ctx context.Context, r jobs.Ring) error
	Next(ctx context.Context, request string) (jobs.Ring, error) // jobs.ErrStale if there is none
}

// Plans is how a plan is written. Freeze has no effect before Planned, and
// Replan forgets what a crash left frozen.
type Plans interface {
	Selector(ctx context.Context, request string) ([]byte, error) // nil for a list of IDs
	Staged(ctx context.Context, request string) iter.Seq2[[]string, error]
	Exemptions(ctx context.Context, request string) (jobs.Exemptions, error)
	Replan(ctx context.Context, t jobs.Task) (round, seq int, err error)
	Freeze(ctx context.Context, t jobs.Task, round, seq int, ids []store.ID) error
	Planned(ctx context.Context, t jobs.Task, p jobs.Planned, after time.Duration) error
	Recounted(ctx context.Context, t jobs.Task, c jobs.Recount) (drifts []jobs.Excess, err error)
}

// Batches is how batches are carried out. Finish, Split, SplitSpared and Refuse
// answer the task.
type Batches interface {
	Begin(ctx context.Context, t jobs.Task) (jobs.Batch, error)
	Finish(ctx context.Context, t jobs.Task, r jobs.Receipt) error
	Split(ctx context.Context, t jobs.Task, b jobs.Batch, at int, after time.Duration) error
	Refuse(ctx context.Context, t jobs.Task, crashes int, after time.Duration, note string) error
	// Spared says that this attempt at b has erased nothing, and will not. The
	// task is still to be answered, and may be another's by now.
	Spared(ctx context.Context, b jobs.Batch) error
	// SplitSpared is a Split of b of whose first IDs this attempt has erased none.
	SplitSpared(ctx context.Context, t jobs.Task, b jobs.Batch, at int, after time.Duration) error
	Batches(ctx context.Context, t jobs.Task) iter.Seq2[jobs.Batch, error]

	// Standing returns the holds that stand now.
	Standing(ctx context.Context) ([]jobs.Standing, error)
	// GoesAlong keeps what is about to go from the store along with b, whether or
	// not another batch of the job has it. See store.Along.
	GoesAlong(ctx context.Context, t jobs.Task, b jobs.Batch, also []store.ID) error
	// GoneAlong returns those of ids that may have gone along with another batch of
	// the same round as b.
	GoneAlong(ctx context.Context, t jobs.Task, b jobs.Batch, ids []store.ID) (map[store.ID]bool, error)

	// Look returns the holds that stand now, of which the next Fence goes out.
	Look(ctx context.Context, t jobs.Task) ([]jobs.Standing, error)
	// SetAside answers the task, too: held waits until a hold ends.
	SetAside(ctx context.Context, t jobs.Task, b jobs.Batch, free, held []store.ID) error
}

// Ends is how a job and its request come to an end. Complete also wipes.
type Ends interface {
	Job(ctx context.Context, id string) (jobs.Job, error)
	Residue(ctx context.Context, t jobs.Task, remaining int) error
	Left(ctx context.Context, t jobs.Task, left map[string]int) error
	Verified(ctx context.Context, t jobs.Task, asOf time.Time, v jobs.Verification) error
	Purged(ctx context.Context, storeName string, since time.Time) (int, error)
	Rewritten(ctx context.Context, storeName string, since time.Time, how jobs.Rewrite) (int, error)
	Record(ctx context.Context, id string) (jobs.Record, error)
	Complete(ctx context.Context, t jobs.Task, e proof.Entry, end jobs.Ending) error
}

// A Ledger is all that an Eraser needs of the book's keeper. Every write is
// one transaction, durable once it returns nil.
type Ledger interface {
	Tasks
	Plans
	Batches
	Ends
}

// An Eraser carries tasks out. Its fields are set before the first call and
// not changed; its methods may be called concurrently.
type Eraser struct {
	Ledger  Ledger
	Stores  map[string]*Store // by name
	Subject func(request string) ([]byte, error)
	Owner   string        // names this process in leases
	KeepKey time.Duration // how long a subject key is kept after the end

	// Suppression keeps what is needed to recognize what comes back; nil for nothing.
	Suppression *jobs.Suppression

	Strict  bool          // no plan is made by a data map that does not cover its store's schema
	Fresh   time.Duration // how old a fence may be when a store commits; 0 for a second
	Skew    time.Duration // by how much the clocks of processes that share the ledger may differ
	Leaving func() bool   // whether the process is about to end, so that nothing more is begun; nil for never
	Now     func() time.Time
	Metrics *Metrics
	Trace   Tracer // nil for none
	Logger  *slog.Logger

	once    sync.Once
	batches *semaphore.Weighted // taken whole by a batch that may kill its worker
}

// downTurn is how soon to look again after a store that was down. It is short:
// the relay rings for no store that its process knows to be down.
const downTurn = time.Second

// lease is how long a claim lasts without being extended. A worker that died
// is replaced after this time at the latest, plus the reconciler's turn.
const lease = 8 * time.Second

// Handle answers one ring. It returns an error only if the ledger could not be
// told the outcome; then the lease ends by itself.
func (e *Eraser) Handle(ctx context.Context, r jobs.Ring) error {
	_, err := e.handle(ctx, r)
	return err
}

// handle answers one ring, and returns its task if that was carried out.
func (e *Eraser) handle(ctx context.Context, r jobs.Ring) (done *jobs.Task, err error) {
	asked := time.Now()
	t, err := e.Ledger.Claim(ctx, r, e.Owner, lease)
	if errors.Is(err, jobs.ErrStale) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fault.Point("worker/claimed")
	held, release := e.hold(ctx, t, asked)
	err = e.carryOut(held, t)
	cause := context.Cause(held)
	release()
	if errors.Is(cause, jobs.ErrStale) {
		return nil, nil
	}
	fault.Point("worker/answer")
	if err == nil {
		return &t, nil
	}
	return nil, e.answer(ctx, t, err)
}

func (e *Eraser) carryOut(ctx context.Context, t jobs.Task) (err error) {
	ctx, end := e.step(ctx, string(t.Kind), t, 0)
	defer func() { end(err) }()
	s := e.Stores[t.Store]
	if s == nil {
		return errUnknownStore
	}
	if _, err := s.life(); err != nil {
		return err // before an attempt is counted
	}
	switch t.Kind {
	case jobs.PlanTask:
		return e.plan(ctx, t, s)
	case jobs.BatchTask:
		return e.erase(ctx, t, s)
	case jobs.SettleTask:
		return e.settle(ctx, t, s)
	}
	return fmt.Errorf("carry out task: unknown kind")
}

// hold extends the lease of a task claimed at a time of this process's own clock,
// for as long as it is carried out. The context it returns ends before the lease
// does, also if the ledger does not answer; in a process that was stopped, as soon
// as the ledger says that the task is another's, or says nothing.
func (e *Eraser) hold(ctx context.Context, t jobs.Task, claimed time.Time) (context.Context, func()) {
	held, lose := context.WithCancelCause(ctx)
	var sure grip
	sure.until(claimed.Add(lease * 3 / 4))
	held = store.WithLeave(held, sure.leave)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lease / 4)
		defer tick.Stop()
		for end := claimed.Add(lease * 3 / 4); ; {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			asked := time.Now()
			within, cancel := context.WithTimeout(held, max(end.Sub(asked), lease/8))
			err := e.Ledger.Extend(within, t.Ring, lease)
			cancel()
			switch {
			case err == nil:
				end = asked.Add(lease * 3 / 4)
				sure.until(end)
			case fault.Bug("worker/works-without-lease"):
			case errors.Is(err, jobs.ErrStale), !time.Now().Before(end):
				lose(jobs.ErrStale) // gone, or too close to its end to go on
			}
		}
	}()
	return held, func() { lose(nil); <-done }
}

// errUnknownStore: the configuration no longer names the store of a job.
var errUnknownStore = errors.New("store is not configured")

// answer tells the ledger what became of a task that did not answer itself.
func (e *Eraser) answer(ctx context.Context, t jobs.Task, err error) error {
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	var wait *waitError
	switch {
	case err == nil, errors.Is(err, jobs.ErrStale):
		return nil
	case errors.Is(err, jobs.ErrStopped):
		return unlessStale(e.Ledger.Drop(ctx, t.Ring))
	case stopping: // give it back at once: another process may go on
		return unlessStale(e.Ledger.Retry(ctx, t.Ring, 0, ""))
	case errors.As(err, &wait):
		return unlessStale(e.Ledger.Retry(ctx, t.Ring, wait.after, wait.note))
	case errors.Is(err, errDown): // its Link says so in the log, once
		return unlessStale(e.Ledger.Retry(ctx, t.Ring, downTurn, jobs.NoteStoreDown))
	}
	e.Logger.WarnContext(ctx, "a task failed and will be tried again", slog.String("request_id", t.Request),
		slog.String("store", t.Store), slog.String("task", string(t.Kind)), slog.Int("attempt", t.Attempts), slog.Any("error", err))
	return unlessStale(e.Ledger.Retry(ctx, t.Ring, backoff(t.Attempts), note(err)))
}

func unlessStale(err error) error {
	if errors.Is(err, jobs.ErrStale) {
		return nil
	}
	return err
}

// A waitError puts a task back without being a failure.
type waitError struct {
	after time.Duration
	note  string
}

func (w *waitError) Error() string { return "waits: " + w.note }

// backoff is how long a task waits after its n-th attempt: 0.25 s, doubling, at
// most a minute. Lateness raises an alert; giving up is not for us to decide.
func backoff(n int) time.Duration {
	return min(250*time.Millisecond<<min(max(n-1, 0), 10), time.Minute)
}

// note is the code under which a job's trouble shows.
func note(err error) string {
	switch {
	case errors.Is(err, errUnknownStore):
		return "store-not-configured"
	case errors.Is(err, errRemains):
		return "not-verified"
	case errors.Is(err, errAbsurd), errors.Is(err, errPanicked):
		return "store-broken"
	case errors.Is(err, store.ErrRefused):
		return "store-refused"
	case errors.Is(err, store.ErrUnavailable):
		return jobs.NoteStoreDown
	case errors.Is(err, store.ErrBusy):
		return "store-busy"
	}
	return "store-error"
}

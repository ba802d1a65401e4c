package jobs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/store"
)

const (
	watchTurn  = time.Minute      // at least so often it is looked what is due
	watchLease = 10 * time.Minute // after which a watch that was taken may be taken again
	watchBusy  = time.Hour        // how long one waits whose last finding is still being erased
	watchLimit = 500              // watches in one reading of a store
	watchPause = 5                // times as long as a reading took, no other follows
	epochTurn  = time.Hour
)

// What a watch finds; they label a metric, so they are a closed set.
const (
	FoundBack    = "back"
	FoundLater   = "later"
	FoundUndated = "undated"
)

// A Watched is one look, due at a time after a request was completed, whether
// anything of it has come back to a store.
type Watched struct {
	Request, Store string
	DueAt          time.Time
	Busy           bool // what an earlier one has filed has not ended
	Unable         bool // the store lists nothing
	Return
}

// A ReturnLedger is what a Watch needs of the book's keeper. What is filed is filed
// by Ledger.Accept: in one transaction with what the looks came to.
type ReturnLedger interface {
	// Graves yields the marks of completed requests that erased anything in a store
	// after since: of those that are named, or of all. It may be ended early.
	Graves(ctx context.Context, storeName string, since time.Time, requests []string) iter.Seq2[Grave, error]
	// Suppressed returns the newest completed request that has one of some marks of
	// an identifier, or nil.
	Suppressed(ctx context.Context, marks []Mark) (*Suppressed, error)

	// TakeWatches takes up to limit looks that are due; nobody else gets them before
	// until. EndWatches says what looks came to that filed nothing; those that have
	// been ended already stay as they are. PutOff says that they are not to be taken
	// before until.
	TakeWatches(ctx context.Context, storeName string, until time.Time, limit int) ([]Watched, error)
	EndWatches(ctx context.Context, done []Watched) error
	PutOff(ctx context.Context, w []Watched, until time.Time) error

	// LogReplay logs a replay that has filed nothing.
	LogReplay(ctx context.Context, e *proof.Replayed) error

	// SuppressionEpochs returns the epochs that have marks. ForgetEpoch removes those
	// of one, whose key has been destroyed, with the entry that says so, once.
	SuppressionEpochs(ctx context.Context) ([]string, error)
	ForgetEpoch(ctx context.Context, epoch string, e proof.Entry) error
}

// ListedStores is how a Watch looks into stores. An error wraps store.ErrUnavailable
// if the store is down, and ErrUnable if it cannot list what is in it.
type ListedStores interface {
	Clock(ctx context.Context, storeName string) (time.Time, error)
	Rows(ctx context.Context, storeName string) iter.Seq2[store.Row, error]
}

// A Watch looks, some times after a request was completed, whether what it erased
// has come back, and has it erased again. It also destroys the keys by which it
// knows, when no backup can be as old any more. Several may run at once, in any
// number of processes.
//
// Its fields are set before the first call and not changed.
type Watch struct {
	Ledger  ReturnLedger
	Keys    EpochKeys
	Intake  *Intake
	Stores  ListedStores
	Names   []string        // of the stores
	Erase   map[string]bool // stores in which a row that does not say when it was made counts as one that has come back
	Keep    time.Duration   // how long after its end an epoch's key is kept; 0 for ever
	Now     func() time.Time
	Rest    func() bool                         // whether nothing can be written now; nil for never
	Found   func(storeName, what string, n int) // counts, for metrics; or nil
	Pulse   Pulse                               // also while a store is read, and while it is down, which is said elsewhere
	Logger  *slog.Logger
	Turn    time.Duration // at least so often it is looked what is due; 0 for a minute
	replays sync.Mutex
}

// watchActor files what a watch has found: nobody has asked for it.
//
//nolint:gochecknoglobals // Go has no constants of structs
var watchActor = Actor{ID: "watch", Role: RoleSubmitter}

// Run watches until ctx is done. Stores do not wait for each other.
func (w *Watch) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, name := range w.Names {
		group.Go(func() {
			w.repeat(ctx, "watching a store", name, func(ctx context.Context, alive func()) (time.Duration, error) { return w.look(ctx, name, alive) })
		})
	}
	group.Go(func() {
		w.repeat(ctx, "destroying old keys", "", func(ctx context.Context, _ func()) (time.Duration, error) { return w.forget(ctx) })
	})
	group.Wait()
	<-ctx.Done()
	return nil
}

func (w *Watch) repeat(ctx context.Context, what, name string, turn func(ctx context.Context, alive func()) (time.Duration, error)) {
	turned := w.Pulse.Begin()
	for said := ""; ctx.Err() == nil; {
		wait, text := w.turn(), ""
		if w.Rest == nil || !w.Rest() {
			var err error
			if wait, err = turn(ctx, turned); err != nil {
				text = err.Error()
			}
			if text != "" && text != said && ctx.Err() == nil { // once: it is tried again
				w.Logger.WarnContext(ctx, what+"; it is tried again", slog.String("store", name), slog.Any("error", err))
			}
			said = text
			if errors.Is(err, store.ErrUnavailable) {
				text = ""
			}
		}
		for ; wait > 0 && ctx.Err() == nil; wait -= w.turn() {
			if text == "" {
				turned()
			}
			select {
			case <-ctx.Done():
			case <-time.After(min(wait, w.turn())):
			}
		}
	}
}

func (w *Watch) turn() time.Duration {
	if w.Turn > 0 {
		return w.Turn
	}
	return watchTurn
}

// look compares a store with the requests whose time has come, and returns how long
// to wait. One reading serves all of them, and a store that takes long to be read is
// not read all the time.
func (w *Watch) look(ctx context.Context, name string, alive func()) (wait time.Duration, err error) {
	wait = w.turn()
	due, err := w.Ledger.TakeWatches(ctx, name, w.Now().Add(watchLease), watchLimit)
	if err != nil || len(due) == 0 {
		return wait, err
	}
	fault.Point("jobs/watch-taken")
	var now, busy []Watched
	for _, d := range due {
		if d.Busy {
			busy = append(busy, d)
		} else {
			now = append(now, d)
		}
	}
	if len(busy) > 0 {
		if err := w.Ledger.PutOff(ctx, busy, w.Now().Add(watchBusy)); err != nil {
			return wait, err
		}
	}
	if len(now) == 0 {
		return wait, nil
	}
	began := time.Now()
	err = w.watch(ctx, name, now, alive)
	if err != nil { // soon again, and not after the lease
		err = errors.Join(err, w.Ledger.PutOff(context.WithoutCancel(ctx), now, w.Now().Add(w.turn())))
	}
	return max(wait, watchPause*time.Since(began)), err
}

// watch does some looks by one reading of their store.
func (w *Watch) watch(ctx context.Context, name string, due []Watched, alive func()) error {
	requests := make([]string, 0, len(due))
	for _, d := range due {
		requests = append(requests, d.Request)
	}
	f := &finding{w: w, store: name, by: watchActor, origin: OriginWatch, alive: alive}
	defer f.discard(ctx)
	s, err := f.compare(ctx, w.Ledger.Graves(ctx, name, time.Time{}, requests))
	switch {
	case errors.Is(err, ErrUnable):
		for i := range due {
			due[i].Unable = true
		}
		return w.Ledger.EndWatches(ctx, due)
	case err != nil:
		return err
	}
	for i, d := range due {
		if r := s.requests[d.Request]; r != nil {
			due[i].Return = *r
		}
	}
	if s.all.Back == 0 {
		err = w.Ledger.EndWatches(ctx, due)
	} else {
		fault.Point("jobs/came-back")
		if fault.Bug("watch/answered-first") {
			err = w.Ledger.EndWatches(ctx, due)
		}
		err = errors.Join(err, f.file(ctx, due, nil))
	}
	if errors.Is(err, ErrSwept) { // another process was faster
		return nil
	}
	if err == nil {
		w.tell(ctx, name, s.all, f.filed)
	}
	return err
}

// tell counts and logs what a reading has found. Nothing is said of nothing.
func (w *Watch) tell(ctx context.Context, name string, r Return, filed []string) {
	if r == (Return{}) {
		return
	}
	if w.Found != nil {
		w.Found(name, FoundBack, r.Back)
		w.Found(name, FoundLater, r.Later)
		w.Found(name, FoundUndated, r.Undated)
	}
	about := []any{slog.String("store", name), slog.Int("back", r.Back), slog.Int("later", r.Later), slog.Int("undated", r.Undated), slog.Any("requests", filed)}
	if r.Back > 0 {
		w.Logger.WarnContext(ctx, "what was erased has come back, and is erased again: was a backup restored, or does somebody write what they had kept?", about...)
		return
	}
	w.Logger.InfoContext(ctx, "there are rows of somebody who was forgotten, and nothing says that they were made before: they are left", about...)
}

// forget destroys the keys of epochs that have been over for long enough. The key
// goes first and the entry second: an entry must never say of a key that still
// exists that it is gone.
func (w *Watch) forget(ctx context.Context) (time.Duration, error) {
	if w.Keep <= 0 {
		return epochTurn, nil
	}
	known, err := w.Ledger.SuppressionEpochs(ctx)
	if err != nil {
		return epochTurn, err
	}
	kept, err := w.Keys.Epochs()
	if err != nil {
		return epochTurn, err
	}
	over := map[string]bool{}
	for _, epoch := range append(known, kept...) {
		if end := epochEnd(epoch); !end.IsZero() && w.over(end) {
			over[epoch] = true
		}
	}
	for epoch := range over {
		if err := w.Keys.DestroyEpoch(epoch); err != nil {
			return epochTurn, err
		}
		fault.Point("jobs/epoch-destroyed")
		if err := w.Ledger.ForgetEpoch(ctx, epoch, destroyedEntry(epoch, w.Now())); err != nil {
			return epochTurn, err
		}
	}
	return epochTurn, nil
}

// over reports whether no backup from before an end is kept any more.
func (w *Watch) over(end time.Time) bool {
	keep := w.Keep
	if fault.Bug("watch/key-early") {
		keep = 0
	}
	return end.Add(keep).Before(w.Now()) && !fault.Bug("watch/key-kept")
}

// Suppressed implements Returns.
func (w *Watch) Suppressed(ctx context.Context, by Actor, sel store.Selector) (*Suppressed, error) {
	if err := by.Check(ActSuppression); err != nil {
		return nil, err
	}
	if err := sel.Validate(); err != nil {
		return nil, err
	}
	who, alone := Identity(sel)
	if !alone {
		return nil, &store.FieldError{Field: "selector", Problem: "must have one of user_id, agent_id, app_id, run_id, and nothing else"}
	}
	epochs, err := w.Keys.Epochs()
	if err != nil {
		return nil, err
	}
	var marks []Mark
	for _, epoch := range epochs {
		key, err := w.Keys.Epoch(epoch, false)
		switch {
		case errors.Is(err, ErrGone): // meanwhile
			continue
		case err != nil:
			return nil, err
		}
		marks = append(marks, NewMarker(epoch, key).Who(who))
	}
	s, err := w.Ledger.Suppressed(ctx, marks)
	if err == nil && s != nil && !by.Sees(s.FiledBy) {
		s.Request = ""
	}
	return s, err
}

// ErrSkew is wrapped if the clock of a store and ours differ too much to go by when
// its rows were made.
var ErrSkew = errors.New("the store's clock and ours differ by more than a minute: set them right")

// inTime makes sure that what rows say of when they were made can be compared with
// what we know.
func (w *Watch) inTime(ctx context.Context, name string) error {
	before := w.Now()
	there, err := w.Stores.Clock(ctx, name)
	switch {
	case err != nil:
		return err
	case there.Before(before.Add(-sweepSkew)) || there.After(w.Now().Add(sweepSkew)):
		return fmt.Errorf("compare %s with what was erased: %w", name, ErrSkew)
	}
	return nil
}

package jobs

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/store"
)

// A finding is what has come back to a store, on its way into the book: the IDs go
// from the store into staging, so that they never stand in memory together.
type finding struct {
	w       *Watch
	store   string
	by      Actor
	origin  string
	dry     bool
	alive   func()    // called now and then while the store is read; or nil
	staged  []Staging // all but the last are full
	filed   []string  // requests
	keyless int
}

// compare reads the store and stages what has come back.
func (f *finding) compare(ctx context.Context, known iter.Seq2[Grave, error]) (seen, error) {
	if err := f.w.inTime(ctx, f.store); err != nil {
		return seen{}, err
	}
	g, keyless, err := dig(f.store, f.w.Keys, known)
	if err != nil {
		return seen{}, err
	}
	f.keyless = keyless
	return g.compare(ctx, f.rows(ctx), f.w.Erase[f.store], f.stage)
}

// rows yields the store's, and says that it is still at it.
func (f *finding) rows(ctx context.Context) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		n := 0
		for r, err := range f.w.Stores.Rows(ctx, f.store) {
			if n++; f.alive != nil && n%10_000 == 0 {
				f.alive()
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (f *finding) stage(ctx context.Context, ids []store.ID) error {
	if f.dry {
		return nil
	}
	if n := len(f.staged); n == 0 || f.staged[n-1].Len()+len(ids) > MaxIDs {
		st, err := f.w.Intake.Stage(ctx)
		if err != nil {
			return err
		}
		f.staged = append(f.staged, st)
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return f.staged[len(f.staged)-1].Add(ctx, texts)
}

func (f *finding) discard(ctx context.Context) {
	for _, st := range f.staged {
		_ = st.Discard(ctx) // what is left goes at the next start
	}
}

// file files the requests. The last one answers the looks, or logs the replay, in
// its own transaction: a crash before it has all found again, and what is asked for
// twice is gone at the second time.
func (f *finding) file(ctx context.Context, due []Watched, entry *proof.Replayed) error {
	for i, st := range f.staged {
		s := Submission{By: f.by, Staged: st, Stores: []string{f.store}, Origin: f.origin}
		o := occasion{unasked: true}
		if i == len(f.staged)-1 {
			o.watched = due
			if entry != nil && !fault.Bug("watch/replay-unlogged") {
				o.replayed = func(request string) proof.Entry {
					filed := append(slices.Clone(f.filed), request)
					entry.Requests, entry.First = len(filed), filed[0]
					return entry
				}
			}
		}
		r, _, err := f.w.Intake.file(ctx, s, o)
		if err != nil {
			return err
		}
		f.filed = append(f.filed, r.ID)
	}
	return nil
}

// A ReplayOrder asks to compare a store with what is known to be gone.
type ReplayOrder struct {
	Store    string
	BackupAt time.Time // what was erased since then is compared; zero for all that is known
	Dry      bool      // only say what would be erased
}

// A Replay is what that came to.
type Replay struct {
	ID    string
	Store string
	Return
	Places   map[string]Return
	Keyless  int      // digests that cannot be compared, since their key is not there
	Requests []string // that were filed
}

// Returns is what a door may ask about what comes back. *Watch is one.
//
// Methods may be called concurrently. Their errors wrap ErrForbidden, ErrNotFound
// for a store that is not configured, ErrUnable for one that cannot list what is in
// it, ErrSkew, store.ErrUnavailable if it is down, or store.ErrSelector.
type Returns interface {
	// Suppressed tells whether somebody was forgotten by the one identity key that sel
	// has: nil for no. Whose request it was is told to who may see it.
	Suppressed(ctx context.Context, by Actor, sel store.Selector) (*Suppressed, error)
	// Replay has erased again what a restored backup has brought back.
	Replay(ctx context.Context, by Actor, o ReplayOrder) (Replay, error)
}

var _ Returns = (*Watch)(nil)

// Replay implements Returns.
func (w *Watch) Replay(ctx context.Context, by Actor, o ReplayOrder) (Replay, error) {
	if err := by.Check(ActReplay); err != nil {
		return Replay{}, err
	}
	if !slices.Contains(w.Names, o.Store) {
		return Replay{}, ErrNotFound
	}
	if o.BackupAt.After(w.Now().Add(clockSkew)) {
		return Replay{}, &Invalid{"backup_time", "must not be in the future"}
	}
	w.replays.Lock()
	defer w.replays.Unlock()
	f := &finding{w: w, store: o.Store, by: by, origin: OriginReplay, dry: o.Dry}
	defer f.discard(ctx)
	s, err := f.compare(ctx, w.Ledger.Graves(ctx, o.Store, o.BackupAt, nil))
	if err != nil {
		return Replay{}, err
	}
	r := Replay{Store: o.Store, Return: s.all, Places: map[string]Return{}, Keyless: f.keyless}
	for place, of := range maps.All(s.places) {
		r.Places[place] = *of
	}
	if o.Dry {
		return r, nil
	}
	r.ID = uuid.NewString()
	entry := &proof.Replayed{ReplayID: r.ID, Store: o.Store, Back: s.all.Back, Later: s.all.Later, Undated: s.all.Undated, By: by.ID, ReplayedAt: proof.At(w.Now())}
	if !o.BackupAt.IsZero() {
		entry.BackupAt = proof.At(o.BackupAt)
	}
	fault.Point("jobs/replay-found")
	if len(f.staged) == 0 {
		err = w.Ledger.LogReplay(ctx, entry)
	} else {
		err = f.file(ctx, nil, entry)
	}
	if r.Requests = f.filed; err == nil {
		w.tell(ctx, o.Store, s.all, f.filed)
	}
	return r, err
}

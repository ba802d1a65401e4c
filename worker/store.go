package worker

import (
	"context"
	"sync"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// A Store is a store.Store with what the configuration says about it.
type Store struct {
	store.Store
	Name, Kind  string
	Concurrency int              // batches at once; SQLite takes 1
	Purge       PurgePolicy      // when its files may be rewritten
	Rewrites    bool             // a purge rewrites the tables of a server, which keeps a log of its own
	Exclusions  []jobs.Exclusion // what erasing in it does not reach
	AtMost      store.Evidence   // of a store that keeps what it does not show: "erased"; else ""

	once  sync.Once
	slots chan struct{}

	reading sync.RWMutex  // held by scans; a purge, which renumbers rows, excludes them
	purging sync.Mutex    // one purge at a time
	purgeAt time.Time     // not before: see the package's Decisions
	resting time.Duration // the rest that purgeAt came from
}

// enter waits for one of the store's slots and returns how to leave it.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	s.once.Do(func() { s.slots = make(chan struct{}, max(1, s.Concurrency)) })
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A link is a Store that may be away, and be another one when it is back.
type link interface {
	with(ctx context.Context, f func(context.Context, store.Store) error) error
	life() (any, error)
}

// with calls f with the store itself, for what not every store can do. Of one
// that is down nothing is known: that is an error.
func (s *Store) with(ctx context.Context, f func(store.Store) error) error {
	return s.within(ctx, func(_ context.Context, st store.Store) error { return f(st) })
}

// within is with for what takes long: the context that f gets ends when the store
// goes down.
func (s *Store) within(ctx context.Context, f func(context.Context, store.Store) error) error {
	if l, ok := s.Store.(link); ok {
		return l.with(ctx, f)
	}
	return f(ctx, s.Store)
}

// life returns what must be the same before and after reads that belong
// together, or an error while the store is down.
func (s *Store) life() (any, error) {
	if l, ok := s.Store.(link); ok {
		return l.life()
	}
	return nil, nil
}

// purges reports whether the store's files are to be purged.
func (s *Store) purges(ctx context.Context) (can bool, err error) {
	err = s.with(ctx, func(st store.Store) error {
		_, can = st.(store.Purger)
		return nil
	})
	return can && !s.Purge.Off, err
}

// unreached returns the places that sel cannot be compared with.
func (s *Store) unreached(ctx context.Context, sel store.Selector) (places []string, err error) {
	err = s.with(ctx, func(st store.Store) error {
		if l, ok := st.(store.Limiter); ok {
			places = l.Unreached(sel)
		}
		return nil
	})
	return places, err
}

// A PurgePolicy says when a store's files may be rewritten. The zero policy
// allows it at any time.
type PurgePolicy struct {
	Off      bool // never: the evidence ends at verified
	From, To int  // minutes since local midnight; equal for no window
	Location *time.Location
}

// Next returns the first time, t or later, at which the policy allows a purge.
// It looks minute by minute at the clock on the wall, so that nights with an
// hour more or less are no cases of their own.
func (p PurgePolicy) Next(t time.Time) time.Time {
	if p.allows(t) {
		return t
	}
	at := t.Truncate(time.Minute)
	for range 3 * 24 * 60 { // a window may fall out for one night
		if at = at.Add(time.Minute); p.allows(at) {
			break
		}
	}
	return at
}

func (p PurgePolicy) allows(t time.Time) bool {
	local := t.In(p.location())
	minute := local.Hour()*60 + local.Minute()
	switch {
	case p.From < p.To:
		return p.From <= minute && minute < p.To
	case p.From > p.To: // over midnight
		return p.From <= minute || minute < p.To
	}
	return true
}

func (p PurgePolicy) location() *time.Location {
	if p.Location == nil {
		return time.Local
	}
	return p.Location
}

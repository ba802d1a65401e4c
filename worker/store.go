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
	Exclusions  []jobs.Exclusion // what erasing in it does not reach

	once  sync.Once
	slots chan struct{}

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

// purges reports whether the store's files are to be purged.
func (s *Store) purges() bool {
	_, can := s.Store.(store.Purger)
	return can && !s.Purge.Off
}

// A PurgePolicy says when a store's files may be rewritten. The zero policy
// allows it at any time.
type PurgePolicy struct {
	Off      bool // never: the evidence ends at verified
	From, To int  // minutes since local midnight; equal for no window
	Location *time.Location
}

// Next returns the first time, t or later, at which the policy allows a purge.
func (p PurgePolicy) Next(t time.Time) time.Time {
	if p.From == p.To {
		return t
	}
	local := t.In(p.location())
	for day := -1; ; day++ { // a window that began yesterday may still be open
		y, m, d := local.Date()
		from := time.Date(y, m, d+day, 0, p.From, 0, 0, p.location())
		to := time.Date(y, m, d+day, 0, p.To, 0, 0, p.location())
		if p.To < p.From {
			to = time.Date(y, m, d+day+1, 0, p.To, 0, 0, p.location())
		}
		if t.Before(to) {
			if t.After(from) {
				return t
			}
			return from
		}
	}
}

func (p PurgePolicy) location() *time.Location {
	if p.Location == nil {
		return time.Local
	}
	return p.Location
}

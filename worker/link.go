package worker

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"lethe/store"
)

// A Link is a store.Store that may be away: when the service starts, or later.
// Run opens it, and opens it anew after an outage. Until then every call fails
// with an error wrapping store.ErrUnavailable and the reason, at once.
//
// It is a store.Purger whatever the store is; Purge fails for one that is none.
// What else a store may be able to do is asked of the store itself, by with: of
// one that was never opened nothing is known.
//
// The exported fields are set before the first call and not changed.
type Link struct {
	Name   string
	Open   func(ctx context.Context) (store.Store, error)
	Logger *slog.Logger
	Now    func() time.Time

	Pace     time.Duration // the unit of what is waited between attempts; 0 for 1 s
	Patience time.Duration // for an answer; 0 for 5 s; opening may take six times as long

	mu     sync.Mutex
	now    *opened // nil while the store is down
	reason error   // why it is down
	since  time.Time
	said   string        // the reason that was logged; "" for none
	fell   chan struct{} // tells Run
	closed bool
	last   *opened // closed before another is opened
	fails  int     // attempts to open it since it was last up
	flaps  int     // outages soon after it was opened, in a row
}

// An opened is one life of the store, from being opened to an outage.
type opened struct {
	store.Store
	gone  context.Context // done when the store went down
	ended error           // why it did, once gone is done
	leave context.CancelFunc
	calls sync.WaitGroup
	at    time.Time
}

var (
	errDown      = errors.New("the store is down") // wrapped by every error of a Link whose store is
	errNotOpened = errors.New("not opened yet")
	errClosed    = errors.New("closed")
	errUnasked   = errors.New("the store was not asked") // wrapped by errors of a Link that was down before the call
)

// A downError is an error of a store that is down.
type downError struct {
	reason  error
	unasked bool
}

func (e downError) Error() string { return errDown.Error() + ": " + e.reason.Error() }
func (e downError) Unwrap() []error {
	all := []error{errDown, store.ErrUnavailable, e.reason}
	if e.unasked {
		all = append(all, errUnasked)
	}
	return all
}

var _ interface {
	store.Store
	store.Purger
} = (*Link)(nil)

// Down returns why the store is down, or nil, and since when it is as it is.
func (l *Link) Down() (since time.Time, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != nil {
		return l.since, nil
	}
	return l.since, l.why()
}

// why is called with the lock.
func (l *Link) why() error {
	if l.reason == nil {
		return errNotOpened
	}
	return l.reason
}

// with calls f with the store, which is not closed meanwhile. An error of f
// that tells of an outage takes the store down, and ends the other calls.
func (l *Link) with(ctx context.Context, f func(context.Context, store.Store) error) error {
	o, err := l.enter()
	if err != nil {
		return err
	}
	defer o.calls.Done()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.gone, cancel)()
	err = f(inner, o.Store)
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case outage(err):
		l.fall(o, err)
		return downError{reason: err}
	case o.gone.Err() != nil: // ended by the outage that another call met
		return downError{reason: o.ended}
	}
	return err
}

// outage reports whether err says something of the store as a whole that may be
// mended outside. Whether it is so, opening the store anew tells.
func outage(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrDenied) || errors.Is(err, store.ErrSchema)
}

func (l *Link) enter() (*opened, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil {
		return nil, downError{l.why(), true}
	}
	l.now.calls.Add(1)
	return l.now, nil
}

// fall takes the life o of the store down, once.
func (l *Link) fall(o *opened, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != o {
		return
	}
	l.now, l.last = nil, o
	l.reason, l.since = reason, l.Now()
	if l.flaps++; l.since.Sub(o.at) >= l.times(settled) {
		l.flaps = 0
	}
	o.ended = reason
	o.leave()
	select {
	case l.bell() <- struct{}{}:
	default:
	}
}

// bell is called with the lock.
func (l *Link) bell() chan struct{} {
	if l.fell == nil {
		l.fell = make(chan struct{}, 1)
	}
	return l.fell
}

// life returns what a job relies on when it reads in several steps: another
// life may be another file. It fails while the store is down.
func (l *Link) life() (any, error) {
	o, err := l.enter()
	if err != nil {
		return nil, err
	}
	o.calls.Done()
	return o, nil
}

// Find implements store.Store.
func (l *Link) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		err := l.with(ctx, func(ctx context.Context, s store.Store) error {
			for id, err := range s.Find(ctx, sel) {
				if err != nil {
					return err
				}
				if !yield(id, nil) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(store.ID{}, err)
		}
	}
}

// Count implements store.Store. An error of sels is not one of the store.
func (l *Link) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (c store.Census, err error) {
	var asked error
	err = l.with(ctx, func(ctx context.Context, s store.Store) (err error) {
		c, err = s.Count(ctx, func(yield func(store.Selector, error) bool) {
			for sel, err := range sels {
				if asked = err; !yield(sel, err) || err != nil {
					return
				}
			}
		})
		if asked != nil {
			return nil
		}
		return err
	})
	return c, errors.Join(asked, err)
}

// Erase implements store.Store.
func (l *Link) Erase(ctx context.Context, ids []store.ID) (r store.Receipt, err error) {
	err = l.with(ctx, func(ctx context.Context, s store.Store) (err error) {
		r, err = s.Erase(ctx, ids)
		return err
	})
	return r, err
}

// Remaining implements store.Store.
func (l *Link) Remaining(ctx context.Context, ids []store.ID) (left []store.ID, err error) {
	err = l.with(ctx, func(ctx context.Context, s store.Store) (err error) {
		left, err = s.Remaining(ctx, ids)
		return err
	})
	return left, err
}

// Purge implements store.Purger.
func (l *Link) Purge(ctx context.Context) error {
	return l.with(ctx, func(ctx context.Context, s store.Store) error {
		p, ok := s.(store.Purger)
		if !ok {
			return errCannotPurge
		}
		return p.Purge(ctx)
	})
}

// Close implements store.Store. Run must have ended.
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	o := l.now
	l.mu.Unlock()
	if o != nil {
		l.fall(o, errClosed)
	}
	l.bury(context.Background())
	return nil
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lethe/audit"
)

const (
	lookEvery  = time.Second
	stallAfter = time.Minute            // how old the oldest entry that waits for the log may be
	skewLimit  = 250 * time.Millisecond // up to which a process goes by its own clock
)

// ErrStalled is wrapped by a refusal that passes by itself once somebody logs what
// waits.
var ErrStalled = errors.New("entries wait, and nobody logs them")

// A health is what a process on PostgreSQL knows of what it shares with others.
type health struct {
	mu       sync.Mutex
	at       time.Time // of the last look
	stalled  atomic.Pointer[error]
	skew     atomic.Int64  // nanoseconds by which the database's clock is ahead, beyond skewLimit
	patience time.Duration // stallAfter; shorter in tests
}

// Refusal returns why nothing may be begun or destroyed now, as an error that
// wraps audit.ErrRefused, or nil. Besides what the log says (audit.Log.Refusal),
// on PostgreSQL it is that entries have waited for a minute and nobody has logged
// them: what is erased meanwhile, nothing would tell of.
func (l *Ledger) Refusal(ctx context.Context) error {
	if err := l.log.Refusal(); err != nil || l.sequencer == nil {
		return err
	}
	h := &l.health
	if h.mu.TryLock() { // else somebody looks, and soon knows more
		if time.Since(h.at) >= lookEvery {
			l.look(ctx)
			h.at = time.Now()
		}
		h.mu.Unlock()
	}
	if stalled := h.stalled.Load(); stalled != nil {
		return *stalled
	}
	return nil
}

// look asks how the log gets on, and what time it is there. A database that does
// not answer in time says nothing of either. Whoever gave up asking Refusal does
// not end it, for all go by what it finds.
func (l *Ledger) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pgConnect)
	defer cancel()
	l.compare(ctx)
	l.stay(ctx)
	waits, err := l.log.Pending(ctx)
	if err != nil {
		return
	}
	if waits.Oldest <= l.health.patience {
		l.health.stalled.Store(nil)
		return
	}
	err = fmt.Errorf("%w: %w, for %s: is there a process with the role scheduler, and does it have the log's key?",
		audit.ErrRefused, ErrStalled, waits.Oldest.Round(time.Second))
	l.health.stalled.Store(&err)
}

// compare asks what time it is at the database. When the answer was written is
// known no better than how long it took: one that was slow, or that came to a
// process which had been stopped meanwhile, would set the clock wrong by half of
// that. It counts for nothing, and after the second it is asked again later.
func (l *Ledger) compare(ctx context.Context) {
	for range 2 { // the first may have had to connect
		began := time.Now()
		var there int64
		err := l.read.GetContext(ctx, &there, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`)
		took := time.Since(began)
		if err != nil {
			return
		}
		if took > skewLimit {
			continue
		}
		skew := time.UnixMicro(there).Sub(began.Add(took / 2))
		if skew.Abs() <= skewLimit {
			skew = 0
		}
		l.health.skew.Store(int64(skew))
		return
	}
}

// Skew is by how much the times of two processes of one ledger may differ: none
// on SQLite, which has one.
func (l *Ledger) Skew() time.Duration {
	if l.sequencer == nil {
		return 0
	}
	return 2 * (skewLimit + skewLimit/2) // each to its side, and half of how long a question may take
}

// Now is the time by which the ledger goes: this process's, or the database's if
// the two are more than a quarter of a second apart. So processes agree on when
// a lease ends, and on what was verified before a purge began.
func (l *Ledger) Now() time.Time { return l.now() }

func (l *Ledger) shared() time.Time { return time.Now().Add(time.Duration(l.health.skew.Load())) }

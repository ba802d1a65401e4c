package audit

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
)

// Limits of a Sequencer.
const (
	maxBatch     = 1000
	everyDefault = 10 * time.Millisecond
	idleDefault  = 250 * time.Millisecond
	patience     = time.Second
	roundLimit   = 30 * time.Second // for one transaction, all in all
	firstPause   = 100 * time.Millisecond
	lastPause    = 5 * time.Second
)

// A Sequencer moves entries from the outbox into the log and signs heads, on
// PostgreSQL. Every process may run one; one at a time works, and another takes
// over, after a guard, when work has lain for a second and the log has not
// moved. A head is in sight only once it is committed.
//
// It asks the database for work, every 10 ms while there is some and down to
// every 250 ms while there is none; [Log.Wait] in the same process makes it
// look at once. It does not LISTEN: that needs a session of its own, which a
// pooler does not give, and NOTIFY would make the callers' commits wait for
// each other.
type Sequencer struct {
	Log    *Log
	DB     *sqlx.DB      // to write with; a pool of the primary, not of a standby
	Batch  int           // entries under one head at most; 1000 if 0
	Every  time.Duration // between heads at least, while there is work; 10 ms if 0
	Idle   time.Duration // between looks at most, while there is none; 250 ms if 0
	Signed func(Head)    // told of each head after its commit; must not block; may be nil
	Logger *slog.Logger  // nil for none

	// Pulse, if set, is called once by Run; what it returns is called after every
	// round that was not ended by an error.
	Pulse func() (turned func())

	mine    *mark             // where the log stood when this process guarded or moved it last; nil after a doubt
	watched mark              // where another process has left the log
	since   time.Time         // and since when; zero if there is no work
	pause   func(locked bool) // for tests, before the transaction and before the outbox is emptied
}

// Run works until ctx is done, which is its only end. It finishes the
// transaction that it is in, which takes 30 seconds at most. After an error it
// forgets what it knew of the log, waits, longer each time up to 5 seconds, and
// begins with a guard. While the log refuses to append nothing is logged, and
// the guard is asked again. Run it once at a time.
func (s *Sequencer) Run(ctx context.Context) error {
	work, _ := s.Log.outbox.channels()
	rest, trouble, turned := s.idle(), firstPause, beginTurns(s.Pulse)
	for ctx.Err() == nil {
		n, err := s.round(ctx)
		if isFalse(err) && s.Log.Refusal() == nil {
			_ = s.Log.refuse(err)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			s.logger().ErrorContext(ctx, "logging entries", slog.Any("error", err))
			sleep(ctx, trouble, nil)
			trouble = min(2*trouble, lastPause)
			continue
		case n > 0:
			rest = s.every()
		default:
			rest = min(2*rest, s.idle())
		}
		turned()
		trouble = firstPause
		sleep(ctx, s.every(), nil)
		sleep(ctx, rest-s.every(), work)
	}
	return nil
}

// round logs what waits, once, and returns how many rows it took.
func (s *Sequencer) round(ctx context.Context) (n int, err error) {
	defer func() {
		if err != nil {
			s.mine = nil
		}
	}()
	now, waiting, err := s.Log.mark(ctx, s.DB)
	if err != nil {
		return 0, err
	}
	refused := s.Log.Refusal() != nil
	if !waiting && !refused {
		s.since = time.Time{}
		return 0, nil
	}
	if now.log != s.Log.base>>shift {
		return 0, s.Log.refuse(ErrSucceeded)
	}
	if refused {
		s.mine = nil
	}
	if s.mine == nil || *s.mine != now {
		if s.mine != nil && !s.abandoned(now) {
			return 0, nil
		}
		if err := s.guard(ctx); err != nil {
			return 0, err
		}
		s.mine = &now
	}
	return s.sequence(ctx)
}

// abandoned reports whether work has lain, and the log stood where another
// process left it, for a second. Taking over sooner would cost a guard for each
// change of hands.
func (s *Sequencer) abandoned(now mark) bool {
	if s.since.IsZero() || now != s.watched {
		s.watched, s.since = now, time.Now()
	}
	return time.Since(s.since) >= patience
}

// guard makes sure of the log before this process moves it. It must also
// continue what this process has moved itself: a standby that was promoted may
// have less.
func (s *Sequencer) guard(ctx context.Context) error {
	s.logger().InfoContext(ctx, "taking over the log")
	return s.Log.Guard(ctx)
}

// sequence logs what waits in one transaction. The end of ctx does not stop it,
// for a commit that is broken off is in doubt. A connection on which anything
// failed is not used again.
func (s *Sequencer) sequence(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundLimit)
	defer cancel()
	conn, err := s.DB.Connx(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer func() {
		if err != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // takes it out of the pool
		}
		_ = conn.Close() // given back, or gone
	}()
	if s.pause != nil {
		s.pause(false)
	}
	tx, err := conn.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	b, err := s.move(ctx, tx)
	if err != nil || b.rows == 0 {
		_ = tx.Rollback() // the error above says more
		return 0, err
	}
	fault.Point("audit/sequencing")
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("commit, which may have been done or not: %w", err)
	}
	fault.Point("audit/sequenced")
	s.mine = &b.after
	for _, x := range b.outcasts {
		s.logger().ErrorContext(ctx, "an entry can not be logged and was put aside", slog.Int64("seq", x.seq), slog.String("reason", x.reason))
	}
	if b.head.Size > 0 {
		s.Log.saw(b.head, b.keys)
		s.Log.outbox.tell()
		if s.Signed != nil {
			s.Signed(b.head)
		}
	}
	return b.rows, nil
}

func (s *Sequencer) batch() int {
	if s.Batch > 0 {
		return min(s.Batch, maxBatch)
	}
	return maxBatch
}

func (s *Sequencer) every() time.Duration {
	if s.Every > 0 {
		return s.Every
	}
	return everyDefault
}

func (s *Sequencer) idle() time.Duration {
	if s.Idle > 0 {
		return max(s.Idle, s.every())
	}
	return max(idleDefault, s.every())
}

func (s *Sequencer) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.New(slog.DiscardHandler)
}

// sleep returns after d, or when ctx is done or there is word of work.
func sleep(ctx context.Context, d time.Duration, work <-chan struct{}) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-work:
	case <-t.C:
	}
}

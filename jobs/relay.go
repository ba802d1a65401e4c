package jobs

import (
	"context"
	"log/slog"
	"time"

	"lethe/audit/fault"
)

// A Bell rings workers. Ring is idempotent: a ring that the queue has already
// is no error. Any error means that the ring may or may not have been taken.
type Bell interface {
	Ring(ctx context.Context, r Ring) error
}

// An Outbox is what the Relay needs of the ledger.
type Outbox interface {
	// Enqueue marks ready rows queued and returns them, for each store at most
	// as many as fill its window.
	Enqueue(ctx context.Context, windows map[string]int) ([]Ring, error)
	// Unqueue undoes that for one row, which becomes ready after a while.
	Unqueue(ctx context.Context, r Ring, after time.Duration) error
	// Bell receives after a commit that left a row ready. It is a hint.
	Bell() <-chan struct{}
}

// relayPoll is how often the outbox is looked at without a hint.
const relayPoll = 200 * time.Millisecond

// A Relay carries rings from the outbox to the queue. Several may run at once,
// in any number of processes: each row is marked before it is rung.
type Relay struct {
	Outbox  Outbox
	Bell    Bell
	Windows map[string]int // per store: how many tasks may be queued or running
	Rest    func() bool    // whether nothing is to be begun now; nil for never
	Pulse   Pulse
	Logger  *slog.Logger

	away bool // the outbox did not answer when it was last asked
}

// Run carries until ctx is done. Errors are logged and tried again.
func (r *Relay) Run(ctx context.Context) error {
	tick := time.NewTicker(relayPoll)
	defer tick.Stop()
	for turned := r.Pulse.Begin(); ; {
		if r.Rest != nil && r.Rest() || r.carry(ctx) {
			turned()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.Outbox.Bell():
		case <-tick.C:
		}
	}
}

// carry reports whether the outbox answered, and the queue took all that it was to.
func (r *Relay) carry(ctx context.Context) (ok bool) {
	rings, err := r.Outbox.Enqueue(ctx, r.Windows)
	switch {
	case ctx.Err() != nil:
	case err != nil && !r.away: // once: it is asked again five times a second
		r.Logger.WarnContext(ctx, "the outbox does not answer; it is asked again", slog.Any("error", err))
	case err == nil && r.away:
		r.Logger.InfoContext(ctx, "the outbox answers again")
	}
	r.away = err != nil
	ok = err == nil
	for _, ring := range rings {
		fault.Point("jobs/relay-taken")
		if err := r.Bell.Ring(ctx, ring); err != nil && ctx.Err() == nil {
			ok = false
			r.Logger.WarnContext(ctx, "the queue did not take a task", slog.Any("error", err))
			if err := r.Outbox.Unqueue(ctx, ring, time.Second); err != nil && ctx.Err() == nil {
				r.Logger.WarnContext(ctx, "the outbox did not answer", slog.Any("error", err))
			}
		}
	}
	return ok
}

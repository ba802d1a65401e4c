package ledger

import (
	"context"
	"net"
	"time"

	"github.com/jmoiron/sqlx"
)

// Repeated is what is asked again and again.
func Repeated() []string {
	return []string{
		stoppedRequests, dueKeys, dueUntil, confirmUntil,
		openRequests, endedRequests, unanswered, activeHolds, oldestOpen, longestWait, refusedSoFar,
		lastProgress, readyTasks, uncertified, lastEmptySweep, lastFiledSweep, newestTick, firstOpen,
	}
}

// Impatient makes a log that nobody appends to stalled after d, and looks at once.
func (l *Ledger) Impatient(d time.Duration) {
	l.health.mu.Lock()
	defer l.health.mu.Unlock()
	l.health.patience, l.health.at = d, time.Time{}
}

// Pools returns the writer and the readers, to be asked what they are set to.
func (l *Ledger) Pools() []*sqlx.DB { return []*sqlx.DB{l.db, l.read} }

// Dial connects as the pools do.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dial(ctx, network, address)
}

// Hasten makes a collector give up sooner.
func (c *Collector) Hasten(d time.Duration) { c.timeout = d }

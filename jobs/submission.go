package jobs

import (
	"context"
	"iter"
	"time"

	"lethe/store"
)

// MaxIDs is the largest number of explicit IDs in one request.
const MaxIDs = 1_000_000

// A Submission is a request as its asker states it.
type Submission struct {
	By         Actor          // who files it; required
	Selector   store.Selector // without IDs if Staged is set
	Staged     Staging        // the explicit IDs, or nil
	Related    bool           // erase also what is related, see store.Selector
	Stores     []string       // names; empty means every configured store
	Ticket     string
	Regime     string    // "" means gdpr
	Ground     string    // a code, or ""
	ReceivedAt time.Time // zero means now
	Grace      time.Duration
	Origin     string // one of the origins

	NotifyURL string // who is told of status changes, or ""; a secret

	IdempotencyKey string // "" for none
	BodyDigest     []byte // SHA-256 of the bytes received; compared when a key is used again
}

// An Invalid error says which field of a Submission cannot be accepted and
// what to do. It never repeats the value.
type Invalid struct {
	Field   string // "stores", "regime", …
	Problem string
}

func (e *Invalid) Error() string { return e.Field + " " + e.Problem }

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *Invalid) Unwrap() error { return ErrInvalid }

// A Staging keeps the explicit IDs of a request that is still being read, so
// that a million of them never stand in memory. They are sealed at rest and
// belong to no request until one is submitted with them; what is left behind
// by a crash is removed at the next start. Not for concurrent use.
type Staging interface {
	// Add keeps ids, at most store.MaxBatch of them, leaving out those it has.
	// Each must have passed store.CheckValue.
	Add(ctx context.Context, ids []string) error

	// Len returns the number of distinct IDs kept.
	Len() int

	// Chunks yields the IDs, at most store.MaxBatch at a time.
	Chunks(ctx context.Context) iter.Seq2[[]string, error]

	// Discard removes the IDs. It does nothing once a request has been
	// submitted with them, so it can be deferred.
	Discard(ctx context.Context) error
}

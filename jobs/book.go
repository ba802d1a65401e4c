package jobs

import (
	"context"
)

// A Book is what a door (HTTP, later others) may ask. *Intake is one.
//
// Each call says for whom it is. ErrForbidden is wrapped if his role does not
// allow it (see Act.Allowed), ErrNotFound if there is no such request, or it is
// none that he may see: nothing tells the two apart.
//
// Methods may be called concurrently. They return errors wrapping ErrForbidden,
// ErrNotFound, ErrConflict, ErrTooLate, ErrGone, ErrInvalid or store.ErrSelector;
// any other error means that the ledger did not answer, and the call may be
// repeated.
type Book interface {
	// Stage opens a place for the explicit IDs of a request being read.
	Stage(ctx context.Context) (Staging, error)

	// Submit files a request for s.By. It is durable once it returns: the request and
	// its first outbox rows are committed, and the log has its entry, or will have
	// it (AcceptedReceipt then wraps ErrTooLate). With an
	// idempotency key that s.By used before, it returns that request and replayed = true,
	// or ErrConflict if the body was another one. A Staging is used up.
	Submit(ctx context.Context, s Submission) (r Request, replayed bool, err error)

	// Request returns one request with its jobs.
	Request(ctx context.Context, by Actor, id string) (Request, error)

	// List returns up to limit requests that the actor may see, newest first, that have one of the
	// statuses (all, if none are given), and a cursor for the next page or "".
	List(ctx context.Context, by Actor, statuses []Status, limit int, cursor string) ([]Request, string, error)

	// Cancel stops a request. Before the first destructive batch it ends at
	// once; afterwards it stops between batches. ErrTooLate if it has ended.
	Cancel(ctx context.Context, by Actor, id string) (Request, error)

	// Extend extends the period of a request, once and before its end, for a
	// reason that is a code. Like Confirm and Exempt it wraps ErrForbidden for
	// who is no approver, ErrTooLate if the request has ended, and is a *NotNow if
	// its state does not let it.
	Extend(ctx context.Context, by Actor, id, reason string) (Request, error)

	// Confirm records that the receipt of a request was confirmed to who asked,
	// also if it came late.
	Confirm(ctx context.Context, by Actor, id string) (Request, error)

	// Exempt refuses a part of a request before erasing begins: what is planned
	// is planned anew without it. Of x it takes Store, Place, Reason and
	// ReviewAt.
	Exempt(ctx context.Context, by Actor, id string, x Exemption) (Request, error)

	// ListDue is List of the requests that have not ended and answer to due,
	// those that are due first first.
	ListDue(ctx context.Context, by Actor, due Due, statuses []Status, limit int, cursor string) ([]Request, string, error)

	Decider

	// Certificate returns the certificate file of a request that has ended; ErrTooLate wrapped while there is none yet.
	Certificate(ctx context.Context, by Actor, id string) ([]byte, error)

	// AcceptedReceipt returns the proof, in the same format, that the request
	// was accepted.
	AcceptedReceipt(ctx context.Context, by Actor, id string) ([]byte, error)

	// Reissue returns the file of Certificate or, with accepted, that of
	// AcceptedReceipt, cut anew for the log's newest head: it says the same, and
	// shows that the log still has it.
	Reissue(ctx context.Context, by Actor, id string, accepted bool) ([]byte, error)

	// MemoryProof returns the proof (lethe/memory-proof@v1) of what became of one
	// memory of a request that has ended, to be opened with its subject key. It
	// wraps ErrTooLate before the end, ErrGone once the key has been destroyed,
	// and ErrNotFound if no store had anything of this ID when the request was
	// planned. The ID is personal data and never in an error.
	MemoryProof(ctx context.Context, by Actor, id, memoryID string) ([]byte, error)

	// SubjectKey returns the 32-byte key that opens the subject commitment in
	// the log; ErrGone once it has been destroyed on schedule.
	SubjectKey(ctx context.Context, by Actor, id string) ([]byte, error)
}

// A Planner answers what a submission would erase, and changes nothing. Its
// error wraps ErrForbidden if s.By may not ask, and is a *StoreDown if a store must be back first.
type Planner interface {
	Plan(ctx context.Context, s Submission) (Plan, error)
}

// A StoreDown says that a store is down, and which.
type StoreDown struct {
	Store string // as configured
	Err   error
}

// Error implements error.
func (e *StoreDown) Error() string { return "store " + e.Store + ": " + e.Err.Error() }

// Unwrap returns why it is down.
func (e *StoreDown) Unwrap() error { return e.Err }

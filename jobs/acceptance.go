package jobs

import (
	"context"
	"iter"
	"time"

	"lethe/audit/proof"
)

// An Acceptance is all that one transaction commits when a request is taken
// in: the request, its jobs, the first rows of the outbox, and the log's entry.
type Acceptance struct {
	Request     Request
	Selector    []byte // canonical JSON; nil if the IDs are staged
	Requested   int    // number of explicit IDs, staged or not; 0 for any other selector
	Subject     string // commitment under the subject key
	TicketHMAC  string // "" without a ticket
	Idempotency []byte // keyed digest, nil without a key
	Body        []byte // keyed digest of the body
	Entry       proof.Entry
	NotifyURL   string   // to be sealed, or ""
	Endpoints   []string // configured ones that are told of status changes
	Brakes      *Brakes  // of a sweep, frozen with its request; nil for none
	Sweep       *Sweep   // that files it, to be answered by the same transaction; or nil

	Watched []Watched     // looks that it answers, likewise; the requests that they are about go on as this one
	Also    []proof.Entry // further ones
}

// A Ledger is what Intake needs of the book's keeper. All its writes are
// durable once they return nil; after any other answer than a sentinel, the
// write may or may not have happened.
type Ledger interface {
	// Accept commits a; see SweepLedger for that of a sweep. If a request with the same idempotency digest stands
	// already, it writes nothing and returns that request with its body digest.
	Accept(ctx context.Context, a Acceptance) (existing *Request, body []byte, err error)
	ByIdempotency(ctx context.Context, digest []byte) (*Request, []byte, error)

	// FiledBy returns the ID of the Actor who filed a request.
	FiledBy(ctx context.Context, id string) (string, error)
	Request(ctx context.Context, id string) (Request, error)
	// List returns those of one filer or, if filedBy is "", of all.
	List(ctx context.Context, filedBy string, statuses []Status, limit int, before string) ([]Request, error)
	Record(ctx context.Context, id string) (Record, error)

	// Seen opens a set of IDs on disk, for one request, that goes with Close.
	Seen(ctx context.Context, request string) (Seen, error)
	AddStaged(ctx context.Context, request string, seq int, ids []string) error
	Staged(ctx context.Context, request string) iter.Seq2[[]string, error]
	DropStaged(ctx context.Context, request string) error

	// ListDue returns open requests by their deadline, the earliest first: at
	// most until, after the place that a cursor names, or from the first if it
	// is zero. With unconfirmed it goes by the confirmations that are to come.
	ListDue(ctx context.Context, q DueQuery) ([]Request, error)

	// ExtendDue commits a later due date with its entry, ConfirmReceipt that a
	// receipt was confirmed, and Exempt that a part is refused; the part is planned
	// anew if it was planned. Each is a *NotNow, or wraps ErrTooLate, if the
	// request's state does not let it.
	ExtendDue(ctx context.Context, e *proof.Extended) error
	ConfirmReceipt(ctx context.Context, e *proof.Confirmed) error
	Exempt(ctx context.Context, x Exemption, e *proof.Exempted) error

	// Stop marks a request as being cancelled, by the first who asked, and takes its waiting rows out of
	// the outbox. It returns ErrTooLate if the request has ended.
	Stop(ctx context.Context, by Actor, request string) error
	// EndCancelled commits the end of a stopped request with the entry made of
	// its record then, unless a task of it still runs, which is no error.
	EndCancelled(ctx context.Context, request string, entry func(Record) proof.Entry, keyUntil time.Time) (ended bool, err error)

	// Approve commits that by has approved the plan with this hash, with the
	// entry that says so, if the request waits for it and by did not file it; else
	// its error wraps what Decider says, and nothing is written.
	Approve(ctx context.Context, request, hash, by string, e *proof.Approved) error
	// Reject commits the end of a request of which no batch was begun, with the
	// entry made of its record then.
	Reject(ctx context.Context, request string, entry func(Record) proof.Entry, keyUntil time.Time) error

	// Certificate returns the certificate of the log's entry with that ID, and
	// CertificateAt the same or, with newest, one for the log's newest head.
	// If the log has no such entry, the error wraps ErrNotFound, or ErrTooLate if
	// it will have it.
	Certificate(ctx context.Context, entryID string) ([]byte, error)
	CertificateAt(ctx context.Context, entryID string, newest bool) ([]byte, error)

	// Receipts yields the receipts of a request's finished batches, in the order
	// of Record.Roots, one at a time. It may be called again after an error.
	Receipts(ctx context.Context, request string) iter.Seq2[BatchReceipt, error]
}

// A Seen is a set of IDs. Add returns those of ids that were not in it yet,
// each once and in order. Not for concurrent use.
type Seen interface {
	Add(ctx context.Context, ids []string) (fresh []string, err error)
	Close() error
}

// A Record is all that the ledger knows of a request, for its terminal entry.
type Record struct {
	Request
	Subject, TicketHMAC string
	Cancelling          bool
	CancelledBy         string                    // ID of the Actor who asked for that, "" before
	Entry               string                    // ID of the terminal entry, "" before
	KeyGone             bool                      // the subject key has been destroyed
	Roots               [][32]byte                // of the receipts of finished batches, in order
	Outcomes            map[string][]PlaceOutcome // by job, of finished batches, sorted by place
}

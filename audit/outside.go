package audit

import (
	"context"
	"errors"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrRefused is wrapped by every append to a log that was found not to be what
// it was. It wraps the reason too. The log can still be read.
var ErrRefused = errors.New("log refuses to append")

// An Anchor keeps the newest signed head outside the ledger's database, where
// whoever puts the database back to an older state does not put it back too.
// It may be used concurrently, stops when ctx is done, and may be tried again
// after any error. Neither its name nor its errors hold a secret.
type Anchor interface {
	Name() string

	// Load returns the head that is kept, or nil if none ever was.
	Load(ctx context.Context) ([]byte, error)

	// Store replaces the head that is kept, durably once it returns nil.
	Store(ctx context.Context, head []byte) error
}

// A Witness cosigns heads that extend what it has seen of the log.
type Witness interface {
	Name() string

	// Cosign returns the witness's signature lines over a head, which have been
	// verified. prove gives it the path from a smaller size to the head's. It
	// may be called again after any error.
	Cosign(ctx context.Context, head []byte, prove func(ctx context.Context, from, to int64) (tlog.TreeProof, error)) ([]byte, error)
}

// A Stamper is an authority that says when it saw a head (RFC 3161).
type Stamper interface {
	Name() string

	// Stamp returns a verified time stamp token, DER, over the SHA-256 of head.
	Stamp(ctx context.Context, head []byte) ([]byte, error)
}

package proof

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrDiverged is wrapped when two heads, both well signed, cannot belong to
// one append-only log. Keep both: together they are evidence, which
// [EvidenceOf] returns.
var ErrDiverged = errors.New("two signed heads contradict each other")

// Consistent returns nil if path shows that the log with the larger head began
// with all of the smaller one (RFC 6962, section 2.1.2). Heads of one size
// need no path. A wrong path shows nothing and wraps [ErrNotVerified]; only
// two roots for one size wrap [ErrDiverged].
func Consistent(a, b Head, path tlog.TreeProof) error {
	if a.Size > b.Size {
		a, b = b, a
	}
	if done, err := compare(a, b); done {
		return err
	}
	if err := tlog.CheckTree(path, b.Size, b.Root, a.Size, a.Root); err != nil {
		return fmt.Errorf("%w: consistency of sizes %d and %d: %w", ErrNotVerified, a.Size, b.Size, err)
	}
	return nil
}

// ConsistentByTiles is like [Consistent] but computes the smaller head's root
// from tiles that the larger head vouches for. So a difference is no
// misunderstanding, and wraps [ErrDiverged]. Tiles that the larger head does
// not vouch for wrap ErrNotVerified, and those that cannot be read neither.
func ConsistentByTiles(a, b Head, fetch Fetch) error {
	if a.Size > b.Size {
		a, b = b, a
	}
	if done, err := compare(a, b); done {
		return err
	}
	t := &tiles{fetch: fetch}
	root, err := tlog.TreeHash(a.Size, b.hashes(t))
	switch {
	case t.err != nil:
		return fmt.Errorf("compare sizes %d and %d: %w", a.Size, b.Size, t.err)
	case err != nil:
		return fmt.Errorf("%w: compare sizes %d and %d: %w", ErrNotVerified, a.Size, b.Size, err)
	case root != a.Root:
		return diverged(a, b, b.hashes(t))
	}
	return nil
}

// compare settles the cases that need no tree: other logs, one size, and an
// empty log, which every log extends.
func compare(a, b Head) (done bool, err error) {
	switch {
	case a.Origin != b.Origin:
		return true, fmt.Errorf("%w: heads of two logs", ErrNotVerified)
	case a.Size == b.Size && a.Root != b.Root:
		return true, diverged(a, b, nil)
	case a.Size == b.Size:
		return true, nil
	case a.Size > 0:
		return false, nil
	}
	if empty, _ := tlog.TreeHash(0, nil); a.Root != empty {
		return true, fmt.Errorf("%w: the root of size 0 is wrong", ErrNotVerified)
	}
	return true, nil
}

// A divergence is an error that has what proves it.
type divergence struct {
	error
	evidence *Evidence
}

func (d *divergence) Unwrap() error { return d.error }

// diverged makes the error of two heads that contradict each other. Evidence of
// it cannot fail to be made from hashes that have been read a moment ago; if it
// does, that is said beside.
func diverged(a, b Head, larger tlog.HashReader) error {
	err := fmt.Errorf("%w: origin %s, size %d root %s, size %d root %s",
		ErrDiverged, a.Origin, a.Size, a.Root, b.Size, b.Root)
	evidence, failed := NewEvidence(a, b, larger)
	if failed != nil {
		return errors.Join(err, failed)
	}
	return &divergence{err, evidence}
}

// EvidenceOf returns the evidence that an error wrapping [ErrDiverged] has, or
// nil.
func EvidenceOf(err error) *Evidence {
	if d, ok := errors.AsType[*divergence](err); ok {
		return d.evidence
	}
	return nil
}

// CheckLog compares a head with the log itself, as its tiles are published: the
// log must have grown from it. It returns the log's own head. A log smaller
// than the head is refused with [ErrNotVerified], for it may have been rolled
// back.
func CheckLog(old Head, fetch Fetch, p *Policy) (Head, error) {
	text, err := fetch("checkpoint")
	if err != nil {
		return Head{}, fmt.Errorf("read the log's checkpoint: %w", err)
	}
	now, err := openCheckpoint(text, p)
	if err != nil {
		return Head{}, fmt.Errorf("the log's own head: %w", err)
	}
	if now.Origin == old.Origin && now.Size < old.Size {
		return now, fmt.Errorf("%w: the log has %d entries, fewer than the %d it had signed: it was rolled back, or this is an older copy of it", ErrNotVerified, now.Size, old.Size)
	}
	return now, ConsistentByTiles(old, now, fetch)
}

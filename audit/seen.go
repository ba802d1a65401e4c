package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lethe/audit/fault"
	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"
)

// A memory is the newest head that this process knows to be committed. It is
// what finds a database that is put back under a process that lives on.
type memory struct {
	mu   sync.Mutex
	head Head
	keys *chain // as that head covers them; nil if there was none
}

// saw remembers a head once its commit is certain, or once it was read back
// and believed.
func (l *Log) saw(h Head, keys *chain) {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	if h.Size > l.seen.head.Size {
		l.seen.head, l.seen.keys = h, keys
	}
}

// lastSeen returns the newest head that was remembered and its keys; its size is
// 0 if there was none.
func (l *Log) lastSeen() (Head, *chain) {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	return l.seen.head, l.seen.keys
}

// standing returns the head that the next entries go on from: the newest one,
// made sure of by trusted, which continues what this process has seen. If the
// database says otherwise the log is refused from then on.
func (l *Log) standing(ctx context.Context, q sqlx.QueryerContext, hashes tlog.HashReader) (Head, *chain, error) {
	seen, before := l.lastSeen() // first: what is committed meanwhile is no older
	h, keys, err := l.trusted(ctx, q, hashes)
	if err == nil {
		err = continues(h, seen, hashes)
	}
	if err == nil {
		err = keys.continues(before)
	}
	if isFalse(err) {
		err = l.refuse(err)
	}
	return h, keys, err
}

// isFalse tells an error that says the database is not what it was from one
// that says it could not be read.
func isFalse(err error) bool {
	return errors.Is(err, ErrBroken) || errors.Is(err, ErrBehind) || errors.Is(err, proof.ErrDiverged)
}

// continues makes sure that the tree of now begins with all of the tree that
// was seen. The stored hashes must give the root of now.
func continues(now, seen Head, hashes tlog.HashReader) error {
	switch {
	case seen.Size == 0 || fault.Bug("audit/sees-no-rollback"):
		return nil
	case now.Size < seen.Size:
		return fmt.Errorf("%w: this process has seen a head of %d entries, the log has %d: entries %d to %d are missing",
			ErrBehind, seen.Size, now.Size, now.Size, seen.Size-1)
	case now.Size == seen.Size:
		if now.Root != seen.Root {
			return fmt.Errorf("%w: this process has seen another head of size %d", proof.ErrDiverged, seen.Size)
		}
		return nil
	}
	path, err := tlog.ProveTree(now.Size, seen.Size, hashes)
	if err != nil {
		return err
	}
	if tlog.CheckTree(path, now.Size, now.Root, seen.Size, seen.Root) != nil {
		return fmt.Errorf("%w: the log of %d entries does not continue the head of size %d that this process has seen", proof.ErrDiverged, now.Size, seen.Size)
	}
	return nil
}

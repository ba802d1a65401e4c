package audit

import (
	"context"
	"fmt"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// CheckPin compares the log with a head that was kept elsewhere, as a
// checkpoint or a certificate: what the log had then must be the beginning of
// what it has now. A head larger than the log wraps [ErrBehind]; one with
// another root wraps proof.ErrDiverged; one that is not signed by the log's
// key wraps proof.ErrNotVerified.
func (l *Log) CheckPin(ctx context.Context, text []byte) error {
	if err := l.follows(ctx, text); err != nil {
		return fmt.Errorf("check pin: %w", err)
	}
	return nil
}

// Consistent compares two heads, each a checkpoint or a certificate, with one
// another and with the log: the log must be a continuation of both. Errors are
// those of [Log.CheckPin].
func (l *Log) Consistent(ctx context.Context, a, b []byte) error {
	if err := l.follows(ctx, a, b); err != nil {
		return fmt.Errorf("compare heads: %w", err)
	}
	return nil
}

// follows makes sure that the log as it is now is a continuation of signed
// heads, and that these do not contradict one another.
func (l *Log) follows(ctx context.Context, texts ...[]byte) error {
	return l.snapshot(ctx, func(q querier) error {
		keys, err := l.chain(ctx, q)
		if err != nil {
			return err
		}
		newest, err := l.newestHead(ctx, q)
		if err != nil {
			return err
		}
		heads := make([]proof.Head, len(texts))
		for i, text := range texts {
			if heads[i], err = l.openHead(text, keys, newest.Size); err != nil {
				return err
			}
			if i > 0 && heads[i].Size == heads[0].Size { // needs no log, which may be smaller
				if err := proof.Consistent(heads[0], heads[i], nil); err != nil {
					return err
				}
			}
		}
		now, err := l.signedHead(ctx, q)
		if err != nil {
			return err
		}
		for _, h := range heads {
			if err := l.extends(ctx, q, now, h, "the head"); err != nil {
				return err
			}
		}
		return nil
	})
}

// signedHead reads the newest head and checks its signature. That of an empty
// log needs none.
func (l *Log) signedHead(ctx context.Context, q querier) (proof.Head, error) {
	h, err := l.newestHead(ctx, q)
	if err != nil {
		return proof.Head{}, err
	}
	if h.Size == 0 {
		return proof.Head{Origin: l.origin, Root: h.Root}, nil
	}
	keys, err := l.chain(ctx, q)
	if err != nil {
		return proof.Head{}, err
	}
	if err := l.checkSigned(h, keys); err != nil {
		return proof.Head{}, err
	}
	return l.openHead(h.Note, keys, h.Size)
}

// ConsistencyProof returns the path from the tree of one size to that of a
// larger one (RFC 6962, section 2.1.2), to be checked with proof.Consistent.
func (l *Log) ConsistencyProof(ctx context.Context, from, to int64) (tlog.TreeProof, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	if from < 1 || from > to || to > size {
		return nil, fmt.Errorf("prove consistency: want sizes from 1 to %d, smaller one first", size)
	}
	path, err := tlog.ProveTree(to, from, l.reader(ctx, l.db))
	if err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	return path, nil
}

package audit

import (
	"context"
	"errors"
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
	pin, err := proof.OpenHead(text, l.keys)
	if err != nil {
		return fmt.Errorf("check pin: %w", err)
	}
	if err := l.extends(ctx, pin); err != nil {
		return fmt.Errorf("check pin: %w", err)
	}
	return nil
}

// Consistent compares two heads, each a checkpoint or a certificate, with one
// another and with the log: the log must be a continuation of both. Errors are
// those of [Log.CheckPin].
func (l *Log) Consistent(ctx context.Context, a, b []byte) error {
	var heads [2]proof.Head
	for i, text := range [][]byte{a, b} {
		h, err := proof.OpenHead(text, l.keys)
		if err != nil {
			return fmt.Errorf("compare heads: %w", err)
		}
		heads[i] = h
	}
	if heads[0].Size == heads[1].Size { // needs no log, which may be smaller
		if err := proof.Consistent(heads[0], heads[1], nil); err != nil {
			return fmt.Errorf("compare heads: %w", err)
		}
	}
	for _, h := range heads {
		if err := l.extends(ctx, h); err != nil {
			return fmt.Errorf("compare heads: %w", err)
		}
	}
	return nil
}

// extends makes sure that the log is a continuation of a signed head. The
// log's own head is signed too and vouches for the hashes that are compared,
// so a difference is a contradiction of two heads.
func (l *Log) extends(ctx context.Context, old proof.Head) error {
	h, err := l.Head(ctx)
	if err != nil {
		return err
	}
	now, err := proof.OpenHead(h.Note, l.keys)
	if err != nil || now.Size != h.Size {
		return fmt.Errorf("%w: the newest head is not signed", ErrBroken)
	}
	if old.Size > now.Size {
		return fmt.Errorf("%w: head of size %d, log of size %d", ErrBehind, old.Size, now.Size)
	}
	err = proof.ConsistentByTiles(old, now, func(path string) ([]byte, error) { return l.published(ctx, path) })
	if errors.Is(err, proof.ErrNotVerified) {
		return fmt.Errorf("%w: the stored hashes do not give the root of size %d", ErrBroken, now.Size)
	}
	return err
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

// checkEdge hashes the newest bodies again and compares what is stored for
// them.
func (l *Log) checkEdge(ctx context.Context, h Head) error {
	from := max(0, h.Size-edge)
	bodies, err := l.bodies(ctx, from, h.Size-from)
	if err != nil {
		return err
	}
	if int64(len(bodies)) != h.Size-from {
		return fmt.Errorf("%w: entry %d is missing", ErrBroken, from+int64(len(bodies)))
	}
	stored := l.reader(ctx, l.db)
	id := tlog.StoredHashCount(from)
	if err := stored.preload(id, tlog.StoredHashCount(h.Size)); err != nil {
		return err
	}
	for i, body := range bodies {
		idx := from + int64(i)
		made, err := tlog.StoredHashes(idx, body, stored)
		if err != nil {
			return err
		}
		for _, want := range made {
			if stored.seen[id] != want {
				return fmt.Errorf("%w: hash %d, of entry %d, is not the stored one", ErrBroken, id, idx)
			}
			id++
		}
	}
	return nil
}

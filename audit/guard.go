package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// anchorWait is for the answers of anchors, unless told otherwise.
const anchorWait = 10 * time.Second

// ErrUnread is wrapped when the head that an anchor keeps cannot be read. What
// cannot be compared is not believed. It may pass.
var ErrUnread = errors.New("an anchor cannot be read")

// Guard makes sure that the log is what it was: that its newest head is signed
// and is the root of the stored hashes, that these cover every entry, that the
// newest 256 bodies hash to them, and that the log is a continuation of every
// head that an anchor keeps or that this process has seen.
//
// What it finds decides: the log refuses to append from then on, or appends
// again, unless a doubt arose meanwhile. The error wraps all reasons:
// [ErrBroken], [ErrBehind], proof.ErrDiverged, proof.ErrNotVerified for an
// anchor whose head is not this log's, [ErrUnread], [ErrRestored], or [ErrNoKey]. An error that wraps none
// of them says that the database could not be read, and changes nothing.
func (l *Log) Guard(ctx context.Context) error {
	if fault.Bug("audit/no-guard") {
		return nil
	}
	if err := l.guard(ctx); err != nil {
		return fmt.Errorf("guard log: %w", err)
	}
	return nil
}

func (l *Log) guard(ctx context.Context) error {
	doubts := l.doubts()
	pins := l.kept(ctx)          // before the database: they are never ahead of it then
	seen, before := l.lastSeen() // likewise
	var warnings []string
	err := l.snapshot(ctx, func(q querier) error {
		now, keys, err := l.sound(ctx, q)
		if err != nil {
			return err
		}
		found := continues(Head{Size: now.Size, Root: now.Root}, seen, l.reader(ctx, q))
		if found == nil {
			found = keys.continues(before)
		}
		for _, p := range pins {
			warning, err := l.compare(ctx, q, now, keys, p)
			if warning != "" {
				warnings = append(warnings, warning)
			}
			found = errors.Join(found, err)
		}
		found = errors.Join(found, l.vouchedFor(now, keys, pins, found))
		if found == nil && now.Size > 0 {
			l.saw(Head{Size: now.Size, Root: now.Root, Note: now.Note, At: now.At}, keys)
		}
		return errors.Join(found, l.lacking(keys, now.Size))
	})
	if err != nil && !condemns(err) {
		return err
	}
	l.rule(doubts, err, warnings)
	return err
}

// sound returns the newest head and the keys, if what is stored agrees with it.
func (l *Log) sound(ctx context.Context, q querier) (proof.Head, *chain, error) {
	h, keys, err := l.trusted(ctx, q, l.reader(ctx, q))
	if err != nil {
		return proof.Head{}, nil, err
	}
	if h.Size == 0 {
		return proof.Head{Origin: l.origin, Root: h.Root}, keys, nil
	}
	if err := l.checkEdge(ctx, q, h); err != nil {
		return proof.Head{}, nil, err
	}
	now, err := l.openHead(h.Note, keys, h.Size)
	return now, keys, err
}

// A pin is what an anchor answered.
type pin struct {
	anchor string
	head   []byte // nil if it never kept one
	err    error
}

// kept asks all anchors at once. One that hangs counts as unreadable after a
// while, even if it does not heed its context.
func (l *Log) kept(ctx context.Context) []pin {
	if l.closed { // they keep the heads of the log that followed
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	answers := make([]chan pin, len(l.anchors))
	for i, a := range l.anchors {
		answers[i] = make(chan pin, 1)
		go func() {
			head, err := a.Load(ctx)
			answers[i] <- pin{a.Name(), head, err}
		}()
	}
	all := make([]pin, len(answers))
	for i, answer := range answers {
		select {
		case all[i] = <-answer:
		case <-ctx.Done():
			all[i] = pin{anchor: l.anchors[i].Name(), err: fmt.Errorf("no answer within %s", l.wait)}
		}
	}
	return all
}

// compare makes sure that the log is a continuation of what an anchor keeps.
func (l *Log) compare(ctx context.Context, q querier, now proof.Head, keys *chain, p pin) (warning string, err error) {
	switch {
	case p.err != nil:
		return "", fmt.Errorf("%w: %s: %w; it is tried again", ErrUnread, p.anchor, p.err)
	case p.head == nil && now.Size > 0:
		return fmt.Sprintf("%s keeps no head yet: it could not have told an older log", p.anchor), nil
	case p.head == nil:
		return "", nil
	}
	kept, err := l.openHead(p.head, keys, now.Size)
	if err != nil {
		if ok, more := l.ofPredecessor(ctx, q, p.head); ok {
			return fmt.Sprintf("%s keeps a head of the log before this one%s", p.anchor, more), nil
		}
		return "", fmt.Errorf("the head kept at %s: %w", p.anchor, err)
	}
	return "", l.extends(ctx, q, now, kept, "the head kept at "+p.anchor)
}

// extends makes sure that the log, whose newest head is now, is a continuation
// of a signed head. The log's own head is signed too and vouches for the hashes
// that are compared, so a difference is a contradiction of two heads.
func (l *Log) extends(ctx context.Context, q querier, now, old proof.Head, what string) error {
	if old.Origin == now.Origin && old.Size > now.Size {
		return fmt.Errorf("%w: %s has %d entries, the log %d: %s missing", ErrBehind, what, old.Size, now.Size, span(now.Size, old.Size))
	}
	err := proof.ConsistentByTiles(old, now, func(path string) ([]byte, error) {
		t, err := proof.ParseTilePath(path)
		if err != nil {
			return nil, err
		}
		return l.tile(ctx, q, t, now.Size)
	})
	switch {
	case errors.Is(err, proof.ErrNotVerified) && old.Origin == now.Origin && old.Size > 0:
		return fmt.Errorf("%w: the stored hashes do not give the root of size %d", ErrBroken, now.Size)
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// span words which entries a log of size from lacks up to size to.
func span(from, to int64) string {
	if to-from == 1 {
		return fmt.Sprintf("entry %d is", from)
	}
	return fmt.Sprintf("entries %d to %d are", from, to-1)
}

// Recover runs until ctx is done. While the log refuses to append for no other reason
// than that an anchor cannot be read, it guards again after every such time, so that the log
// goes on by itself once the anchor answers. What else a guard finds it leaves
// to people.
func (l *Log) Recover(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if refusal := l.Refusal(); errors.Is(refusal, ErrUnread) && !isRestored(refusal) {
			_ = l.Guard(ctx) // Refusal says what it found
		}
	}
}

// checkEdge hashes the newest bodies again and compares what is stored for
// them.
func (l *Log) checkEdge(ctx context.Context, q querier, h Head) error {
	from := max(0, h.Size-edge)
	bodies, err := l.bodies(ctx, q, from, h.Size-from)
	if err != nil {
		return err
	}
	if int64(len(bodies)) != h.Size-from {
		return fmt.Errorf("%w: entry %d is missing", ErrBroken, from+int64(len(bodies)))
	}
	stored := l.reader(ctx, q)
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

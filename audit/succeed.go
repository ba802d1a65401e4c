package audit

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"
)

// An Heir is the log that takes another one's place.
type Heir struct {
	Origin string // which no log of the database has had
	Reason string // why, as a code that goes into the log

	// Key puts the heir's Ed25519 key, of that origin, in the place of the old
	// one, and returns it. It is called once all else has been made sure of, and
	// again by another call of Succeed.
	Key func() (crypto.Signer, error)
}

// Held returns the newest head that is known of the log: the largest, signed by
// its key, that an anchor keeps or the database holds. Its size is 0 if there
// is none. An anchor that cannot be read wraps [ErrUnread], for it may hold a
// newer one.
func (l *Log) Held(ctx context.Context) (proof.Head, error) {
	held := proof.Head{Origin: l.origin}
	held.Root, _ = tlog.TreeHash(0, nil) // never fails
	keys, err := l.chain(ctx, l.db)
	if err != nil && !isFalse(err) {
		return held, fmt.Errorf("find the newest head: %w", err)
	} else if err != nil {
		keys = newChain(l.pins[0].Key)
	}
	for _, p := range l.kept(ctx) {
		if p.err != nil {
			return held, fmt.Errorf("find the newest head: %w: %s: %w", ErrUnread, p.anchor, p.err)
		}
		// A head of another log is no reason to stay without this one.
		if h, err := proof.OpenHead(p.head, l.believed(keys)); err == nil && h.Origin == l.origin && h.Size > held.Size {
			held = h
		}
	}
	h, err := l.signedHead(ctx, l.db)
	switch {
	case err != nil && !condemns(err):
		return held, fmt.Errorf("find the newest head: %w", err)
	case err == nil && h.Size > held.Size:
		held = h
	}
	return held, nil
}

// Succeed closes the log, which cannot be repaired, and begins another one in
// the same database, in one transaction. The first entry of the other log says
// which head of this one was the newest that anyone held, and why. What is
// stored of this log can be read as before; nothing is ever appended to it.
//
// It may be called again after any error, also with the heir's key in place. If
// the heir has followed the log already, it has no effect but to call Key. An
// anchor that cannot be read wraps [ErrUnread]; one that keeps a head of the heir,
// which the database does not have, [ErrBehind]. If another process appends
// meanwhile, what was found is no longer the newest head: the error wraps
// [ErrFenced], and it is the caller who begins again.
func (l *Log) Succeed(ctx context.Context, write Write, heir Heir) (verifier string, err error) {
	if verifier, err = l.succeed(ctx, write, heir); err != nil {
		return "", fmt.Errorf("succeed log: %w", err)
	}
	l.rule(l.doubts(), ErrSucceeded, nil) // every append says it
	return verifier, nil
}

func (l *Log) succeed(ctx context.Context, write Write, heir Heir) (string, error) {
	followed, err := l.followedBy(ctx, heir.Origin)
	if err != nil {
		return "", err
	}
	held, err := l.Held(ctx)
	if err != nil {
		return "", err
	}
	if !followed {
		if err := l.unbegun(ctx, heir.Origin); err != nil {
			return "", err
		}
	}
	entry := &proof.LogSucceeded{
		Header: proof.Header{Origin: heir.Origin}, OldOrigin: l.origin, OldSize: held.Size, OldRoot: proof.Digest(held.Root), OldKey: l.signerOf(held),
		Reason: heir.Reason, SucceededAt: proof.At(l.now()),
	}
	if _, err := proof.Encode(entry); err != nil {
		return "", err
	}
	key, err := heir.Key()
	if err != nil {
		return "", err
	}
	next := &Log{db: l.db, base: l.base + 1<<shift, origin: heir.Origin, now: l.now}
	if err := next.hire([]Signer{{Name: heir.Origin, Key: key}}); err != nil {
		return "", err
	}
	public, _ := key.Public().(ed25519.PublicKey) // hire has made sure
	verifier := proof.VerifierKey(heir.Origin, public)
	if err := next.believe(verifier); err != nil || followed {
		return verifier, err
	}
	return verifier, write(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := l.claim(ctx, tx); err != nil {
			return err
		}
		if err := l.stillHeld(ctx, tx, held); err != nil {
			return err
		}
		if err := l.begin(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO audit_log (n, origin) VALUES (?, ?)`), next.base>>shift, next.origin); err != nil {
			return fmt.Errorf("name log: %w", err)
		}
		if err := next.takeHeadRow(ctx, tx); err != nil {
			return err
		}
		_, err := next.append(ctx, tx, []proof.Entry{entry})
		return err
	})
}

// stillHeld makes sure, once nobody else appends, that the database has no
// larger head than the one that was found before.
func (l *Log) stillHeld(ctx context.Context, tx *sqlx.Tx, held proof.Head) error {
	switch h, err := l.signedHead(ctx, tx); {
	case err != nil && !condemns(err):
		return err
	case err == nil && h.Size > held.Size:
		return ErrFenced
	}
	return nil
}

// followedBy reports whether the log of that origin has followed this one. It
// is an error if another one has, or if there was one of that origin before.
func (l *Log) followedBy(ctx context.Context, origin string) (bool, error) {
	var n []int64
	if err := l.db.SelectContext(ctx, &n, l.db.Rebind(`SELECT n FROM audit_log WHERE origin = ?`), origin); err != nil {
		return false, fmt.Errorf("find log: %w", err)
	}
	switch {
	case len(n) == 1 && n[0] == l.base>>shift+1:
		return true, nil
	case len(n) > 0:
		return false, errors.New("there was a log of that origin before")
	case l.closed:
		return false, ErrSucceeded
	}
	return false, nil
}

// predecessor returns the log that this one has followed, to be read only, and
// what this one says of it; nil if it has followed none.
func (l *Log) predecessor(ctx context.Context, q querier) (*Log, *proof.LogSucceeded, error) {
	if l.base == 0 {
		return nil, nil, nil
	}
	var body []byte
	err := sqlx.GetContext(ctx, q, &body, rebind(q, `SELECT body FROM audit_entry WHERE idx = ?`), l.base)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, fmt.Errorf("%w: entry 0 is missing", ErrBroken)
	} else if err != nil {
		return nil, nil, fmt.Errorf("read entry 0: %w", err)
	}
	e, err := proof.Decode(body)
	said, ok := e.(*proof.LogSucceeded)
	if err != nil || !ok {
		return nil, nil, fmt.Errorf("%w: entry 0 does not name the log before", ErrBroken)
	}
	before := &Log{db: l.db, base: l.base - 1<<shift, origin: said.OldOrigin, earlier: l.earlier, now: l.now, wait: l.wait, closed: true}
	// The entry names one key. A database that had lost a rotation has heads of
	// another.
	verifiers := said.OldKey
	for _, k := range l.earlier {
		if name, _, _ := strings.Cut(k, "+"); name == said.OldOrigin && k != said.OldKey {
			verifiers += "\n" + k
		}
	}
	if err := before.believe(verifiers); err != nil {
		return nil, nil, fmt.Errorf("%w: entry 0: %w", ErrBroken, err)
	}
	return before, said, nil
}

// ofPredecessor reports whether a head is one of a log before this one, and
// words what is strange about it.
func (l *Log) ofPredecessor(ctx context.Context, q querier, head []byte) (ok bool, strange string) {
	for at := l; ; {
		before, said, err := at.predecessor(ctx, q)
		if err != nil || before == nil {
			return false, ""
		}
		keys, err := before.chain(ctx, q)
		if err != nil {
			return false, ""
		}
		if h, err := proof.OpenHead(head, before.believed(keys)); err == nil && h.Origin == before.origin {
			if h.Size > said.OldSize {
				return true, fmt.Sprintf(", of %d entries: more than the %d that the log is said to have had", h.Size, said.OldSize)
			}
			return true, ""
		}
		at = before
	}
}

package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

// A Rotation is the replacement of the log's key, while both keys sign.
type Rotation struct {
	Old, New string    // verifier keys
	Begun    time.Time // when the new one was announced
	Until    time.Time // when the old one may be retired
}

// Verifier returns the verifier key in force, one line without a line break: as
// long as a rotation lasts, the old one.
func (l *Log) Verifier() string {
	if _, keys := l.lastSeen(); keys != nil {
		return keys.inForce().String()
	}
	return l.pins[0].Key.String()
}

// Keys returns all keys that the log has had, the oldest first, as a file of
// verifier keys has them (proof.ParseKeys). Each that was retired is followed by
// a line "#lethe:until NAME+HASH SIZE": it is to be believed for heads of no
// more than SIZE entries. The log's own entries say so, under its newest head.
func (l *Log) Keys(ctx context.Context) ([]byte, error) {
	keys, err := l.current(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log's keys: %w", err)
	}
	return keys.text(), nil
}

// Rotation returns the rotation that is under way, or nil.
func (l *Log) Rotation(ctx context.Context) (*Rotation, error) {
	keys, err := l.current(ctx)
	if err != nil {
		return nil, fmt.Errorf("read rotation: %w", err)
	}
	r := keys.rotation
	if r == nil {
		return nil, nil
	}
	return &Rotation{Old: r.OldKey, New: r.NewKey, Begun: r.RotatedAt.Time(), Until: r.OverlapUntil.Time()}, nil
}

// current returns the keys under the newest head, which is made sure of.
func (l *Log) current(ctx context.Context) (*chain, error) {
	var keys *chain
	err := l.snapshot(ctx, func(q querier) error {
		h, c, err := l.trusted(ctx, q, l.reader(ctx, q))
		if err != nil {
			return err
		}
		l.saw(h, c)
		keys = c
		return nil
	})
	return keys, err
}

// Rotate announces the key that is to follow the one in force. The head that
// covers the announcement, and each after it, is signed by both, until Retire.
// To announce the same key again has no effect; another one, or one that the log
// has had before, wraps [ErrRotation].
func (l *Log) Rotate(ctx context.Context, write Write, next Signer, overlap time.Duration) error {
	if err := l.rotate(ctx, write, next, overlap); err != nil {
		return fmt.Errorf("announce the log's next key: %w", err)
	}
	return nil
}

func (l *Log) rotate(ctx context.Context, write Write, next Signer, overlap time.Duration) error {
	verifier, err := verifierOf(next)
	if err != nil {
		return err
	}
	if err := l.hire([]Signer{next}); err != nil {
		return err
	}
	keys, err := l.current(ctx)
	if err != nil {
		return err
	}
	if keys.rotation != nil && keys.rotation.NewKey == verifier {
		return nil
	}
	now := l.now()
	return l.say(ctx, write, &proof.KeyRotated{
		OldKey: keys.inForce().String(), NewKey: verifier, RotatedAt: proof.At(now), OverlapUntil: proof.At(now.Add(overlap)),
	})
}

// Retire ends a rotation, whether its time has come or not: the old key is
// bounded to the heads that there are, and the head that covers the entry which
// says so, and each after it, is signed by the new key alone. The old one is
// forgotten, but for its file. Retire does not need the old key, so it is also
// what helps when that one was lost. Without a rotation it has no effect.
func (l *Log) Retire(ctx context.Context, write Write) error {
	if err := l.retire(ctx, write); err != nil {
		return fmt.Errorf("retire the log's key: %w", err)
	}
	return nil
}

func (l *Log) retire(ctx context.Context, write Write) error {
	keys, err := l.current(ctx)
	if err != nil {
		return err
	}
	if keys.rotation != nil {
		if err := l.say(ctx, write, &proof.KeyRetired{Key: keys.rotation.OldKey, RetiredAt: proof.At(l.now())}); err != nil {
			return err
		}
		if keys, err = l.current(ctx); err != nil {
			return err
		}
	}
	l.dismiss(keys)
	return nil
}

// say appends an entry in a transaction of its own, and looks at the keys anew.
func (l *Log) say(ctx context.Context, write Write, e proof.Entry) error {
	err := write(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		_, err := l.append(ctx, tx, []proof.Entry{e})
		return err
	})
	if err != nil {
		return err
	}
	_, err = l.current(ctx)
	return err
}

// verifierOf returns the verifier key of a signer.
func verifierOf(s Signer) (string, error) {
	public, ok := s.Key.Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("not an Ed25519 key")
	}
	return proof.VerifierKey(s.Name, public), nil
}

package audit

import (
	"bytes"
	"context"
	"fmt"

	"lethe/audit/proof"
)

// unbegun makes sure that no anchor knows the heir. If one does, the heir has
// followed and the database was put back to before that: to begin it again
// would fork it.
func (l *Log) unbegun(ctx context.Context, origin string) error {
	for _, p := range l.kept(ctx) {
		if p.err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUnread, p.anchor, p.err)
		}
		if bytes.HasPrefix(p.head, []byte(origin+"\n")) {
			return fmt.Errorf("%w: %s keeps a head of %s, which has begun already: put back a database that has it", ErrBehind, p.anchor, origin)
		}
	}
	return nil
}

// signerOf returns the verifier key that a head of the log is believed by: the
// one in force, unless the head was signed after a rotation that the database
// has lost.
func (l *Log) signerOf(h proof.Head) string {
	inForce := l.Verifier()
	if h.Size == 0 {
		return inForce
	}
	keys := []string{inForce}
	for _, p := range l.pins {
		keys = append(keys, p.Key.String())
	}
	for _, k := range keys {
		if p, err := proof.ParseKeys([]byte(k)); err == nil {
			if _, err := proof.OpenHead(h.Note, p); err == nil {
				return k
			}
		}
	}
	return inForce
}

package audit

import (
	"context"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

// The locks of whoever appends and whoever migrates.
const (
	Appending = appending
	Migrating = migrating
)

// Pause makes a sequencer call f once: before it takes the lock or, if locked,
// when it has it and has read where the log stands.
func (s *Sequencer) Pause(locked bool, f func()) {
	s.pause = func(now bool) {
		if now == locked {
			s.pause = nil
			f()
		}
	}
}

// Round makes a sequencer look for work once.
func (s *Sequencer) Round(ctx context.Context) (int, error) { return s.round(ctx) }

// AppendUnlocked appends without the lock, as a process does that has lost it.
func (l *Log) AppendUnlocked(ctx context.Context, tx *sqlx.Tx, entries ...proof.Entry) error {
	lines, err := l.encode(entries, 0)
	if err != nil {
		return err
	}
	hashes := l.reader(ctx, tx)
	h, keys, err := l.trusted(ctx, tx, hashes)
	if err != nil {
		return err
	}
	if err := l.insert(ctx, tx, h.Size, lines, hashes); err != nil {
		return err
	}
	_, err = l.advance(ctx, tx, keys, h.Size+int64(len(lines)), hashes)
	return err
}

// ToldSQLite is exported for a look at how SQLite carries it out.
const ToldSQLite = toldSQLite

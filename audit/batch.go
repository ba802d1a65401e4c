package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

// A parcel is a row of the outbox.
type parcel struct {
	seq    int64
	line   line
	reason string // why it cannot be logged
}

// A batch is what one transaction of the sequencer did.
type batch struct {
	rows     int // taken from the outbox; none if it is another process's turn
	outcasts []parcel
	head     Head   // size 0 if nothing new was logged
	keys     *chain // likewise nil
	after    mark
}

// move takes what waits from the outbox and appends it.
func (s *Sequencer) move(ctx context.Context, tx *sqlx.Tx) (batch, error) {
	l := s.Log
	if ok, err := s.try(ctx, tx); err != nil || !ok {
		return batch{}, err
	}
	if err := l.durable(ctx, tx); err != nil {
		return batch{}, err
	}
	if err := l.begin(ctx, tx); err != nil {
		return batch{}, err
	}
	hashes := l.reader(ctx, tx)
	h, keys, err := l.trusted(ctx, tx, hashes)
	if err != nil {
		return batch{}, err
	}
	before := mark{log: l.base >> shift, size: h.Size, root: h.Root}
	if before != *s.mine { // moved since it was looked at: not this process's turn
		return batch{}, nil
	}
	if s.pause != nil {
		s.pause(true)
	}
	parcels, err := s.take(ctx, tx)
	if err != nil || len(parcels) == 0 {
		return batch{}, err
	}
	fresh, outcasts, err := l.sort(ctx, tx, parcels)
	if err != nil {
		return batch{}, err
	}
	b := batch{rows: len(parcels), outcasts: outcasts, after: before}
	for _, x := range outcasts {
		if _, err := tx.ExecContext(ctx, `INSERT INTO audit_outcast (seq, entry_id, body, reason) VALUES ($1, $2, $3, $4)`, x.seq, x.line.id, x.line.body, x.reason); err != nil {
			return batch{}, fmt.Errorf("put aside row %d of the outbox: %w", x.seq, err)
		}
	}
	if len(fresh) == 0 {
		return b, nil
	}
	if err := l.insert(ctx, tx, h.Size, fresh, hashes); err != nil {
		return batch{}, err
	}
	if b.head, err = l.advance(ctx, tx, keys, h.Size+int64(len(fresh)), hashes); err != nil {
		return batch{}, err
	}
	b.keys = keys // entries about keys do not come this way
	b.after.size, b.after.root = b.head.Size, b.head.Root
	return b, nil
}

// try takes the lock, if nobody has it, and bounds what the transaction may
// wait for: the server ends one whose process was stopped, and so frees the
// lock.
func (s *Sequencer) try(ctx context.Context, tx *sqlx.Tx) (bool, error) {
	var ok bool
	row := tx.QueryRowxContext(ctx, `SELECT pg_try_advisory_xact_lock($1), set_config('lock_timeout', '10s', true),
		set_config('statement_timeout', '20s', true), set_config('idle_in_transaction_session_timeout', '10s', true)`, int64(appending))
	var set [3]string
	if err := row.Scan(&ok, &set[0], &set[1], &set[2]); err != nil {
		return false, fmt.Errorf("take the lock: %w", err)
	}
	return ok, nil
}

// take empties the outbox, up to a batch. It deletes what is in sight and keeps
// no place in the sequence: rows come into sight in the order of their commits,
// so behind any place there may be one that comes later.
func (s *Sequencer) take(ctx context.Context, tx *sqlx.Tx) ([]parcel, error) {
	rows, err := tx.QueryxContext(ctx, `DELETE FROM audit_outbox WHERE seq IN (SELECT seq FROM audit_outbox ORDER BY seq LIMIT $1) RETURNING seq, entry_id, body`, s.batch())
	if err != nil {
		return nil, fmt.Errorf("empty outbox: %w", err)
	}
	defer rows.Close()
	var parcels []parcel
	for rows.Next() {
		var x parcel
		if err := rows.Scan(&x.seq, &x.line.id, &x.line.body); err != nil {
			return nil, fmt.Errorf("empty outbox: %w", err)
		}
		parcels = append(parcels, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("empty outbox: %w", err)
	}
	slices.SortFunc(parcels, func(a, b parcel) int { return cmp.Compare(a.seq, b.seq) }) // RETURNING has no order
	return parcels, nil
}

// sort tells what is to be logged from what cannot be. What is logged already
// is in neither.
func (l *Log) sort(ctx context.Context, tx *sqlx.Tx, parcels []parcel) (fresh []line, outcasts []parcel, err error) {
	var ids []string
	for _, x := range parcels {
		ids = append(ids, x.line.id)
	}
	have, err := lookUp(ctx, tx, `SELECT entry_id, body FROM audit_entry WHERE entry_id IN (?)`, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range parcels {
		y, reason := l.readdress(x.line)
		logged := have[x.line.id]
		switch {
		case reason != "":
			x.reason = reason
			outcasts = append(outcasts, x)
		case len(logged) == 0:
			fresh = append(fresh, y)
		case !bytes.Equal(logged[0], y.body):
			x.reason = ErrConflict.Error()
			outcasts = append(outcasts, x)
		}
	}
	return fresh, outcasts, nil
}

// readdress reads a row of the outbox strictly, for it may have been put there
// by anybody, and names this log as its origin: it may have been enqueued for
// the one before. It returns why it cannot.
func (l *Log) readdress(x line) (line, string) {
	e, err := proof.Decode(x.body)
	if err != nil {
		return line{}, err.Error()
	}
	if e.ID() != x.id {
		return line{}, "it stands under another ID"
	}
	if strings.HasPrefix(x.id, keyEntries) {
		return line{}, errKeysWait.Error()
	}
	lines, err := l.encode([]proof.Entry{e}, 0)
	if err != nil {
		return line{}, err.Error()
	}
	return lines[0], ""
}

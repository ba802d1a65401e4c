package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

// A Tx is the transaction that a change is given by [Writer.Do], which it
// shares with others. It ends with the change: what it began, it must close.
type Tx struct {
	*sqlx.Tx
	g       *group // nil once the change has ended
	from    int    // lines of the group that are not this change's
	indexes []int64
	err     error // of Log
}

var errShared = errors.New("the transaction is shared: return from the change to end it")

// Commit refuses: the Writer commits.
func (*Tx) Commit() error { return errShared }

// Rollback refuses: a change that returns an error is rolled back.
func (*Tx) Rollback() error { return errShared }

// Log puts entries at the end of the log, if the change is kept. It sets their
// Origin. An entry whose ID is there already with the same body is not logged
// again; with another body the error wraps [ErrConflict]. Invalid entries wrap
// proof.ErrEntry. A change to which Log has returned an error is not kept,
// whatever it returns.
func (t *Tx) Log(entries ...proof.Entry) error {
	if t.g == nil {
		return errors.New("append to log: the change has ended")
	}
	if err := t.log(entries); err != nil {
		t.err = fmt.Errorf("append to log: %w", err)
		return t.err
	}
	return nil
}

func (t *Tx) log(entries []proof.Entry) error {
	for i := range entries {
		lines, err := t.g.w.log.encode(entries[i:i+1], t.g.head.Size+int64(len(t.g.lines)))
		if err != nil {
			return err
		}
		idx, err := t.g.add(lines[0])
		if err != nil {
			return err
		}
		t.indexes = append(t.indexes, idx)
	}
	return nil
}

// Indexes returns where the entries given to Log stand in the log once the
// change is committed, in the same order.
func (t *Tx) Indexes() []int64 { return t.indexes }

// add returns where a line stands or will stand.
func (g *group) add(x line) (int64, error) {
	if i, ok := g.byID[x.id]; ok {
		if !bytes.Equal(g.lines[i].body, x.body) {
			return 0, fmt.Errorf("%w: %s", ErrConflict, x.id)
		}
		return g.head.Size + int64(i), nil
	}
	var idx int64
	var body []byte
	//nolint:sqlclosecheck // the transaction closes it
	switch err := g.stmt(g.w.say.entry).QueryRowxContext(g.ctx, x.id).Scan(&idx, &body); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return 0, fmt.Errorf("look up %s: %w", x.id, err)
	case !bytes.Equal(body, x.body):
		return 0, fmt.Errorf("%w: %s", ErrConflict, x.id)
	default:
		return idx - g.w.log.base, nil
	}
	if strings.HasPrefix(x.id, keyEntries) {
		if _, err := g.keys.with(g.head.Size, append(slices.Clip(g.lines), x)); err != nil {
			return 0, err
		}
	}
	g.byID[x.id] = len(g.lines)
	g.lines = append(g.lines, x)
	return g.head.Size + int64(len(g.lines)) - 1, nil
}

// statements are what every group says, prepared once a connection.
type statements struct {
	lock, tip, entry, savepoint, release, rollback *sqlx.Stmt
}

func (s *statements) prepare(ctx context.Context, db *sqlx.DB) error {
	for query, at := range map[string]**sqlx.Stmt{
		// Writes nothing. That it could write is what takes the lock.
		`DELETE FROM audit_log WHERE n < 0`: &s.lock,
		tipQuery:                            &s.tip,
		`SELECT idx, body FROM audit_entry WHERE entry_id = ?`: &s.entry,
		`SAVEPOINT change`:   &s.savepoint,
		`RELEASE change`:     &s.release,
		`ROLLBACK TO change`: &s.rollback,
	} {
		var err error
		if *at, err = db.PreparexContext(ctx, query); err != nil { //nolint:sqlclosecheck // close does
			return errors.Join(err, s.close())
		}
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, x := range []*sqlx.Stmt{s.lock, s.tip, s.entry, s.savepoint, s.release, s.rollback} {
		if x != nil {
			errs = append(errs, x.Close())
		}
	}
	return errors.Join(errs...)
}

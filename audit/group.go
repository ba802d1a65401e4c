package audit

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
)

// recoverTime bounds how long the guard may take after a doubt.
const recoverTime = 30 * time.Second

// A group is the changes of one transaction, while it is open.
type group struct {
	w      *Writer
	ctx    context.Context // never done: see Writer.Do
	tx     *sqlx.Tx
	head   Head    // that the group goes on from
	keys   *chain  // likewise
	hashes *reader // lives as long as the group
	lines  []line  // to be appended
	byID   map[string]int
	kept   []*call
	denied []denial
}

// A denial is a change that returned an error after it may have seen what others
// of its group had written. Until that is committed, the error may not be true.
type denial struct {
	*call
	err error
}

// begin opens a transaction and makes sure that the log in it is what it was.
func (w *Writer) begin() (*group, error) {
	if err := w.log.Refusal(); err != nil {
		return nil, err
	}
	ctx := context.Background()
	if w.doubt {
		if err := w.recover(ctx); err != nil {
			return nil, fmt.Errorf("recover from a commit in doubt: %w", err)
		}
	}
	tx, err := w.db.BeginTxx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin group: %w", err)
	}
	g := &group{w: w, ctx: ctx, tx: tx, hashes: w.log.reader(ctx, tx), byID: map[string]int{}}
	if err := g.open(); err != nil {
		return nil, fmt.Errorf("begin group: %w", errors.Join(err, g.abandon()))
	}
	return g, nil
}

// open takes the write lock, whatever kind of transaction it is, and looks
// where the log stands.
func (g *group) open() error {
	if _, err := g.stmt(g.w.say.lock).ExecContext(g.ctx); err != nil {
		return err
	}
	if err := g.w.log.durable(g.ctx, g.tx); err != nil {
		return err
	}
	if t := g.w.tip; t != nil {
		shown, err := t.shown(g.ctx, g.w.log, g.stmt(g.w.say.tip))
		if err != nil {
			return err
		}
		if shown {
			g.hashes.seen = t.hashes // they change only in a commit, which makes a new tip or leaves none
			g.head, g.keys = t.head, t.keys
			return nil
		}
		g.w.tip = nil
	}
	var err error
	g.head, g.keys, err = g.w.log.standing(g.ctx, g.tx, g.hashes)
	return err
}

func (g *group) stmt(s *sqlx.Stmt) *sqlx.Stmt { return g.tx.StmtxContext(g.ctx, s) }

// lead runs changes from first on, commits them and answers them all.
func (g *group) lead(first *call) {
	for c, n := first, 1; c != nil; n++ {
		if err := g.run(c); err != nil {
			g.answer(fmt.Errorf("write group: %w", errors.Join(err, g.abandon())))
			return
		}
		if c = nil; n < maxChanges && len(g.lines) < maxEntries {
			c = g.w.next(false)
		}
	}
	if len(g.kept) == 0 {
		if err := g.tx.Rollback(); err != nil {
			_ = g.abandon() // whoever asked has been answered
		}
		return
	}
	if fault.Bug("audit/answer-early") {
		g.answer(nil)
		_ = g.commit()
		return
	}
	g.answer(g.commit())
}

func (g *group) answer(err error) {
	for _, c := range g.kept {
		c.done <- err
	}
	for _, d := range g.denied {
		if err == nil {
			d.done <- d.err
		} else {
			d.done <- err
		}
	}
}

// run lets one change run under a savepoint. Its error ends the group: the
// savepoint is gone, and nobody knows with what.
func (g *group) run(c *call) error {
	if _, err := g.stmt(g.w.say.savepoint).ExecContext(g.ctx); err != nil {
		c.fail(err)
		return err
	}
	tx := &Tx{Tx: g.tx, g: g, from: len(g.lines)}
	c.turn <- tx
	out := <-c.ran
	tx.g = nil
	if out.err == nil {
		out.err = tx.err
	}
	if out.err == nil && !out.broken {
		if _, err := g.stmt(g.w.say.release).ExecContext(g.ctx); err != nil {
			c.done <- fmt.Errorf("write group: %w", err)
			return err
		}
		g.kept = append(g.kept, c)
		return nil
	}
	for _, x := range g.lines[tx.from:] {
		delete(g.byID, x.id)
	}
	g.lines = g.lines[:tx.from]
	_, err := g.stmt(g.w.say.rollback).ExecContext(g.ctx)
	if err == nil {
		_, err = g.stmt(g.w.say.release).ExecContext(g.ctx)
	}
	if len(g.kept) == 0 || fault.Bug("audit/deny-early") {
		c.done <- out.err // it has seen nothing but what is committed
		return err
	}
	g.denied = append(g.denied, denial{c, out.err})
	return err
}

// commit appends the group's entries, signs their head and commits. The tip is
// moved once that is certain, and forgotten if it is not.
func (g *group) commit() error {
	w := g.w
	old := w.tip
	w.tip = nil
	head, keys := g.head, g.keys
	if len(g.lines) > 0 {
		var err error
		if head, keys, err = g.log(); err != nil {
			return fmt.Errorf("append to log: %w", errors.Join(err, g.abandon()))
		}
	}
	fault.Point("audit/commit")
	if err := w.commit(g.tx); err != nil {
		w.doubt = true
		return fmt.Errorf("commit group: %w: %w", ErrDoubt, errors.Join(err, g.abandon()))
	}
	fault.Point("audit/committed")
	w.named = w.named || len(g.lines) > 0
	if len(g.lines) > 0 || old == nil {
		w.tip = newTip(head, keys, g.hashes.seen)
	} else {
		w.tip = old
	}
	w.log.saw(head, keys)
	return nil
}

func (g *group) log() (Head, *chain, error) {
	l := g.w.log
	keys, err := g.keys.with(g.head.Size, g.lines)
	if err != nil {
		return Head{}, nil, err
	}
	if !g.w.named {
		if err := l.begin(g.ctx, g.tx); err != nil {
			return Head{}, nil, err
		}
	}
	if err := l.insert(g.ctx, g.tx, g.head.Size, g.lines, g.hashes); err != nil {
		return Head{}, nil, err
	}
	head, err := l.advance(g.ctx, g.tx, keys, g.head.Size+int64(len(g.lines)), g.hashes)
	fault.Point("audit/head-signed")
	return head, keys, err
}

// abandon ends the transaction and throws its connection away: after an error
// nobody knows what state it is in.
func (g *group) abandon() error {
	err := g.tx.Rollback()
	if errors.Is(err, sql.ErrTxDone) {
		err = nil
	}
	return errors.Join(err, g.w.disconnect(g.ctx))
}

func (w *Writer) disconnect(ctx context.Context) error {
	w.tip = nil
	c, err := w.db.Connx(ctx)
	if err != nil {
		return fmt.Errorf("reconnect: %w", err)
	}
	if err := c.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("disconnect: %w", errors.Join(err, c.Close()))
	}
	return nil // Raw has closed it
}

// recover asks the guard, on a new connection, after a commit in doubt.
func (w *Writer) recover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	if err := w.log.durable(ctx, w.db); err != nil {
		return err
	}
	if err := w.log.Guard(ctx); err != nil {
		if isFalse(err) {
			return w.log.refuse(err)
		}
		return err
	}
	w.doubt = false
	return nil
}

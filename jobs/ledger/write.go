package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lethe/audit"
	"lethe/audit/fault"
	"lethe/audit/proof"
)

const (
	writeLimit   = 15 * time.Second // for one transaction on PostgreSQL, all in all
	receiptLimit = 3 * time.Second  // how long a change waits for its entries to be logged
	collisions   = 5                // how often a transaction that another one undid is tried
)

// write runs f in a transaction and returns once it is committed. f must use the
// context and the transaction that it is given. An error that wraps
// audit.ErrDoubt says that f's effects may stand; one that wraps
// audit.ErrRefused, that there are none.
//
// On SQLite it is a transaction of the only writer, which f may share with
// others: see audit.Writer. On PostgreSQL it is one of its own, READ COMMITTED,
// beside those of other processes: f must lock what it relies on, see
// txn.lock, and may run more than once.
func (l *Ledger) write(ctx context.Context, f func(context.Context, *txn) error) error {
	if l.writer != nil {
		return l.writer.Do(ctx, func(ctx context.Context, tx *audit.Tx) error {
			return f(ctx, &txn{Tx: tx.Tx, sql: l.sql, log: func(_ context.Context, e ...proof.Entry) error { return tx.Log(e...) }})
		})
	}
	if err := l.Refusal(ctx); err != nil {
		return err
	}
	for try := 1; ; try++ {
		logged, err := l.post(ctx, f)
		if collided(err) && !errors.Is(err, audit.ErrDoubt) && try < collisions {
			continue
		}
		if err != nil {
			return err
		}
		l.logged(ctx, logged)
		return nil
	}
}

// post runs f in one transaction on PostgreSQL, which puts what f logs into the
// log's outbox. The end of ctx undoes it, but for a commit that has begun: a
// commit that is broken off is in doubt. It returns the ID of the last entry.
func (l *Ledger) post(ctx context.Context, f func(context.Context, *txn) error) (logged string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	keep := context.AfterFunc(ctx, cancel)
	defer keep()
	tx, err := l.db.BeginTxx(own, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return "", fmt.Errorf("begin: %w", plain(err))
	}
	t := &txn{Tx: tx, sql: l.sql, log: func(ctx context.Context, entries ...proof.Entry) error {
		logged = entries[len(entries)-1].ID()
		return l.log.Enqueue(ctx, tx, entries...)
	}}
	err = f(own, t)
	if err == nil && !keep() {
		err = ctx.Err()
	}
	if err != nil {
		_ = tx.Rollback() // the error says more
		return "", plain(err)
	}
	fault.Point("ledger/posting")
	if err := tx.Commit(); err != nil {
		return "", fmt.Errorf("commit: %w: %w", audit.ErrDoubt, plain(err))
	}
	fault.Point("ledger/posted")
	return logged, nil
}

// logged waits until an entry that is committed is in the log too, so that whoever
// asks next for its certificate gets it. It is there for sure soon; if no
// sequencer is at work, nobody is kept waiting for one.
func (l *Ledger) logged(ctx context.Context, entry string) {
	if entry == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, receiptLimit)
	defer cancel()
	_ = l.log.Wait(ctx, entry)
}

// Sequence moves what waits from the log's outbox into the log, until ctx is
// done, see audit.Sequencer. Every process that has the log's key may run it, once.
// On SQLite there is nothing to do.
func (l *Ledger) Sequence(ctx context.Context) error {
	if l.writer != nil {
		<-ctx.Done()
		return nil
	}
	return l.sequencer.Run(ctx)
}

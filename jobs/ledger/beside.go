package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/jobs"
)

// A Beside keeps the tokens of a ledger that another process may be serving, and
// nothing else of it. It has neither the keys of requests nor that of the log: the
// entries of what it does are owed, in the same transaction, and written by who
// serves the ledger, before a token of its making is good for anything.
type Beside struct {
	ledger Ledger // its databases alone
	people people
}

// OpenBeside opens the tokens of the ledger at o.Dir or o.URL. If nobody serves it,
// its tables are made, or brought up to date.
func OpenBeside(ctx context.Context, o Options) (_ *Beside, err error) {
	b := &Beside{}
	defer func() {
		if err != nil {
			_ = b.Close()
		}
	}()
	l := &b.ledger
	if l.sql = sqlite(); o.URL != "" {
		l.sql = postgres()
		err = l.besidePostgres(ctx, o.URL)
	} else {
		err = l.besideSQLite(ctx, o.Dir)
	}
	if err != nil {
		return nil, err
	}
	var any bool
	if err := l.read.GetContext(ctx, &any, `SELECT EXISTS (SELECT 1 FROM tokens)`); err != nil {
		return nil, fmt.Errorf("open ledger: its tables are of another version: restart the service that runs on it with this one: %w", plain(err))
	}
	b.people = people{read: l.read, now: time.Now, write: b.write, beside: true}
	return b, nil
}

// besideSQLite migrates only if it gets the lock of those who serve, and gives it
// back at once.
func (l *Ledger) besideSQLite(ctx context.Context, dir string) error {
	err := l.openSQLite(ctx, dir)
	if errors.Is(err, ErrLocked) {
		path := filepath.Join(dir, "ledger.db")
		if l.db, err = connect(ctx, path, "immediate", 1); err == nil {
			l.read, err = connect(ctx, path, "deferred", 1)
		}
		return err
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
		l.lock = nil
	}
	return err
}

func (l *Ledger) besidePostgres(ctx context.Context, address string) (err error) {
	if l.db, err = pool(address, false); err != nil {
		return err
	}
	if l.read, err = pool(address, true); err != nil {
		return err
	}
	if err := l.db.PingContext(ctx); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	if err := mayMigrate(ctx, l.db); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	return plain(l.migrate(ctx))
}

// write runs f in a transaction that logs nothing.
func (b *Beside) write(ctx context.Context, f func(context.Context, *txn) error) error {
	return b.ledger.Write(ctx, func(ctx context.Context, tx *sqlx.Tx) error { return f(ctx, &txn{Tx: tx, sql: b.ledger.sql}) })
}

// CreateToken makes a token, see jobs.Tokens.
func (b *Beside) CreateToken(ctx context.Context, by jobs.Actor, o jobs.TokenOrder) (jobs.Token, string, error) {
	return b.people.create(ctx, by, o)
}

// Tokens returns every token, see jobs.Tokens.
func (b *Beside) Tokens(ctx context.Context, by jobs.Actor) ([]jobs.Token, error) {
	return b.people.list(ctx, by)
}

// RevokeToken ends a token, see jobs.Tokens.
func (b *Beside) RevokeToken(ctx context.Context, by jobs.Actor, id string) (jobs.Token, error) {
	return b.people.revoke(ctx, by, id)
}

// Close closes the databases.
func (b *Beside) Close() error { return b.ledger.Close() }

package ledger

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/keyring"
)

// ErrLocked is wrapped by Open when another process serves this ledger.
var ErrLocked = errors.New("ledger is in use")

// ErrUnsafe is wrapped by Open when the database would not keep what it has
// acknowledged.
var ErrUnsafe = errors.New("ledger is not durable")

// Options says how to open a ledger. Keys and one of Dir and URL are required.
type Options struct {
	Dir    string           // on SQLite, the folder of ledger.db, made if need be
	URL    string           // on PostgreSQL, the primary's address, as pgx takes it; a secret
	Alone  bool             // on PostgreSQL, no other process may have the ledger open; on SQLite none ever may
	Keys   *keyring.Keyring // seals what the ledger keeps
	Origin string           // the name of the log and of its key
	Signer crypto.Signer    // the log's Ed25519 key
	Now    func() time.Time // nil means the clock's; see Ledger.Now
	Rules  jobs.Rules       // which plans have to be approved

	Next   crypto.Signer // the key that is to follow, if there is one
	Former []string      // verifier keys of those that were in force before

	Verifier string         // of a log that is not appended to, in place of Signer
	Anchors  []audit.Anchor // what they keep must be the beginning of the log

	Logger *slog.Logger // of Sequence; nil for none
	Pulse  jobs.Pulse   // likewise
}

// A Ledger is the book. It may be used concurrently. One process at a time
// serves a SQLite ledger, any number one on PostgreSQL.
type Ledger struct {
	sql  dialect
	db   *sqlx.DB // to write with; on SQLite the only writer: one connection
	read *sqlx.DB // can only read
	keys *keyring.Keyring
	log  *audit.Log
	now  func() time.Time

	rules jobs.Rules
	bell  chan struct{} // rung after a commit that left something ready

	writer *audit.Writer // SQLite
	lock   *os.File      // likewise

	sequencer *audit.Sequencer // PostgreSQL
	health    health           // likewise
	presence  *sqlx.Conn       // likewise: holds the lock that says that somebody serves
	alone     bool             // likewise: which lock

	opened openedHolds
}

// Open opens the ledger and its log, migrates both and takes its lock: on SQLite
// the folder's, which one process has, on PostgreSQL one that any number may
// share, unless one of them is to be alone. It returns an error wrapping ErrLocked
// if another process is in the way, and ErrUnsafe for a database on which a commit could be lost. A ledger whose log was found not to be what it was can be read, see
// audit.Log.Refusal.
func Open(ctx context.Context, o Options) (_ *Ledger, err error) {
	l := &Ledger{keys: o.Keys, now: o.Now, rules: o.Rules, bell: make(chan struct{}, 1), health: health{patience: stallAfter}}
	if l.now == nil {
		l.now = l.shared
	}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if l.sql = sqlite(); o.URL != "" {
		l.sql = postgres()
		err = l.openPostgres(ctx, o.URL, o.Alone)
	} else {
		err = l.openSQLite(ctx, o.Dir)
	}
	if err != nil {
		return nil, err
	}
	restored, err := Restored(ctx, l.db)
	if err != nil {
		return nil, err
	}
	if l.log, err = openLog(ctx, l.read, o, l.now, restored); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := l.believe(ctx, restored); err != nil {
		return nil, err
	}
	if o.URL != "" {
		l.look(ctx)
		l.sequencer = &audit.Sequencer{Log: l.log, DB: l.db, Logger: o.Logger, Pulse: o.Pulse}
	} else if l.writer, err = audit.NewWriter(ctx, l.log, l.db); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := l.sweepStaged(ctx); err != nil && !errors.Is(err, audit.ErrRefused) { // what is refused can still be read
		return nil, err
	}
	return l, nil
}

func openLog(ctx context.Context, db *sqlx.DB, o Options, now func() time.Time, restored bool) (*audit.Log, error) {
	to := audit.Options{Restored: restored, Verifier: o.Verifier, Origin: o.Origin, Now: now, Anchors: o.Anchors}
	if o.Signer != nil {
		public, ok := o.Signer.Public().(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("not an Ed25519 key")
		}
		to.Verifier = proof.VerifierKey(o.Origin, public)
		to.Signers = []audit.Signer{{Name: o.Origin, Key: o.Signer}}
	}
	if o.Next != nil {
		to.Signers = append(to.Signers, audit.Signer{Name: o.Origin, Key: o.Next})
	}
	for _, verifier := range o.Former { // others were of logs before this one
		if name, _, _ := strings.Cut(verifier, "+"); name == o.Origin {
			to.Verifier += "\n" + verifier
		} else {
			to.Earlier = append(to.Earlier, verifier)
		}
	}
	return audit.Open(ctx, db, to)
}

// Log returns the log that the ledger keeps in its database.
func (l *Ledger) Log() *audit.Log { return l.log }

// Bell receives after a commit that left a row of the outbox ready. It is a
// hint that saves a wait, never the only way to learn of one.
func (l *Ledger) Bell() <-chan struct{} { return l.bell }

// Close closes the database and releases the lock. Sequence must have returned.
func (l *Ledger) Close() error {
	var errs []error
	if l.writer != nil {
		errs = append(errs, l.writer.Close())
	}
	if l.presence != nil {
		l.leave()
	}
	if l.read != nil {
		errs = append(errs, l.read.Close())
	}
	if l.db != nil {
		errs = append(errs, l.db.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

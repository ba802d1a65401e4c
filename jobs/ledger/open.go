package ledger

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3" // the ledger's database driver
	"github.com/pressly/goose/v3"

	"lethe/audit"
	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs/keyring"
)

//go:embed migration
var migrations embed.FS

// ErrLocked is wrapped by Open when another process serves this ledger.
var ErrLocked = errors.New("ledger is in use")

// ErrUnsafe is wrapped by Open when the database would not keep what it has
// acknowledged.
var ErrUnsafe = errors.New("ledger is not durable")

// Options says how to open a ledger. Dir and Keys are required.
type Options struct {
	Dir    string           // the folder of ledger.db, made if need be
	Keys   *keyring.Keyring // seals what the ledger keeps
	Origin string           // the name of the log and of its key
	Signer crypto.Signer    // the log's Ed25519 key
	Now    func() time.Time // nil means time.Now

	Next   crypto.Signer // the key that is to follow, if there is one
	Former []string      // verifier keys of those that were in force before

	Verifier string         // of a log that is not appended to, in place of Signer
	Anchors  []audit.Anchor // what they keep must be the beginning of the log
}

// A Ledger is the book. It may be used concurrently; one process at a time
// serves a SQLite ledger.
type Ledger struct {
	db   *sqlx.DB // the only writer: one connection
	read *sqlx.DB
	keys *keyring.Keyring
	log  *audit.Log
	now  func() time.Time

	writer *audit.Writer
	lock   *os.File
	bell   chan struct{} // rung after a commit that left something ready
}

// Open opens the ledger and its log, migrates both, and takes the folder's
// lock. It returns an error wrapping ErrLocked if another process has it. A
// ledger whose log was found not to be what it was can be read, see
// audit.Log.Refusal.
func Open(ctx context.Context, o Options) (_ *Ledger, err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make ledger folder: %w", err)
	}
	l := &Ledger{keys: o.Keys, now: o.Now, bell: make(chan struct{}, 1)}
	if l.now == nil {
		l.now = time.Now
	}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if l.lock, err = lockFile(filepath.Join(o.Dir, "ledger.lock")); err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, "ledger.db")
	if l.db, err = connect(ctx, path, "immediate", 1); err != nil {
		return nil, err
	}
	if err := migrate(ctx, l.db); err != nil {
		return nil, err
	}
	if l.read, err = connect(ctx, path, "deferred", 4); err != nil {
		return nil, err
	}
	if err := audit.Migrate(ctx, l.db); err != nil {
		return nil, fmt.Errorf("migrate log: %w", err)
	}
	if l.log, err = openLog(ctx, l.read, o, l.now); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if l.writer, err = audit.NewWriter(ctx, l.log, l.db); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := l.sweepStaged(ctx); err != nil && !errors.Is(err, audit.ErrRefused) { // what is refused can still be read
		return nil, err
	}
	return l, nil
}

func openLog(ctx context.Context, db *sqlx.DB, o Options, now func() time.Time) (*audit.Log, error) {
	to := audit.Options{Verifier: o.Verifier, Origin: o.Origin, Now: now, Anchors: o.Anchors}
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

// Close checkpoints and closes the database and releases the lock.
func (l *Ledger) Close() error {
	var errs []error
	if l.writer != nil {
		errs = append(errs, l.writer.Close())
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

// connect opens one pool and asserts on each of its connections what
// durability rests on: go-sqlite3 forces synchronous=NORMAL unless it is told
// otherwise, and NORMAL loses acknowledged commits at a power cut.
func connect(ctx context.Context, path, lock string, conns int) (*sqlx.DB, error) {
	q := url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_secure_delete": {"on"}, "_busy_timeout": {"10000"},
		"_foreign_keys": {"on"}, "_txlock": {lock}, "_cache_size": {"-16384"},
	}
	if fault.Bug("ledger/any-durability") || fault.Bug("ledger/sync-normal") {
		q.Set("_synchronous", "NORMAL")
	}
	db, err := sqlx.Open("sqlite3", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxLifetime(0)
	if err := assertDurable(ctx, db, conns); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

func assertDurable(ctx context.Context, db *sqlx.DB, conns int) error {
	held := make([]*sqlx.Conn, 0, conns)
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	for range conns { // held together, so that each is another connection
		c, err := db.Connx(ctx)
		if err != nil {
			return fmt.Errorf("open ledger: %w", err)
		}
		held = append(held, c)
		var mode string
		var sync int
		if err := errors.Join(c.GetContext(ctx, &mode, "PRAGMA journal_mode"), c.GetContext(ctx, &sync, "PRAGMA synchronous")); err != nil {
			return fmt.Errorf("open ledger: %w", err)
		}
		if fault.Bug("ledger/any-durability") || fault.Bug("ledger/sync-normal") {
			continue
		}
		if mode != "wal" || sync != 2 {
			return fmt.Errorf("%w: journal_mode=%s synchronous=%d, want wal and 2 (FULL)", ErrUnsafe, mode, sync)
		}
	}
	return nil
}

func migrate(ctx context.Context, db *sqlx.DB) error {
	dir, err := fs.Sub(migrations, "migration/sqlite")
	if err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.DB, dir)
	if err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	return nil
}

// lockFile keeps a second process from migrating or serving the same ledger.
// The lock goes with the process, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock ledger: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock ledger: %w", ErrLocked)
	}
	return f, nil
}

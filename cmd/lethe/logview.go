package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3" // the ledger's database driver
	"github.com/spf13/cobra"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/jobs/ledger"
)

// Files of the data folder that commands read without the service.
const (
	ledgerFile   = "ledger.db" // as jobs/ledger names it
	publicSuffix = ".pub"      // of the key's half that everybody may read, as audit names it
)

// A logReader is the log, read from the ledger or as the server publishes it.
type logReader interface {
	Check(context.Context) (audit.Report, error)
	CheckPin(ctx context.Context, head []byte) error
	Consistent(ctx context.Context, a, b []byte) error
	Tail(ctx context.Context, n int) ([]audit.Line, error)
	Export(ctx context.Context, dir string) error
	Checkpoint(context.Context) ([]byte, error)
}

// A source says where a command reads the log: given --config or --data in the
// data folder itself, also while the service runs; else from the server.
type source struct {
	remote
	config, data, key string
}

func (s *source) add(cmd *cobra.Command) {
	s.remote.add(cmd)
	cmd.Flags().StringVar(&s.config, "config", "", "read the data folder that `FILE` names, not the server")
	cmd.Flags().StringVar(&s.data, "data", "", "read the data folder `DIR`, not the server")
}

func (s *source) direct() bool { return s.config != "" || s.data != "" }

func (s *source) dataDir() (string, error) {
	c, err := Load(s.config, Overrides{Data: s.data})
	return c.Data, err
}

// verifierKey returns the log's public key: as given, as it stands in the data
// folder, or as the server says.
func (s *source) verifierKey(ctx context.Context) (string, error) {
	if s.key != "" {
		text, err := readSmallFile(s.key, 64<<10)
		if err != nil && strings.Count(s.key, "+") >= 2 {
			return s.key, nil
		}
		return strings.TrimSpace(string(text)), err
	}
	if s.direct() {
		dir, err := s.dataDir()
		if err != nil {
			return "", err
		}
		text, err := readSmallFile(filepath.Join(dir, logKeyFile+publicSuffix), 4096)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w (the key is made when lethe serve first starts)", err)
		}
		return strings.TrimSpace(string(text)), err
	}
	client, err := s.client()
	if err != nil {
		return "", err
	}
	text, err := client.Key(ctx)
	if err != nil {
		return "", err
	}
	return checkKey(text)
}

// open returns the log and a function that closes it.
func (s *source) open(ctx context.Context) (logReader, func(), error) {
	text, err := s.believed(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("find the log's key: %w", err)
	}
	keys, err := proof.ParseKeys([]byte(text))
	if err != nil {
		return nil, nil, err
	}
	if s.direct() {
		l, done, err := s.openLedger(ctx, keys.Logs()[0].Key.Name(), text)
		if err != nil {
			return nil, nil, err
		}
		return guardedLog{l}, done, nil
	}
	client, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	return readPublished(publishedBy(ctx, client), keys), func() {}, nil
}

// believed returns the keys under which the log is read: those given, or else
// all that it has had, by the key files or by the server's word.
func (s *source) believed(ctx context.Context) (string, error) {
	if s.key == "" && !s.direct() {
		client, err := s.client()
		if err != nil {
			return "", err
		}
		text, err := client.Keys(ctx)
		return string(text), err
	}
	text, err := s.verifierKey(ctx)
	if err != nil || s.key != "" {
		return text, err
	}
	config, err := Load(s.config, Overrides{Data: s.data})
	if err != nil {
		return "", err
	}
	return config.believedKeys()
}

// openLedger opens the ledger's database for reading alone, beside the service
// if it runs, under the keys that are believed.
func (s *source) openLedger(ctx context.Context, origin, keys string) (*audit.Log, func(), error) {
	config, err := Load(s.config, Overrides{Data: s.data})
	if err != nil {
		return nil, nil, err
	}
	anchors, err := config.logAnchors()
	if err != nil {
		return nil, nil, err
	}
	db, err := readLedger(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	restored, err := ledger.Restored(ctx, db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	l, err := audit.Open(ctx, db, audit.Options{Verifier: keys, Origin: origin, Anchors: anchors, Restored: restored})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return l, func() { _ = db.Close() }, nil
}

// readLedger opens the ledger's database for reading alone.
func readLedger(ctx context.Context, config Config) (*sqlx.DB, error) {
	if u := config.postgres(); u != "" {
		return ledger.Reader(ctx, u)
	}
	path := filepath.Join(config.Data, ledgerFile)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	return readSQLite(path)
}

// readSQLite opens a SQLite ledger, or a copy of one, for reading alone.
func readSQLite(path string) (*sqlx.DB, error) { return openSQLite(path, readingSQLite()) }

func readingSQLite() url.Values {
	return url.Values{"mode": {"ro"}, "_synchronous": {"FULL"}, "_busy_timeout": {"10000"}, "_query_only": {"on"}}
}

func openSQLite(path string, query url.Values) (*sqlx.DB, error) {
	db, err := sqlx.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	return db, nil
}

// A guardedLog is a log of which Check also says what the guard found. It can be
// read whatever that is.
type guardedLog struct{ *audit.Log }

func (l guardedLog) Check(ctx context.Context) (audit.Report, error) {
	report, err := l.Log.Check(ctx)
	refusal := l.Refusal()
	if errors.Is(refusal, audit.ErrSucceeded) { // that is no fault
		refusal = nil
	}
	return report, errors.Join(refusal, err)
}

package audit_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"lethe/audit"

	"github.com/jmoiron/sqlx"
)

// A shelf is an anchor in memory that can be made to fail.
type shelf struct {
	name string

	mu     sync.Mutex
	head   []byte
	err    error
	stores int
	hang   chan struct{} // calls wait for it and do not heed their context

	loading func() // called by Load
}

func (s *shelf) Name() string { return s.name }

func (s *shelf) Load(context.Context) ([]byte, error) {
	s.wait()
	s.mu.Lock()
	loading := s.loading
	s.mu.Unlock()
	if loading != nil {
		loading()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.head), s.err
}

func (s *shelf) Store(_ context.Context, head []byte) error {
	s.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.head = bytes.Clone(head)
		s.stores++
	}
	return s.err
}

func (s *shelf) wait() {
	s.mu.Lock()
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) kept() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.head)
}

// keep has the anchor keep the log's newest head.
func (s *shelf) keep(t testing.TB, l *ledger) {
	t.Helper()
	head, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = head
}

// backup copies the ledger's database, as a backup would.
func (l *ledger) backup(t testing.TB) string {
	t.Helper()
	if l.write.DriverName() == "pgx" {
		return copySchema(t, l.path)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if _, err := l.write.Exec(`VACUUM INTO ?`, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// commit is how the ledger writes.
func (l *ledger) commit(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error {
	tx, err := l.write.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// restored puts a backup in the ledger's place.
func (l *ledger) restored(t testing.TB, backup string, anchors ...audit.Anchor) *ledger {
	t.Helper()
	return ledgerAt(t, backup, l.key, anchors...)
}

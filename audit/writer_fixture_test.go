package audit_test

import (
	"crypto"
	"errors"
	"io"
	"testing"

	"lethe/audit"
)

func (l *ledger) newWriter(t testing.TB) *audit.Writer {
	t.Helper()
	w, err := audit.NewWriter(t.Context(), l.Log, l.write)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (l *ledger) mustExec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := l.write.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

// counts returns the number of entries and of heads.
func (l *ledger) counts(t testing.TB) (entries, heads int) {
	t.Helper()
	if err := l.read.QueryRow(`SELECT (SELECT count(*) FROM audit_entry), (SELECT count(*) FROM audit_checkpoint)`).Scan(&entries, &heads); err != nil {
		t.Fatal(err)
	}
	return entries, heads
}

var errAgent = errors.New("the agent is gone")

// An agent is a key that lives elsewhere.
type agent struct {
	crypto.Signer
	gone  bool
	asked int
}

func (a *agent) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if a.asked++; a.gone {
		return nil, errAgent
	}
	return a.Signer.Sign(r, digest, o)
}

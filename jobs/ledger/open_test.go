package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/jobs/ledger"
)

func TestSynchronousIsFullOnEveryConnection(t *testing.T) {
	b := newBook(t, onSQLite)
	for i, pool := range b.Pools() {
		conns := pool.Stats().MaxOpenConnections
		if want := [2]int{1, 4}[i]; conns != want {
			t.Errorf("pool %d has %d connections, want %d", i, conns, want)
		}
		for range conns { // held together, so that each is another
			c, err := pool.Connx(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			check(t, c, "journal_mode", "wal")
			check(t, c, "synchronous", "2")
			check(t, c, "secure_delete", "1")
			check(t, c, "foreign_keys", "1")
		}
	}
}

func check(t *testing.T, c *sqlx.Conn, pragma, want string) {
	t.Helper()
	var got string
	if err := c.GetContext(t.Context(), &got, "PRAGMA "+pragma); err != nil || got != want {
		t.Errorf("%s = %s, %v; want %s", pragma, got, err, want)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	b := newBook(t, onSQLite)
	r := b.submit(t, "u1")
	if _, err := ledger.Open(t.Context(), b.options()); !errors.Is(err, ledger.ErrLocked) {
		t.Fatalf("err = %v, want ErrLocked", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	if got := b.request(t, r.ID); got.Status != r.Status || len(got.Jobs) != 2 {
		t.Errorf("after a restart: %+v", got)
	}
}

// A path is not a URL: none of these may open a database somewhere else.
func TestOpensInTheFolderThatItIsGiven(t *testing.T) {
	for _, name := range []string{"with space", "what?mode=memory", "100%41", "a#b", "ä+ö&c=d", "file:x"} {
		b := newBook(t, onSQLite)
		o := b.options()
		o.Dir = filepath.Join(t.TempDir(), name)
		l, err := ledger.Open(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if info, err := os.Stat(filepath.Join(o.Dir, "ledger.db")); err != nil || info.Size() == 0 {
			t.Errorf("%s: the database is not in its folder: %v", name, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestALogUnderAnotherKeyIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.submit(t, "u1")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		other := newBook(t, on)
		o := b.options()
		o.Signer = other.key.Signer
		if _, err := ledger.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "open log") {
			t.Errorf("err = %v, want one of the log", err)
		}
		b.open(t) // and the lock is free again
	})
}

package audit_test

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"
)

// A ledger is a database as the daemon has it: one connection that writes and
// a pool that reads.
type ledger struct {
	path        string // or DSN
	write, read *sqlx.DB
	key         *keyfile.Key
	keyFile     string
	anchors     []audit.Anchor
	*audit.Log
}

func clock() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// connect opens a pool on a file of SQLite or a DSN of PostgreSQL. synchronous
// is FULL or NORMAL, in the words of SQLite.
func connect(t testing.TB, path, synchronous string, conns int) *sqlx.DB {
	t.Helper()
	driver, dsn := "sqlite3", "file:"+path+"?_journal_mode=WAL&_txlock=immediate&_busy_timeout=10000&_synchronous="+synchronous
	if strings.HasPrefix(path, "postgres:") {
		driver, dsn = "pgx", path+"&synchronous_commit="+map[string]string{"FULL": "on", "NORMAL": "off"}[synchronous]
	}
	db, err := sqlx.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(conns)
	t.Cleanup(func() { db.Close() })
	return db
}

// newLedger makes a log on SQLite or, below [onPostgres], on PostgreSQL.
func newLedger(t testing.TB) *ledger {
	t.Helper()
	if strings.HasPrefix(t.Name(), onPostgres) {
		return newPostgres(t)
	}
	return newLedgerAt(t, filepath.Join(t.TempDir(), "ledger.db"))
}

func newLedgerAt(t testing.TB, path string) *ledger {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "log.key")
	key, err := keyfile.Open(keyFile, "log.example/lethe")
	if err != nil {
		t.Fatal(err)
	}
	l := ledgerAt(t, path, key)
	l.keyFile = keyFile
	return l
}

// ledgerAt opens the ledger in a file, made if need be.
func ledgerAt(t testing.TB, path string, key *keyfile.Key, anchors ...audit.Anchor) *ledger {
	t.Helper()
	l := &ledger{path: path, key: key, anchors: anchors}
	l.write, l.read = connect(t, l.path, "FULL", 1), connect(t, l.path, "FULL", 4)
	if err := audit.Migrate(t.Context(), l.write); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.Log, err = l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *ledger) open(ctx context.Context) (*audit.Log, error) {
	return audit.Open(ctx, l.read, audit.Options{Signers: []audit.Signer{{Name: l.key.Origin, Key: l.key.Signer}}, Verifier: l.key.Verifier, Origin: l.key.Origin, Now: clock, Anchors: l.anchors, AnchorWait: 100 * time.Millisecond})
}

// add commits entries and returns the index of the first.
func (l *ledger) add(entries ...proof.Entry) (int64, error) {
	tx, err := l.write.Beginx()
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	first, err := l.Append(context.Background(), tx, entries...)
	if err != nil {
		return 0, err
	}
	return first, tx.Commit()
}

// fill commits entries up to n, in transactions of different sizes.
func (l *ledger) fill(t testing.TB, n int) {
	t.Helper()
	for at, batch := 0, 1; at < n; at, batch = at+batch, batch%7+1 {
		var entries []proof.Entry
		for i := at; i < min(n, at+batch); i++ {
			entries = append(entries, entry(i))
		}
		if _, err := l.add(entries...); err != nil {
			t.Fatal(err)
		}
	}
}

func requestID(i int) string { return fmt.Sprintf("0199f2a4-5c1e-7d3b-8f00-%012x", i) }

func entry(i int) proof.Entry {
	return &proof.SubjectKeyDestroyed{RequestID: requestID(i), DestroyedAt: proof.At(clock()) + proof.Time(i)}
}

func entryID(i int) string { return proof.EntryID(requestID(i), proof.KindSubjectKeyDestroyed) }

// tamper changes rows as an insider with the file would, triggers or not.
func (l *ledger) tamper(t testing.TB, statements ...string) {
	t.Helper()
	list := `SELECT 'DROP TRIGGER ' || name FROM sqlite_schema WHERE type = 'trigger'`
	if l.write.DriverName() == "pgx" {
		list = `SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal`
	}
	var drop []string
	if err := l.write.Select(&drop, list); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(drop, statements...) {
		if _, err := l.write.Exec(l.spell(s)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// spell writes a statement for the ledger's database.
func (l *ledger) spell(statement string) string {
	if l.write.DriverName() != "pgx" {
		return statement
	}
	bytes := regexp.MustCompile(`CAST\(replace\(CAST\((\w+) AS TEXT\), ('\w+'), ('\w+')\) AS BLOB\)`)
	return strings.NewReplacer("zeroblob(32)", `decode(repeat('00', 32), 'hex')`, "x'00'", `'\x00'::bytea`).Replace(
		bytes.ReplaceAllString(statement, `convert_to(replace(convert_from($1, 'UTF8'), $2, $3), 'UTF8')`))
}

package tables_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

const secret = "SECRET-alice"

// A library is a database of its own, whose files are looked at from outside:
// a partitioned table with long and short texts, and one that is alice's alone.
type library struct {
	t   *testing.T
	dsn string
	db  *sqlx.DB
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{t: t, dsn: audittest.Postgres(t)}
	l.db = sqlx.MustOpen("pgx", l.dsn)
	t.Cleanup(func() { l.db.Close() })
	l.db.MustExec(`CREATE TABLE notes (id uuid DEFAULT gen_random_uuid(), owner text, body text) PARTITION BY HASH (id);
		CREATE TABLE notes_0 PARTITION OF notes FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE notes_1 PARTITION OF notes FOR VALUES WITH (MODULUS 2, REMAINDER 1);
		ALTER TABLE notes ALTER body SET STORAGE EXTERNAL;
		CREATE UNIQUE INDEX ON notes (id); CREATE INDEX ON notes (owner, left(body, 30)); CREATE INDEX ON notes USING gin (to_tsvector('simple', left(body, 40)));
		CREATE TABLE diary (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, owner text, body text);
		CREATE STATISTICS both_of_them (mcv) ON owner, body FROM diary`)
	for _, owner := range []string{"alice", "bob"} {
		l.db.MustExec(`INSERT INTO notes (owner, body) SELECT $1, 'SECRET-' || $1 || '-' || i || repeat('x', CASE WHEN i % 10 = 0 THEN 9000 ELSE 90 END) FROM generate_series(1, 400) i`, owner)
	}
	l.db.MustExec(`INSERT INTO diary (owner, body) SELECT 'alice', 'SECRET-alice-' || i % 9 FROM generate_series(1, 90) i`)
	l.db.MustExec(`ANALYZE`)
	return l
}

func (l *library) open(dsn string) *tables.Postgres {
	l.t.Helper()
	place := func(name string) tables.Place {
		return tables.Place{Name: name, File: "pg", Table: name, ID: []string{"id"}, Match: map[string]tables.Member{"user_id": {Column: "owner"}}, Explicit: true}
	}
	s, err := tables.OpenPostgres(l.t.Context(), tables.PostgresConfig{DSN: dsn, Map: tables.Map{
		Files: []tables.File{{Name: "pg"}}, Places: []tables.Place{place("notes"), place("diary")},
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { s.Close() })
	return s
}

func (l *library) rewriter(dsn string) *tables.Rewriter {
	l.t.Helper()
	r, err := tables.NewRewriter(l.t.Context(), l.open(dsn))
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// forget erases alice.
func (l *library) forget(s store.Store) {
	l.t.Helper()
	var ids []store.ID
	for id, err := range s.Find(l.t.Context(), store.Selector{UserID: "alice"}) {
		if err != nil {
			l.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if r, err := s.Erase(l.t.Context(), ids); err != nil || r.Count(store.Erased) != 490 {
		l.t.Fatalf("erased %d, error %v", r.Count(store.Erased), err)
	}
}

// purged purges until nothing is in the way: the server's own ANALYZE may be.
func (l *library) purged(s store.Purger) error {
	for {
		if err := s.Purge(l.t.Context()); !errors.Is(err, store.ErrBusy) {
			return err
		}
	}
}

// copies counts what is in the server's files of this database.
func (l *library) copies(what string) (n int) {
	l.t.Helper()
	l.db.MustExec(`CHECKPOINT`)
	dir := l.dir("base/" + l.text(`SELECT oid::text FROM pg_database WHERE datname = current_database()`))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all, err := os.ReadFile(path)
		n += bytes.Count(all, []byte(what))
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func (l *library) dir(path string) string {
	return filepath.Join(l.text(`SHOW data_directory`), path)
}

func (l *library) text(query string) (text string) {
	l.t.Helper()
	if err := l.db.Get(&text, query); err != nil {
		l.t.Fatal(err)
	}
	return text
}

func (l *library) rows() string {
	return l.text(`SELECT count(*) || ' ' || md5(string_agg(n::text, '|' ORDER BY id)) FROM notes n WHERE owner = 'bob'`)
}

func TestARewriteLeavesNoCopy(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	r := l.rewriter(l.dsn)
	before := l.rows()
	l.forget(r)
	l.db.MustExec(`VACUUM`)
	if n := l.copies(secret); n == 0 {
		t.Fatal("nothing is left after DELETE and VACUUM: this test shows nothing")
	}
	if err := l.purged(r); err != nil {
		t.Fatal(err)
	}
	if n := l.copies(secret); n > 0 {
		t.Errorf("%d copies left in the database's files", n)
	}
	if l.copies("SECRET-bob") == 0 {
		t.Error("bob's are gone too, or the test looks at the wrong files")
	}
	if diff := cmp.Diff(before, l.rows()); diff != "" {
		t.Errorf("bob's rows: (-before +after)\n%s", diff)
	}
	if err := l.purged(r); err != nil {
		t.Errorf("a second purge: %v", err)
	}
}

// TestTheLookComesAfterACheckpoint: what the server has only in memory, as it may
// have most of a TOAST table, is in no file that could be looked into.
func TestTheLookComesAfterACheckpoint(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	r := l.rewriter(l.dsn)
	l.forget(r)
	erased := l.text(`SELECT pg_current_wal_insert_lsn()`)
	if err := l.purged(r); err != nil {
		t.Fatal(err)
	}
	if since := l.text(`SELECT redo_lsn >= '` + erased + `' FROM pg_control_checkpoint()`); since != "true" {
		t.Error("the files were looked into before the server had written them")
	}
}

// TestRowsKeptForAnOlderTransactionAreNoPurge: the server copies them.
func TestRowsKeptForAnOlderTransactionAreNoPurge(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	r := l.rewriter(l.dsn)
	old := l.db.MustBegin()
	defer old.Rollback()
	old.MustExec(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`)
	old.MustExec(`SELECT 1 FROM pg_class`)
	l.forget(r)
	if err := r.Purge(t.Context()); !errors.Is(err, store.ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	// Whoever does not hear it from the server sees it in the files.
	if err := r.RewriteThen(t.Context(), true, func(string, string) {}); !errors.Is(err, store.ErrBusy) || !errors.Is(err, tables.ErrResidue) {
		t.Errorf("deaf: error %v, want ErrBusy for residue", err)
	}
	if err := old.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := l.purged(r); err != nil || l.copies(secret) > 0 {
		t.Errorf("after the transaction: error %v, %d copies", err, l.copies(secret))
	}
}

func TestTheLookSeesWhatARewriteDidNotLeave(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	r := l.rewriter(l.dsn)
	l.forget(r)
	if err := l.purged(r); err != nil { // or the server's own ANALYZE might keep her rows
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		deaf bool
		then func(path, before string)
		want error
	}{
		{"nothing", true, func(string, string) {}, nil},
		{"rows of later", false, func(string, string) {
			l.db.MustExec(`DELETE FROM notes WHERE body LIKE '%7xx%'; INSERT INTO notes (owner, body) VALUES ('carol', 'new'); UPDATE notes SET body = 'other' WHERE body LIKE '%8xx%'`)
			l.db.MustExec(`VACUUM notes`)
		}, nil},
		{"a hole with something in it", true, func(path, _ string) { scribble(t, l.dir(path), lower(t, l.dir(path))) }, tables.ErrResidue},
		{"the file from before", true, func(_, before string) {
			for _, segment := range []string{"", ".1"} {
				path := l.dir(before) + segment
				if err := os.WriteFile(path, []byte(secret), 0o644); err != nil { //nolint:gosec // the server is another user
					t.Fatal(err)
				}
				t.Cleanup(func() { os.Remove(path) })
			}
		}, tables.ErrResidue},
		{"no page", true, func(path, _ string) { scribble(t, l.dir(path), 12) }, tables.ErrLayout},
	} {
		err := r.RewriteThen(t.Context(), c.deaf, c.then)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

// lower is where the hole of the first page begins.
func lower(t *testing.T, path string) int64 {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return int64(binary.LittleEndian.Uint16(page[12:]))
}

// scribble writes into the first page of a file, behind the server's back.
func scribble(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("SECRET"), off); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestAPurgeDoesNotHoldUpTheApplication: somebody reads a table for long, and
// who comes after Lethe is served while he still does.
func TestAPurgeDoesNotHoldUpTheApplication(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	r := l.rewriter(l.dsn)
	l.forget(r)
	holder := l.db.MustBegin()
	defer holder.Rollback()
	holder.MustExec(`LOCK TABLE notes_0 IN ACCESS SHARE MODE`)
	purge := make(chan error)
	go func() { purge <- r.Purge(t.Context()) }()
	for l.text(`SELECT count(*)::text FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`) == "0" { // until it waits
	}
	if n := l.text(`SELECT count(*)::text FROM notes_0 WHERE owner = 'bob'`); n == "0" {
		t.Error("no rows of bob's")
	}
	if err := <-purge; !errors.Is(err, store.ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := l.purged(r); err != nil || l.copies(secret) > 0 {
		t.Errorf("after the lock: error %v, %d copies", err, l.copies(secret))
	}
}

func TestTheApplicationWritesDuringAPurge(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	r := l.rewriter(l.dsn)
	l.forget(r)
	stop, written := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				written <- n
				return
			default:
				l.db.MustExec(`INSERT INTO notes (owner, body) VALUES ('carol', 'new'), ('dave', 'new')`)
				l.db.MustExec(`UPDATE notes SET body = 'newer' WHERE owner = 'carol' AND body = 'new'`)
				n++
			}
		}
	}()
	err := l.purged(r)
	close(stop)
	n := <-written
	if err != nil || l.copies(secret) > 0 {
		t.Errorf("error %v, %d copies", err, l.copies(secret))
	}
	var rows int
	if err := l.db.Get(&rows, `SELECT count(*) FROM notes WHERE owner IN ('carol', 'dave')`); err != nil || rows != 2*n || n == 0 {
		t.Errorf("%d rows of %d pairs, error %v", rows, n, err)
	}
}

// TestWhoMayPurge: an owner without a right to look rewrites, and says so.
func TestWhoMayPurge(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	role := "purger_" + l.text(`SELECT current_database()`)
	l.db.MustExec(`CREATE ROLE ` + role + ` LOGIN; GRANT SELECT, DELETE, INSERT ON notes, diary TO ` + role)
	dsn := strings.Replace(l.dsn, "lethe@", role+"@", 1)
	_, err := tables.NewRewriter(t.Context(), l.open(dsn))
	if !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), `ALTER TABLE "public"."notes_1" OWNER TO`) || !strings.Contains(err.Error(), `"public"."diary"`) {
		t.Errorf("error %v, want what to grant", err)
	}
	l.db.MustExec(`ALTER TABLE notes OWNER TO ` + role + `; ALTER TABLE notes_0 OWNER TO ` + role + `; ALTER TABLE notes_1 OWNER TO ` + role + `; ALTER TABLE diary OWNER TO ` + role)
	r := l.rewriter(dsn)
	old := l.db.MustBegin()
	defer old.Rollback()
	old.MustExec(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`)
	old.MustExec(`SELECT 1 FROM pg_class`)
	l.forget(r)
	if err := r.Purge(t.Context()); !errors.Is(err, store.ErrBusy) || !errors.Is(err, tables.ErrResidue) {
		t.Errorf("with an older transaction: error %v, want what the server says to have kept", err)
	}
	if err := old.Rollback(); err != nil {
		t.Fatal(err)
	}
	err = l.purged(r)
	if !errors.Is(err, store.ErrUnseen) || !strings.Contains(err.Error(), "GRANT EXECUTE ON FUNCTION pg_read_binary_file") || !strings.Contains(err.Error(), "GRANT SELECT ON pg_statistic") {
		t.Errorf("an owner: error %v, want ErrUnseen with what to grant", err)
	}
	if n := l.text(`SELECT count(*)::text FROM pg_stats WHERE tablename LIKE 'notes%' AND most_common_vals::text LIKE '%alice%'`); n != "0" {
		t.Errorf("%s statistics still name her", n)
	}
	l.db.MustExec(`GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO ` + role + `; GRANT SELECT ON pg_statistic, pg_statistic_ext_data TO ` + role +
		`; DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' OWNER TO ` + role + `'; END $$`)
	if l.text(`SHOW server_version_num`) < "150000" {
		t.Skip("before PostgreSQL 15 only a superuser may checkpoint")
	}
	l.db.MustExec(`GRANT pg_checkpoint TO ` + role)
	if err := l.purged(r); !errors.Is(err, store.ErrUnseen) || !strings.Contains(err.Error(), "superuser, for the statistics of tables that have no rows") {
		t.Errorf("with an emptied table: error %v, want ErrUnseen", err)
	}
	l.db.MustExec(`INSERT INTO diary (owner, body) VALUES ('bob', 'dear diary')`)
	if err := l.purged(r); err != nil || l.copies(secret) > 0 {
		t.Errorf("with all grants: error %v, %d copies", err, l.copies(secret))
	}
}

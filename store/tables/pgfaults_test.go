package tables_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

// as is a DSN for another user.
func as(t *testing.T, dsn, user string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	return u.String()
}

const pgFamily = `CREATE TABLE t (id int PRIMARY KEY, owner text, meta jsonb); CREATE TABLE k (id int PRIMARY KEY, of int);
	INSERT INTO t SELECT n, 'alice' FROM generate_series(1, 9) n; INSERT INTO k SELECT n, n FROM generate_series(1, 9) n;`

func pgFamilyMap() tables.Map {
	m := pgPlace("t", "id")
	m.Places = append(m.Places, tables.Place{Name: "kids", File: "f", Table: "k", ID: []string{"id"}, With: "things", By: []string{"of"}})
	return m
}

func TestPostgresOpenNamesEveryMissingGrantAtOnce(t *testing.T) {
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(pgFamily + `CREATE ROLE clerk LOGIN`)
	open := func() error {
		s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: as(t, dsn, "clerk"), Map: pgFamilyMap()})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	expect := func(want string) {
		t.Helper()
		if err := open(); !errors.Is(err, store.ErrSchema) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := open(); !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "GRANT USAGE ON SCHEMA") {
		t.Errorf("error %v, want the GRANT on the schema", err)
	}
	db.MustExec(`DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || current_schema() || ' TO clerk'; END $$`)
	expect(`: GRANT SELECT, DELETE ON "t" TO the user of this store; GRANT SELECT, DELETE ON "k" TO the user of this store`)
	db.MustExec(`GRANT SELECT ON t, k TO clerk; GRANT DELETE ON t TO clerk`)
	expect(`: GRANT DELETE ON "k" TO the user of this store`)
	db.MustExec(`GRANT DELETE ON k TO clerk`)
	if err := open(); err != nil { // UPDATE is not needed
		t.Error(err)
	}
	db.MustExec(`ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = 'bob')`)
	expect(`row security can hide rows of "t": ALTER ROLE the user of this store BYPASSRLS`)
	db.MustExec(`ALTER ROLE clerk BYPASSRLS`)
	if err := open(); err != nil {
		t.Error(err)
	}
}

// What changes after a store was opened is one clear error, after which the same
// call goes on.
func TestPostgresErasesAgainWhenTheFaultIsMended(t *testing.T) {
	dsn := audittest.Postgres(t)
	db := pgDB(t, dsn)
	db.MustExec(pgFamily + `CREATE ROLE heir LOGIN; GRANT SELECT, DELETE ON t, k TO heir; CREATE TABLE r (id int, of int)`)
	m := pgFamilyMap()
	s := openPg(t, as(t, dsn, "heir"), m)
	for _, c := range []struct {
		name, spoil, mend string
		want              error
		text              string
	}{
		{"a privilege", `REVOKE DELETE ON k FROM heir`, `GRANT DELETE ON k TO heir`, store.ErrSchema, `GRANT DELETE ON "k" TO the user of this store`},
		{"a table", `ALTER TABLE k RENAME TO kk`, `ALTER TABLE kk RENAME TO k`, store.ErrSchema, "a table, a column or a schema of the map is gone"},
		{"a column", `ALTER TABLE t RENAME owner TO o`, `ALTER TABLE t RENAME o TO owner`, store.ErrSchema, "the tables have changed"},
		{"a trigger", `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'; CREATE TRIGGER x BEFORE DELETE ON k FOR EACH ROW EXECUTE FUNCTION f()`, `DROP TRIGGER x ON k`, store.ErrSchema, "the tables have changed"},
		{"row security", `ALTER TABLE t ENABLE ROW LEVEL SECURITY`, `ALTER TABLE t DISABLE ROW LEVEL SECURITY`, store.ErrSchema, "the tables have changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := db.Connx(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			run(t, conn, c.spoil)
			_, err = s.Erase(t.Context(), ids("1", "2"))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %q", err, c.text)
			}
			run(t, conn, c.mend)
			var n int
			if err := db.Get(&n, `SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM k)`); err != nil || n != 18 {
				t.Errorf("%d rows, error %v; want all 18", n, err)
			}
		})
	}
	if r, err := s.Erase(t.Context(), ids("1", "2")); err != nil || string(r) != "ee" {
		t.Errorf("mended: receipt %s, error %v", r, err)
	}
}

func run(t *testing.T, q sqlx.ExecerContext, statement string) {
	t.Helper()
	if _, err := q.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// What refers to rows without being mapped keeps them, and is named.
func TestPostgresNamesTheTableThatKeepsRows(t *testing.T) {
	for _, deferrable := range []string{"ON DELETE RESTRICT", "DEFERRABLE INITIALLY DEFERRED"} {
		dsn := audittest.Schema(t)
		db := pgDB(t, dsn)
		db.MustExec(pgFamily + `CREATE TABLE bills (n int CONSTRAINT billed REFERENCES t ` + deferrable + `); INSERT INTO bills VALUES (2)`)
		s := openPg(t, dsn, pgFamilyMap())
		_, err := s.Erase(t.Context(), ids("1", "2"))
		if err == nil || !strings.Contains(err.Error(), "table bills still refer to rows that are to go, by its constraint billed") || !strings.Contains(err.Error(), "23503") {
			t.Errorf("error %v, want the table and its constraint", err)
		}
		if left, err := s.Remaining(t.Context(), ids("1", "2")); err != nil || len(left) != 2 {
			t.Errorf("%d remaining, error %v; want both, with their kids", len(left), err)
		}
		db.MustExec(`DELETE FROM bills`)
		if r, err := s.Erase(t.Context(), ids("1", "2")); err != nil || string(r) != "ee" {
			t.Errorf("receipt %s, error %v", r, err)
		}
	}
}

func TestPostgresSaysWhyItCannotBeOpened(t *testing.T) {
	server := audittest.Start(t, "fsync=off")
	dsn := server.Database(t)
	db := pgDB(t, dsn)
	db.MustExec(pgFamily)
	expect := func(dsn, want string) {
		t.Helper()
		s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: dsn, Map: pgFamilyMap()})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "stranger") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	expect(as(t, dsn, "stranger"), "the server does not accept the user or the password (28000)")
	expect(strings.Replace(dsn, "/test_", "/stranger_", 1), "the server has no such database (3D000)")
	db.MustExec(`DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$`)
	expect(dsn, "the database is read only")

	// The server goes midway, and comes back.
	db.MustExec(`SET default_transaction_read_only = off`)
	conn := pgDB(t, dsn+"&default_transaction_read_only=off")
	conn.MustExec(`DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' RESET default_transaction_read_only'; END $$`)
	s := openPg(t, dsn, pgFamilyMap())
	if r, err := s.Erase(t.Context(), ids("1")); err != nil || string(r) != "e" {
		t.Fatalf("receipt %s, error %v", r, err)
	}
	blocked(t, conn, func(ctx context.Context) error {
		_, err := s.Erase(ctx, ids("2", "3"))
		return err
	}, func() {
		conn.MustExec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lethe'`)
	})
	server.Restart(t)
	var r store.Receipt
	err := again(func() (err error) { r, err = s.Erase(t.Context(), ids("2", "3")); return err })
	if err != nil || string(r) != "ee" {
		t.Errorf("after the restart: receipt %s, error %v", r, err)
	}
	if err := again(func() error { _, err := s.Remaining(t.Context(), ids("2", "3")); return err }); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

// again repeats what may find connections of before, one each time.
func again(f func() error) (err error) {
	for range 8 {
		if err = f(); !errors.Is(err, store.ErrUnavailable) {
			break
		}
	}
	return err
}

// blocked runs an erasure that waits for a row, and ends its connection.
func blocked(t *testing.T, db *sqlx.DB, erase func(ctx context.Context) error, end func()) {
	t.Helper()
	tx := db.MustBegin()
	tx.MustExec(`SELECT FROM t WHERE id = 3 FOR UPDATE`)
	failed := make(chan error, 1)
	go func() { failed <- erase(t.Context()) }()
	await(t, db, 1)
	end()
	if err := <-failed; !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrRefused) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	var n int
	if err := db.Get(&n, `SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM k)`); err != nil || n != 16 {
		t.Errorf("%d rows, error %v; want nothing half done", n, err)
	}
}

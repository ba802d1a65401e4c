package tables_test

import (
	"errors"
	"strings"
	"testing"

	"lethe/audit/audittest"
	"lethe/store"
)

// A table that takes another's place, by renaming or by the search path, is not
// the one that was looked at when the store was opened.
func TestPostgresSeesThatANameMeansAnotherTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, swap, back string }{
		{"renamed", `ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t`, `ALTER TABLE t RENAME TO t_new; ALTER TABLE t_old RENAME TO t`},
		{"moved", `CREATE SCHEMA aside; ALTER TABLE t SET SCHEMA aside; ALTER TABLE t_new RENAME TO t`, `ALTER TABLE t RENAME TO t_new; DO $$ BEGIN EXECUTE 'ALTER TABLE aside.t SET SCHEMA ' || current_schema(); END $$`},
	} {
		dsn := audittest.Postgres(t)
		db := pgDB(t, dsn)
		db.MustExec(pgFamily + `CREATE TABLE t_new (LIKE t INCLUDING ALL); INSERT INTO t_new VALUES (1, 'bob')`)
		s := openPg(t, dsn, pgFamilyMap())
		db.MustExec(c.swap)
		if r, err := s.Erase(t.Context(), ids("1")); !errors.Is(err, store.ErrSchema) {
			t.Errorf("%s: receipt %s, error %v; want ErrSchema", c.name, r, err)
		}
		if left, err := s.Remaining(t.Context(), ids("1", "2")); !errors.Is(err, store.ErrSchema) {
			t.Errorf("%s: %d remaining, error %v; want ErrSchema", c.name, len(left), err)
		}
		var bobs int
		if err := db.Get(&bobs, `SELECT count(*) FROM t WHERE owner = 'bob'`); err != nil || bobs != 1 {
			t.Errorf("%s: bob has %d rows, error %v", c.name, bobs, err)
		}
		db.MustExec(c.back)
		if r, err := s.Erase(t.Context(), ids("1")); err != nil || string(r) != "e" {
			t.Errorf("%s back: receipt %s, error %v", c.name, r, err)
		}
	}
}

// A user who may no longer see all rows is told so: hidden rows are not gone.
func TestPostgresTakesNoHiddenRowForNone(t *testing.T) {
	t.Parallel()
	dsn := audittest.Postgres(t)
	db := pgDB(t, dsn)
	db.MustExec(pgFamily + `CREATE ROLE seer LOGIN BYPASSRLS; GRANT SELECT, DELETE ON t, k TO seer;
		ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = 'bob')`)
	s := openPg(t, as(t, dsn, "seer"), pgFamilyMap())
	db.MustExec(`ALTER ROLE seer NOBYPASSRLS`)
	want := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "BYPASSRLS") {
			t.Errorf("%s: error %v, want one that says BYPASSRLS", what, err)
		}
	}
	var err error
	for _, err = range s.Find(t.Context(), store.Selector{UserID: "alice"}) {
		break
	}
	want("find", err)
	_, err = s.Erase(t.Context(), ids("1"))
	want("erase", err)
	_, err = s.Remaining(t.Context(), ids("1"))
	want("remaining", err)
	_, err = s.Count(t.Context(), store.Selector{UserID: "alice"}.Only())
	want("count", err)
	db.MustExec(`ALTER ROLE seer BYPASSRLS`)
	if r, err := s.Erase(t.Context(), ids("1")); err != nil || string(r) != "e" {
		t.Errorf("mended: receipt %s, error %v", r, err)
	}
}

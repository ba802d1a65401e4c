package tables_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

// Whoever comes second sees what the first one did, and takes the row that is
// nobody's any more.
func TestPostgresTwoErasuresOfTheTwoTiesOfARow(t *testing.T) {
	gone := "[gone]"
	for name, ties := range map[string]tables.Ties{
		"unlink": {Shared: tables.Unlink},
		"redact": {Shared: tables.Redact, Redact: []tables.Redaction{{Column: "sender", To: &gone}, {Column: "body"}}},
		"delete": {Shared: tables.Delete},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := audittest.Postgres(t)
			db := pgDB(t, dsn)
			db.MustExec(`CREATE TABLE letters (id int PRIMARY KEY, sender text, recipient text, body text);
				CREATE TABLE attachments (id int PRIMARY KEY, letter int NOT NULL REFERENCES letters);
				INSERT INTO letters VALUES (1, 'alice', 'bob', 'a'), (2, 'bob', 'alice', 'b'); INSERT INTO attachments VALUES (11, 1), (12, 2)`)
			ties.Key, ties.Columns = "user_id", []string{"sender", "recipient"}
			s := openPg(t, dsn, tables.Map{Files: []tables.File{{Name: "f"}}, Places: []tables.Place{
				{Name: "attachments", File: "f", Table: "attachments", ID: []string{"id"}, With: "letters", By: []string{"letter"}},
				{Name: "letters", File: "f", Table: "letters", ID: []string{"id"}, Ties: &ties},
			}})
			tx := db.MustBegin()
			tx.MustExec(`SELECT FROM letters ORDER BY id FOR UPDATE`)
			var wg sync.WaitGroup
			for i, user := range []string{"alice", "bob"} {
				ids := findIn(t, s, store.Selector{UserID: user})
				wg.Go(func() {
					r, err := s.Erase(t.Context(), ids)
					if err != nil || name != "delete" && string(r) != "ee" {
						t.Errorf("%s: receipt %s, error %v", user, r, err)
					}
				})
				await(t, db, i+1)
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if left := written(t, db); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			var attachments, deadlocks int
			if err := db.Get(&attachments, `SELECT count(*) FROM attachments`); err != nil || attachments > 0 {
				t.Errorf("%d attachments left, error %v", attachments, err)
			}
			err := db.Get(&deadlocks, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
			if err != nil || deadlocks > 0 && name != "delete" { // whose rows may not be locked before
				t.Errorf("%d deadlocks, error %v", deadlocks, err)
			}
		})
	}
}

// A row that someone else is given while it is being erased stays, with what
// hangs on it.
func TestPostgresARowThatChangesHandsStays(t *testing.T) {
	dsn := audittest.Postgres(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE letters (id int PRIMARY KEY, sender text, recipient text, body text); CREATE TABLE attachments (id int PRIMARY KEY, letter int);
		INSERT INTO letters VALUES (1, 'alice', NULL, 'a'); INSERT INTO attachments VALUES (11, 1)`)
	s := openPg(t, dsn, tables.Map{Files: []tables.File{{Name: "f"}}, Places: []tables.Place{
		{Name: "attachments", File: "f", Table: "attachments", ID: []string{"id"}, With: "letters", By: []string{"letter"}},
		{Name: "letters", File: "f", Table: "letters", ID: []string{"id"}, Ties: &tables.Ties{Key: "user_id", Columns: []string{"sender", "recipient"}}},
	}})
	tx := db.MustBegin()
	tx.MustExec(`UPDATE letters SET recipient = 'bob'`)
	done := make(chan store.Receipt)
	go func() {
		r, err := s.Erase(t.Context(), []store.ID{{Place: "letters.sender", Key: "1"}})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	await(t, db, 1)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; string(r) != "r" {
		t.Errorf("receipt %s, want it refused", r)
	}
	if left := written(t, db); len(left) != 1 || left[0] != "alice>bob a+" {
		t.Errorf("left: %q", left)
	}
}

func TestPostgresTiesNeedUPDATEOnlyToSetColumns(t *testing.T) {
	gone := "x"
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (id int PRIMARY KEY, a text, b text)`)
	user := pgRole(t, db, dsn)
	for shared, want := range map[tables.Sharing]string{tables.Refuse: "", tables.Delete: "", tables.Unlink: `GRANT UPDATE ON "t"`, tables.Redact: `GRANT UPDATE ON "t"`} {
		ties := tables.Ties{Key: "user_id", Columns: []string{"a", "b"}, Shared: shared}
		if shared == tables.Redact {
			ties.Redact = []tables.Redaction{{Column: "a", To: &gone}}
		}
		s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: user, Map: tables.Map{Files: []tables.File{{Name: "f"}}, Places: []tables.Place{tied(ties)}}})
		if want == "" && err != nil || want != "" && (!errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want one with %q", shared, err, want)
		}
		if err != nil {
			continue
		}
		db.MustExec(`INSERT INTO t VALUES (1, 'alice', NULL), (2, 'alice', 'bob')`)
		r, err := s.Erase(t.Context(), findIn(t, s, store.Selector{UserID: "alice"}))
		if err != nil || shared == tables.Refuse && string(r) != "er" || shared == tables.Delete && string(r) != "ee" {
			t.Errorf("%s: receipt %s, error %v", shared, r, err)
		}
		s.Close()
		db.MustExec(`DELETE FROM t`)
	}
}

// pgRole makes a user who may read and delete, and returns its DSN.
func pgRole(t *testing.T, db *sqlx.DB, dsn string) string {
	t.Helper()
	const role = "reader_of_ties"
	db.MustExec(`CREATE ROLE ` + role + ` LOGIN`)
	t.Cleanup(func() { db.MustExec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	var schema string
	if err := db.Get(&schema, `SELECT current_schema()`); err != nil {
		t.Fatal(err)
	}
	db.MustExec(`GRANT USAGE ON SCHEMA ` + schema + ` TO ` + role + `; GRANT SELECT, DELETE ON t TO ` + role)
	return dsn + "&user=" + role
}

// Constants that the server would not take are known when the store is opened.
func TestPostgresRedactionsThatCannotBeSetAreRefused(t *testing.T) {
	for _, c := range []struct {
		column, to string
		ok         bool
	}{
		{"a", "0", true},
		{"a", "none", false},
		{"a", "00", false}, // which would not be written so
		{"n", "7", true},
		{"n", "seven", false},
		{"short", "gone", false},
		{"made", "1970-01-01", true},
		{"made", "long ago", false},
		{"twice", "1", false},
	} {
		_, _, err := onPostgres(t, `CREATE TABLE t (id int PRIMARY KEY, a int, b int, n int, short varchar(2), made date, twice int GENERATED ALWAYS AS (n * 2) STORED)`,
			tied(tables.Ties{Key: "user_id", Columns: []string{"a", "b"}, Shared: tables.Redact, Redact: []tables.Redaction{{Column: c.column, To: &c.to}}}))
		if c.ok != (err == nil) || err != nil && !errors.Is(err, store.ErrSchema) {
			t.Errorf("%s to %q: error %v, accepted should be %v", c.column, c.to, err, c.ok)
		}
	}
}

// Integers and UUIDs tie people too. Columns of two types name two people.
func TestPostgresTiesOfOtherTypes(t *testing.T) {
	const id = "0c7e1e8e-6c1a-4a86-9e6e-2f0f5f0f9f01"
	zero := "0"
	for _, c := range []struct {
		a, b, user, rows, receipt string
		left                      int
	}{
		{"int2", "int8", "7", `(1, 7, 8), (2, 7, 7), (3, 7, NULL), (4, 0, 7), (5, 8, 9)`, "eeeee", 2},
		{"uuid", "uuid", id, `(1, '` + id + `', NULL), (2, '` + id + `', '` + id + `')`, "eee", 0},
		{"int8", "text", "7", `(1, 7, '7')`, "ee", 0},
	} {
		ties := tables.Ties{Key: "user_id", Columns: []string{"a", "b"}, Shared: tables.Unlink}
		if c.a == "int2" {
			ties.Shared, ties.Redact = tables.Redact, []tables.Redaction{{Column: "a", To: &zero}}
		}
		s, db, err := onPostgres(t, `CREATE TABLE t (id int PRIMARY KEY, a `+c.a+`, b `+c.b+`); INSERT INTO t VALUES `+c.rows, tied(ties))
		if err != nil {
			t.Fatal(err)
		}
		found := findIn(t, s, store.Selector{UserID: c.user})
		if r, err := s.Erase(t.Context(), found); err != nil || string(r) != c.receipt {
			t.Errorf("%s: receipt %s, error %v, want %s", c.a, r, err, c.receipt)
		}
		var left int
		if err := db.Get(&left, `SELECT count(*) FROM t`); err != nil || left != c.left {
			t.Errorf("%s: %d left, error %v; want %d", c.a, left, err, c.left)
		}
		if again := findIn(t, s, store.Selector{UserID: c.user}); len(again) > 0 || len(findIn(t, s, store.Selector{UserID: zero})) > 0 {
			t.Errorf("%s: found again", c.a)
		}
	}
}

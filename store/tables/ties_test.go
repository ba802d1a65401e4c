package tables_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

// An engine makes tables and opens a store of them. FOLDED stands for a
// collation that does not tell capitals apart.
type engine func(t *testing.T, ddl string, places ...tables.Place) (store.Store, *sqlx.DB, error)

func onSQLite(t *testing.T, ddl string, places ...tables.Place) (store.Store, *sqlx.DB, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := database(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.MustExec(strings.ReplaceAll(ddl, "FOLDED", "NOCASE"))
	s, err := tables.Open(t.Context(), tables.Map{Files: []tables.File{{Name: "f", Path: path}}, Places: places})
	if err != nil {
		return nil, db, err
	}
	t.Cleanup(func() { s.Close() })
	return s, db, nil
}

func onPostgres(t *testing.T, ddl string, places ...tables.Place) (store.Store, *sqlx.DB, error) {
	t.Helper()
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(folded + ddl)
	s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: dsn, Map: tables.Map{Files: []tables.File{{Name: "f"}}, Places: places}})
	if err != nil {
		return nil, db, err
	}
	t.Cleanup(func() { s.Close() })
	return s, db, nil
}

// onBoth runs a test on each engine.
func onBoth(t *testing.T, f func(t *testing.T, open engine)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { f(t, onSQLite) })
	t.Run("Postgres", func(t *testing.T) { f(t, onPostgres) })
}

// letters opens a store of letters between people, each with one attachment.
func letters(t *testing.T, open engine, ties tables.Ties) (store.Store, *sqlx.DB) {
	t.Helper()
	ties.Key, ties.Columns = "user_id", []string{"sender", "recipient"}
	s, db, err := open(t, `CREATE TABLE letters (id INTEGER PRIMARY KEY, sender TEXT COLLATE FOLDED, recipient TEXT, body TEXT);
		CREATE TABLE attachments (id INTEGER PRIMARY KEY, letter INTEGER);
		INSERT INTO letters VALUES (1, 'alice', 'bob', 'a'), (2, 'alice', 'alice', 'b'), (3, 'alice', NULL, 'c'),
			(4, 'bob', 'carol', 'd'), (5, 'carol', 'alice', 'e'), (6, 'Alice', 'alice', 'f');
		INSERT INTO attachments SELECT id + 10, id FROM letters`,
		tables.Place{Name: "attachments", File: "f", Table: "attachments", ID: []string{"id"}, With: "letters", By: []string{"letter"}},
		tables.Place{Name: "letters", File: "f", Table: "letters", ID: []string{"id"}, Ties: &ties, Explicit: true})
	if err != nil {
		t.Fatal(err)
	}
	return s, db
}

// written returns the rows of letters, with a plus for one with an attachment.
func written(t *testing.T, db *sqlx.DB) []string {
	t.Helper()
	var rows []string
	err := db.Select(&rows, `SELECT coalesce(sender, '-') || '>' || coalesce(recipient, '-') || ' ' || coalesce(body, '-') ||
		CASE WHEN EXISTS (SELECT 1 FROM attachments a WHERE a.letter = l.id) THEN '+' ELSE '' END FROM letters l ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSharedRowsFollowTheirRule(t *testing.T) { onBoth(t, sharedRowsFollowTheirRule) }

func sharedRowsFollowTheirRule(t *testing.T, open engine) {
	gone := "[gone]"
	for name, c := range map[string]struct {
		ties        tables.Ties
		receipt     string   // for alice: sender 1 2 3, recipient 2 5 6
		left        []string // after alice is erased
		attachments int      // that the plan promises
		last        []string // after bob is erased too
	}{
		"refuse": {tables.Ties{}, "reeerr", []string{"alice>bob a+", "bob>carol d+", "carol>alice e+", "Alice>alice f+"}, 2, nil},
		"delete": {tables.Ties{Shared: tables.Delete}, "eeeeee", []string{"bob>carol d+"}, 5, []string{}},
		"unlink": {
			tables.Ties{Shared: tables.Unlink},
			"eeeeee",
			[]string{"->bob a+", "bob>carol d+", "carol>- e+", "Alice>- f+"},
			2,
			[]string{"->carol d+", "carol>- e+", "Alice>- f+"},
		},
		"redact": {
			tables.Ties{Shared: tables.Redact, Redact: []tables.Redaction{{Column: "body"}, {Column: "sender", To: &gone}}},
			"eeeeee",
			[]string{"[gone]>bob -+", "bob>carol d+", "carol>- -+", "Alice>- -+"},
			2,
			[]string{"[gone]>carol -+", "carol>- -+", "Alice>- -+"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, db := letters(t, open, c.ties)
			alice := store.Selector{UserID: "alice"}
			ids := found(t, s, alice)
			want := []store.ID{
				{Place: "letters.sender", Key: "1"},
				{Place: "letters.sender", Key: "2"},
				{Place: "letters.sender", Key: "3"},
				{Place: "letters.recipient", Key: "2"},
				{Place: "letters.recipient", Key: "5"},
				{Place: "letters.recipient", Key: "6"},
			}
			if !slices.Equal(ids, want) {
				t.Fatalf("found %v", ids)
			}
			census, err := s.Count(t.Context(), alice.Only())
			if i := slices.IndexFunc(census.Places, func(p store.PlaceCount) bool { return p.With != "" }); err != nil ||
				census.IDs() != 6 || census.Places[i].With != "letters.sender" || census.Places[i].Found != c.attachments || census.Unattributable != 0 {
				t.Errorf("census %+v, error %v; want %d attachments", census, err, c.attachments)
			}
			r, err := s.Erase(t.Context(), ids)
			if err != nil || string(r) != c.receipt {
				t.Errorf("receipt %s, error %v; want %s", r, err, c.receipt)
			}
			if diff := cmp.Diff(c.left, written(t, db)); diff != "" {
				t.Errorf("left: (-want +got)\n%s", diff)
			}
			left, err := s.Remaining(t.Context(), ids)
			if err != nil || len(left) != strings.Count(c.receipt, "r") || !slices.Equal(left, found(t, s, alice)) {
				t.Errorf("%v remaining, error %v", left, err)
			}
			if again, err := s.Erase(t.Context(), ids); err != nil || string(again) != strings.ReplaceAll(c.receipt, "e", "a") {
				t.Errorf("again: receipt %s, error %v", again, err)
			}
			if got := found(t, s, store.Selector{UserID: gone}); len(got) > 0 {
				t.Errorf("the constant names someone")
			}
			if c.last == nil {
				return
			}
			if _, err := s.Erase(t.Context(), found(t, s, store.Selector{UserID: "bob"})); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.last, written(t, db)); diff != "" && len(c.last)+len(written(t, db)) > 0 {
				t.Errorf("left after bob: (-want +got)\n%s", diff)
			}
		})
	}
}

// What hangs on a letter goes with it when it comes later, and stays with a
// letter that stays.
func TestWhatHangsOnSharedRows(t *testing.T) { onBoth(t, whatHangsOnSharedRows) }

func whatHangsOnSharedRows(t *testing.T, open engine) {
	s, db := letters(t, open, tables.Ties{Shared: tables.Unlink})
	ids := found(t, s, store.Selector{UserID: "alice"})
	if _, err := s.Erase(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	db.MustExec(`INSERT INTO attachments VALUES (30, 3), (31, 1)`)
	want := []store.ID{{Place: "letters.sender", Key: "3"}}
	if left, err := s.Remaining(t.Context(), ids); err != nil || !slices.Equal(left, want) {
		t.Errorf("%v remaining, error %v; want the letter that is gone", left, err)
	}
	if r, err := s.Erase(t.Context(), ids); err != nil || string(r) != "aaeaaa" {
		t.Errorf("receipt %s, error %v", r, err)
	}
	var n int
	if err := db.Get(&n, `SELECT count(*) FROM attachments WHERE letter = 1`); err != nil || n != 2 {
		t.Errorf("%d attachments of bob's letter, error %v; want 2", n, err)
	}
}

// Asked for by its ID, a letter goes for everyone whom the rule lets go.
func TestSharedRowsByID(t *testing.T) { onBoth(t, sharedRowsByID) }

func sharedRowsByID(t *testing.T, open engine) {
	for shared, want := range map[tables.Sharing]string{tables.Refuse: "rr", tables.Delete: "ee", tables.Unlink: "ee"} {
		s, db := letters(t, open, tables.Ties{Shared: shared})
		ids := found(t, s, store.Selector{IDs: []string{"1"}})
		if r, err := s.Erase(t.Context(), ids); err != nil || string(r) != want {
			t.Errorf("%s: receipt %s, error %v; want %s", shared, r, err, want)
		}
		if got := len(written(t, db)); (got == 5) != (shared != tables.Refuse) {
			t.Errorf("%s: %d letters left", shared, got)
		}
	}
}

func TestTiesThatCannotBecomeNULLAreRefused(t *testing.T) {
	onBoth(t, tiesThatCannotBecomeNULLAreRefused)
}

func tiesThatCannotBecomeNULLAreRefused(t *testing.T, open engine) {
	gone := "x"
	for name, c := range map[string]struct {
		ties tables.Ties
		ok   bool
	}{
		"refuse":        {tables.Ties{}, true},
		"unlink":        {tables.Ties{Shared: tables.Unlink}, false},
		"redact to":     {tables.Ties{Shared: tables.Redact, Redact: []tables.Redaction{{Column: "b", To: &gone}}}, true},
		"redact":        {tables.Ties{Shared: tables.Redact, Redact: []tables.Redaction{{Column: "owner"}}}, false},
		"redact absent": {tables.Ties{Shared: tables.Redact, Redact: []tables.Redaction{{Column: "b", To: &gone}, {Column: "none"}}}, false},
	} {
		c.ties.Key, c.ties.Columns = "user_id", []string{"a", "b"}
		_, _, err := open(t, `CREATE TABLE t (id TEXT PRIMARY KEY, owner TEXT NOT NULL, a TEXT, b TEXT NOT NULL)`, tied(c.ties))
		if (err == nil) != c.ok {
			t.Errorf("%s: error %v, accepted should be %v", name, err, c.ok)
		}
	}
}

// tied is a place of a table t.
func tied(ties tables.Ties) tables.Place {
	return tables.Place{Name: "p", File: "f", Table: "t", ID: []string{"id"}, Explicit: true, Ties: &ties}
}

func TestARuleThatAConstraintForbidsIsRefused(t *testing.T) {
	onBoth(t, aRuleThatAConstraintForbidsIsRefused)
}

func aRuleThatAConstraintForbidsIsRefused(t *testing.T, open engine) {
	s, _, err := open(t, `CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT CHECK (a IS NOT NULL), b TEXT); INSERT INTO t VALUES ('1', 'alice', 'bob')`,
		tied(tables.Ties{Key: "user_id", Columns: []string{"a", "b"}, Shared: tables.Unlink}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Erase(t.Context(), []store.ID{{Place: "p.a", Key: "1"}}); !errors.Is(err, store.ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
}

// A row that goes by one of its IDs takes the other along: see store.Along.
func TestTheOtherTieGoesAlong(t *testing.T) {
	onBoth(t, func(t *testing.T, open engine) {
		s, _ := letters(t, open, tables.Ties{})
		var also []store.ID
		ctx := store.WithAlong(t.Context(), func(_ context.Context, told []store.ID) error { also = told; return nil })
		if r, err := s.Erase(ctx, []store.ID{{Place: "letters.sender", Key: "2"}}); err != nil || string(r) != "e" {
			t.Fatalf("receipt %s, error %v", r, err)
		}
		if want := []store.ID{{Place: "letters.recipient", Key: "2"}}; !slices.Equal(also, want) {
			t.Errorf("%d go along, want the row's other ID", len(also))
		}
	})
}

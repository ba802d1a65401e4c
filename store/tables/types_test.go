package tables_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/store"
	"lethe/store/tables"
)

// lone opens a store of one table t with an owner, in a new file.
func lone(t *testing.T, ddl string, change func(*tables.Place)) (*tables.Store, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := database(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.MustExec(ddl)
	p := tables.Place{
		Name: "p", File: "f", Table: "t", ID: []string{"id"}, Explicit: true,
		Match: map[string]tables.Member{"user_id": {Column: "owner"}},
	}
	if change != nil {
		change(&p)
	}
	s, err := tables.Open(t.Context(), tables.Map{Files: []tables.File{{Name: "f", Path: path}}, Places: []tables.Place{p}})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, path, err
}

func TestColumnsThatChangeWhatIsPutIntoThemAreRefused(t *testing.T) {
	for declared, want := range map[string]string{
		"INTEGER PRIMARY KEY": "", "BIGINT UNIQUE": "", "TEXT PRIMARY KEY": "", "VARCHAR(36) UNIQUE": "", "UNIQUE": "", "TEXT COLLATE NOCASE UNIQUE": "",
		"NUMERIC UNIQUE": "want column id to be TEXT or INTEGER", "REAL UNIQUE": "want column id", "STRING UNIQUE": "since STRING",
		"BLOB UNIQUE": "want column id", "UUID UNIQUE": "want column id", "TEXT": "want a primary key or a unique index", "INTEGER": "unique index",
		"TEXT, UNIQUE (id, owner)": "unique index", "TEXT, PRIMARY KEY (id, owner)": "unique index",
	} {
		_, _, err := lone(t, `CREATE TABLE t (owner TEXT, id `+declared+`); CREATE UNIQUE INDEX some ON t (id) WHERE owner = 'alice'`, nil)
		if want == "" && err != nil || want != "" && (!errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), want)) {
			t.Errorf("id %s: error %v, want %q", declared, err, want)
		}
	}
	for declared, want := range map[string]string{"TEXT": "", "": "", "INTEGER": "", "DECIMAL": "want column owner", "STRING": "want column owner", "BLOB": "want column owner"} {
		_, _, err := lone(t, `CREATE TABLE t (id TEXT PRIMARY KEY, owner `+declared+`)`, nil)
		if want == "" && err != nil || want != "" && (!errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), want)) {
			t.Errorf("owner %s: error %v, want %q", declared, err, want)
		}
	}
	for name, change := range map[string]func(*tables.Place){
		"created": func(p *tables.Place) { p.Created = &tables.Member{Column: "made"} },
		"expires": func(p *tables.Place) { p.Expires = &tables.Member{Column: "ends"} },
		"rowid":   func(p *tables.Place) { p.Table = "w" },
	} {
		if _, _, err := lone(t, `CREATE TABLE t (id TEXT PRIMARY KEY, owner TEXT); CREATE TABLE w (id TEXT PRIMARY KEY, owner TEXT) WITHOUT ROWID`, change); !errors.Is(err, store.ErrSchema) {
			t.Errorf("%s: error %v, want ErrSchema", name, err)
		}
	}
}

func TestRowsHangOnlyByTheSameTypes(t *testing.T) {
	for by, ok := range map[string]bool{"INT": true, "TEXT": false, "": false} {
		path := filepath.Join(t.TempDir(), "a.db")
		db, err := database(path)
		if err != nil {
			t.Fatal(err)
		}
		db.MustExec(`CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT); CREATE TABLE c (id, t ` + by + `)`)
		db.Close()
		s, err := tables.Open(t.Context(), tables.Map{Files: []tables.File{{Name: "f", Path: path}}, Places: []tables.Place{
			{Name: "p", File: "f", Table: "t", ID: []string{"id"}, Match: map[string]tables.Member{"user_id": {Column: "owner"}}},
			{Name: "c", File: "f", Table: "c", ID: []string{"id"}, With: "p", By: []string{"t"}},
		}})
		if (err == nil) != ok || err != nil && !errors.Is(err, store.ErrSchema) {
			t.Errorf("type %q: error %v, accepted should be %v", by, err, ok)
		}
		if err == nil {
			s.Close()
		}
	}
}

// A key that no row can have is refused alone, and the others of its batch are
// erased.
func TestMalformedKeysAreRefusedAlone(t *testing.T) {
	for _, c := range []struct {
		ddl   string
		id    []string
		keys  []string
		want  string
		exist []string
	}{
		{
			`CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT); INSERT INTO t VALUES (7, 'alice'), (8, 'bob'), (-1, 'alice')`,
			[]string{"id"},
			[]string{"07", "7", "7.0", " 7", "x", "9", "-1", "-01"},
			"rerrraer",
			[]string{"-1", "7"},
		},
		{
			`CREATE TABLE t (a TEXT COLLATE NOCASE, id INT, owner TEXT, PRIMARY KEY (a, id)); INSERT INTO t VALUES ('x', 7, 'alice'), ('x', 8, 'bob')`,
			[]string{"id", "a"},
			[]string{`["7","x"]`, `["07","x"]`, `["x","7"]`, "7", `["7", "x"]`, `["7","X"]`, `["7"]`},
			"errrrar",
			[]string{`["7","x"]`},
		},
	} {
		s, path, err := lone(t, c.ddl, func(p *tables.Place) { p.ID = c.id })
		if err != nil {
			t.Fatal(err)
		}
		var ids []store.ID
		for _, k := range c.keys {
			ids = append(ids, store.ID{Place: "p", Key: k})
		}
		if got := keys(t, s, store.Selector{IDs: c.keys}); !slices.Equal(slices.Sorted(slices.Values(got)), c.exist) {
			t.Errorf("by ID: found %q, want %q", got, c.exist)
		}
		if got := keys(t, s, store.Selector{UserID: "alice"}); !slices.Equal(slices.Sorted(slices.Values(got)), c.exist) {
			t.Errorf("by user: found %q, want %q", got, c.exist)
		}
		if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) != len(c.exist) {
			t.Errorf("%d remaining, error %v", len(left), err)
		}
		var others []store.ID // x is not X, although the index says so
		for i, id := range ids {
			if c.want[i] != 'e' {
				others = append(others, id)
			}
		}
		if r, err := s.Erase(t.Context(), others); err != nil || r.Count(store.Erased) > 0 {
			t.Errorf("receipt %s, error %v for keys that are not there", r, err)
		}
		if r, err := s.Erase(t.Context(), ids); err != nil || string(r) != c.want {
			t.Errorf("receipt %s, error %v; want %s", r, err, c.want)
		}
		if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
			t.Errorf("%d remaining, error %v", len(left), err)
		}
		db, err := database(path)
		if err != nil {
			t.Fatal(err)
		}
		var owners string
		if err := db.Get(&owners, `SELECT group_concat(owner) FROM t`); err != nil || owners != "bob" {
			t.Errorf("left are %s, error %v; want bob", owners, err)
		}
		db.Close()
	}
}

func TestAnIndexThatIsGoneIsNoticed(t *testing.T) {
	s, path, err := lone(t, `CREATE TABLE t (id TEXT, owner TEXT); CREATE UNIQUE INDEX one ON t (id); INSERT INTO t VALUES ('1', 'alice')`, nil)
	if err != nil {
		t.Fatal(err)
	}
	db, err := database(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.MustExec(`CREATE INDEX another ON t (owner)`)
	if got := keys(t, s, store.Selector{UserID: "alice"}); len(got) != 1 {
		t.Errorf("found %d", len(got))
	}
	db.MustExec(`DROP INDEX one`)
	if _, err := s.Erase(t.Context(), []store.ID{{Place: "p", Key: "1"}}); !errors.Is(err, store.ErrSchema) {
		t.Errorf("error %v, want ErrSchema", err)
	}
}

// SQLite keeps any value in any column. A selected row whose ID is not what its
// column says cannot be erased, and is not passed over.
func TestSelectedRowsWithoutAnIDAreAnError(t *testing.T) {
	for _, c := range []string{
		`CREATE TABLE t (id INT UNIQUE, owner TEXT); INSERT INTO t VALUES ('x', 'alice')`,
		`CREATE TABLE t (id INT UNIQUE, owner TEXT); INSERT INTO t VALUES (7.5, 'alice')`,
		`CREATE TABLE t (id INT UNIQUE, owner TEXT); INSERT INTO t VALUES (NULL, 'alice')`,
		`CREATE TABLE t (id TEXT UNIQUE, owner TEXT); INSERT INTO t VALUES (x'61', 'alice')`,
		`CREATE TABLE t (id TEXT UNIQUE, owner TEXT); INSERT INTO t VALUES ('', 'alice')`,
		`CREATE TABLE t (id UNIQUE, owner TEXT); INSERT INTO t VALUES (7, 'alice')`,
	} {
		s, _, err := lone(t, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		for _, err := range s.Find(t.Context(), store.Selector{UserID: "alice"}) {
			failed = err
		}
		if !errors.Is(failed, store.ErrRefused) {
			t.Errorf("%s: error %v, want ErrRefused", c, failed)
		}
		if got := keys(t, s, store.Selector{UserID: "bob"}); len(got) > 0 {
			t.Errorf("found %d of bob", len(got))
		}
	}
}

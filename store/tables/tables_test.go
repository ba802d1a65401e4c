package tables_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/store"
	"lethe/store/tables"
)

// owned opens a store of two files: things that have owners in a column, and
// parts that hang on them.
func owned(t *testing.T) (*tables.Store, *sqlx.DB) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	var dbs []*sqlx.DB
	for _, ddl := range []string{
		`CREATE TABLE "the parts" (n INTEGER PRIMARY KEY, "of" TEXT COLLATE NOCASE)`,
		`CREATE TABLE "order" ("a ""key""" TEXT COLLATE NOCASE, owner TEXT COLLATE NOCASE, app);
		CREATE UNIQUE INDEX keys ON "order" ("a ""key""" COLLATE BINARY)`,
	} {
		path := filepath.Join(dir, string(rune('a'+len(paths)))+".db")
		db, err := sqlx.Open("sqlite3", path+"?_busy_timeout=5000")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		db.MustExec(ddl)
		paths, dbs = append(paths, path), append(dbs, db)
	}
	dbs[0].MustExec(`INSERT INTO "the parts" ("of") VALUES ('1'), ('1'), ('A'), ('a'), (NULL)`)
	dbs[1].MustExec(`INSERT INTO "order" VALUES ('1', 'alice', 7), ('A', 'Alice', 'x'), ('a', 'alice', 'x'), ('4', 7, 'x'), ('5', x'616c696365', 'x')`)
	s, err := tables.Open(t.Context(), tables.Map{
		Files: []tables.File{{Name: "select", Path: paths[0]}, {Name: "group", Path: paths[1]}},
		Places: []tables.Place{
			{Name: "things", File: "group", Table: "order", ID: []string{`a "key"`}, Match: map[string]tables.Member{"user_id": {Column: "owner"}, "app_id": {Column: "app"}}, Explicit: true},
			{Name: "parts", File: "select", Table: "the parts", ID: []string{"n"}, With: "things", By: []string{"of"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dbs[0]
}

func keys(t *testing.T, s *tables.Store, sel store.Selector) []string {
	t.Helper()
	var got []string
	for id, err := range s.Find(t.Context(), sel) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, id.Key)
	}
	return got
}

func TestColumns(t *testing.T) {
	s, parts := owned(t)
	for _, c := range []struct {
		sel  store.Selector
		want []string
	}{
		{store.Selector{UserID: "alice"}, []string{"1", "a"}},
		{store.Selector{UserID: "Alice"}, []string{"A"}},
		{store.Selector{UserID: "alice", AppID: "x"}, []string{"a"}},
		{store.Selector{AppID: "7"}, nil},
		{store.Selector{RunID: "x"}, nil},
		{store.Selector{UserID: "alice", Metadata: map[string]store.Value{"k": store.BoolValue(true)}}, nil},
		{store.Selector{IDs: []string{"a", "x"}}, []string{"a"}},
	} {
		if got := keys(t, s, c.sel); !slices.Equal(got, c.want) {
			t.Errorf("found %v, want %v", got, c.want)
		}
	}
	id := []store.ID{{Place: "things", Key: "a"}}
	if r, err := s.Erase(t.Context(), id); err != nil || r[0] != store.Erased {
		t.Errorf("receipt %s, error %v", r, err)
	}
	if left, err := s.Remaining(t.Context(), id); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	var left int
	if err := parts.Get(&left, `SELECT count(*) FROM "the parts"`); err != nil || left != 4 {
		t.Errorf("%d parts left, error %v; want 4", left, err)
	}
	if got := keys(t, s, store.Selector{UserID: "Alice"}); !slices.Equal(got, []string{"A"}) {
		t.Errorf("found %v, want the neighbour A", got)
	}
}

// A transaction that ends must survive a power failure, and zero what it frees.
func TestWriterSettings(t *testing.T) {
	s, _ := owned(t)
	for i := range 2 {
		for name, want := range map[string]int64{"synchronous": 3, "secure_delete": 1} {
			if got, err := s.WriterPragma(t.Context(), i, name); err != nil || got != want {
				t.Errorf("file %d: %s is %d, error %v; want %d", i, name, got, err, want)
			}
		}
	}
}

// hang makes the only place one of columns, and adds one that hangs on it.
func hang(m *tables.Map) {
	m.Places[0].Document, m.Places[0].Match = nil, map[string]tables.Member{"user_id": {Column: "o"}}
	m.Places = append(m.Places, tables.Place{Name: "c", File: "f", Table: "c", ID: []string{"id"}, With: "p", By: []string{"p"}})
}

// tie makes the only place one of rows that belong to two people.
func tie(m *tables.Map) {
	m.Places[0].Document, m.Places[0].Ties = nil, &tables.Ties{Key: "user_id", Columns: []string{"a", "b"}}
}

func TestValidateRefuses(t *testing.T) {
	good := func() tables.Map {
		return tables.Map{Files: []tables.File{{Name: "f"}}, Places: []tables.Place{{
			Name: "p", File: "f", Table: "t", ID: []string{"id"}, Document: &tables.Document{Column: "d", Links: []string{"l"}, LinksTo: "p"},
		}}}
	}
	for _, change := range []func(*tables.Map){func(*tables.Map) {}, hang, tie} {
		m := good()
		change(&m)
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(*tables.Map){
		"no places":     func(m *tables.Map) { m.Places = nil },
		"main":          func(m *tables.Map) { m.Files[0].Name = "main" },
		"file name":     func(m *tables.Map) { m.Files[0].Name = `x" AS y; --` },
		"place name":    func(m *tables.Map) { m.Places[0].Name = "a/b" },
		"upper case":    func(m *tables.Map) { m.Places[0].Name = "P" },
		"long name":     func(m *tables.Map) { m.Places[0].Name = strings.Repeat("p", 55) },
		"same ties":     func(m *tables.Map) { tie(m); m.Places[0].Ties.Columns = []string{"a b", "a_b"} },
		"no file":       func(m *tables.Map) { m.Places[0].File = "g" },
		"two ways":      func(m *tables.Map) { m.Places[0].Scope = "s" },
		"no way":        func(m *tables.Map) { m.Places[0].Document = nil },
		"with, no by":   func(m *tables.Map) { m.Places[0].Document, m.Places[0].With = nil, "p" },
		"links nowhere": func(m *tables.Map) { m.Places[0].Document.LinksTo = "q" },
		"member":        func(m *tables.Map) { m.Places[0].Document.Links = []string{"a'b"} },
		"no such key":   func(m *tables.Map) { hang(m); m.Places[0].Match = map[string]tables.Member{"userid": {Column: "o"}} },
		"circle": func(m *tables.Map) {
			hang(m)
			m.Places = append(m.Places, m.Places[1])
			m.Places[1].With, m.Places[2].Name, m.Places[2].With = "q", "q", "c"
		},
		"arity":       func(m *tables.Map) { hang(m); m.Places[1].By = []string{"a", "b"} },
		"member path": func(m *tables.Map) { hang(m); m.Places[0].Metadata = &tables.Member{Column: "d", Path: []string{""}} },
		"one tie":     func(m *tables.Map) { tie(m); m.Places[0].Ties.Columns = []string{"a"} },
		"tied ID":     func(m *tables.Map) { tie(m); m.Places[0].Ties.Columns[0] = "id" },
		"tied key":    func(m *tables.Map) { tie(m); m.Places[0].Ties.Key = "who" },
		"sharing":     func(m *tables.Map) { tie(m); m.Places[0].Ties.Shared = "keep" },
		"redactions":  func(m *tables.Map) { tie(m); m.Places[0].Ties.Redact = []tables.Redaction{{Column: "text"}} },
		"table":       func(m *tables.Map) { m.Places[0].Table = "" },
	} {
		m := good()
		spoil(&m)
		if err := m.Validate(); !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s: error %v, want ErrRefused", name, err)
		}
	}
}

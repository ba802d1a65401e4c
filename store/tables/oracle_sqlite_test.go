package tables_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"pgregory.net/rapid"

	"lethe/store"
	"lethe/store/tables"
)

// A sqliteLab is a file with a world's tables.
type sqliteLab struct {
	path string
	db   *sqlx.DB
}

func newSQLiteLab(t *testing.T) sqliteLab {
	t.Helper()
	lab := sqliteLab{path: filepath.Join(t.TempDir(), "a.db")}
	var err error
	if lab.db, err = database(lab.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.db.Close() })
	lab.db.MustExec(`CREATE TABLE things (t TEXT COLLATE NOCASE, i INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, plain TEXT COLLATE RTRIM, number INT, doc JSON);
		CREATE UNIQUE INDEX thing ON things (t COLLATE BINARY);
		CREATE TABLE kids (id INTEGER PRIMARY KEY, t TEXT COLLATE NOCASE, i INTEGER);
		CREATE TABLE grandkids (id INTEGER PRIMARY KEY, kid INTEGER)`)
	return lab
}

func (lab sqliteLab) malformed() bool { return true }

func (lab sqliteLab) fill(_ *rapid.T, w world) {
	tx := lab.db.MustBegin()
	tx.MustExec(`DELETE FROM things; DELETE FROM kids; DELETE FROM grandkids`)
	for _, x := range w.things {
		tx.MustExec(`INSERT INTO things VALUES (?, ?, ?, ?, ?, ?)`, x.T, x.I, x.Name, x.Plain, x.Number, x.Doc)
	}
	for _, k := range w.kids {
		tx.MustExec(`INSERT INTO kids VALUES (?, ?, ?)`, k.ID, k.T, k.I)
	}
	for _, g := range w.grand {
		tx.MustExec(`INSERT INTO grandkids VALUES (?, ?)`, g.ID, g.Kid)
	}
	if err := tx.Commit(); err != nil {
		panic(err)
	}
}

func (lab sqliteLab) open(t *rapid.T, m tables.Map) store.Store { return lab.store(t, m) }

func (lab sqliteLab) store(t *rapid.T, m tables.Map) *tables.Store {
	m.Files = []tables.File{{Name: "f", Path: lab.path}}
	s, err := tables.Open(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (lab sqliteLab) rows(t *rapid.T) []string {
	var rows []string
	err := lab.db.Select(&rows, `SELECT 'thing ' || t FROM things UNION ALL SELECT 'kid ' || id FROM kids UNION ALL SELECT 'grandkid ' || id FROM grandkids`)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSQLiteEqualsTheModel(t *testing.T) {
	t.Run("no indexes", func(t *testing.T) { equalsTheModel(t, newSQLiteLab(t)) })
	t.Run("indexes", func(t *testing.T) {
		lab := newSQLiteLab(t)
		lab.db.MustExec(`CREATE INDEX kid_t ON kids (t COLLATE BINARY, i); CREATE INDEX kid_i ON kids (i); CREATE INDEX grandkid ON grandkids (kid)`)
		equalsTheModel(t, lab)
	})
}

// No selector whatever yields a statement without its match: every key is
// compared with a bound value, and the text is the same whatever the values are.
func TestNoStatementIsWithoutItsMatch(t *testing.T) {
	lab := newSQLiteLab(t)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, true)
		s := lab.store(t, w.m)
		defer s.Close()
		sel := drawAny(t)
		statements := s.Statements(sel)
		for i, other := range s.Statements(blank(sel)) {
			if i >= len(statements) || statements[i].SQL != other.SQL {
				t.Fatalf("other values yield another statement")
			}
		}
		missing := slices.ContainsFunc(sel.Identity(), func(f store.Field) bool { _, ok := w.place().Match[f.Name]; return !ok }) ||
			len(sel.Metadata) > 0 && w.place().Metadata == nil
		if missing {
			if len(statements) != 0 || !slices.Equal(s.Unreached(sel), []string{"things"}) {
				t.Fatalf("%d statements, unreached %v, for a place that lacks a key", len(statements), s.Unreached(sel))
			}
			return
		}
		if len(statements) != 1 || len(s.Unreached(sel)) != 0 {
			t.Fatalf("%d statements, unreached %v", len(statements), s.Unreached(sel))
		}
		var want []any
		for _, f := range sel.Identity() {
			want = append(want, f.Value)
		}
		for _, k := range sel.MetadataKeys() {
			v := sel.Metadata[k]
			if v.Kind() == store.KindBool {
				want = append(want, v.Literal(), k)
			} else {
				want = append(want, v.Any(), k)
			}
		}
		st := statements[0]
		if !slices.Equal(st.Args, want) {
			t.Fatalf("binds %d values, want each of %d in order", len(st.Args), len(want))
		}
		code := regexp.MustCompile(`'(''|[^'])*'|"(""|[^"])*"`).ReplaceAllString(st.SQL, "x")
		if strings.Count(code, "= ?") != len(want) || strings.Count(code, "?") != len(want)+2 || strings.Contains(code, " OR ") {
			t.Fatalf("statement compares otherwise than with what is bound: %s", st.SQL)
		}
	})
}

// blank is a selector of the same keys with other values of the same types.
func blank(sel store.Selector) store.Selector {
	other := store.Selector{Metadata: make(map[string]store.Value)}
	for i, v := range []string{sel.UserID, sel.AgentID, sel.AppID, sel.RunID} {
		if v != "" {
			*[]*string{&other.UserID, &other.AgentID, &other.AppID, &other.RunID}[i] = "x"
		}
	}
	for i, k := range sel.MetadataKeys() {
		v := store.StringValue("x")
		switch sel.Metadata[k].Kind() {
		case store.KindBool:
			v = store.BoolValue(true)
		case store.KindNumber:
			v, _ = store.NumberValue("1")
		}
		other.Metadata[string(rune('a'+i))] = v
	}
	return other
}

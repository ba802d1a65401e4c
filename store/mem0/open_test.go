package mem0_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/store"
	"lethe/store/mem0"
)

func TestOpenRefuses(t *testing.T) {
	create := func(t *testing.T) mem0.SQLiteConfig {
		c, err := mem0.CreateSQLite(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	missing := filepath.Join(t.TempDir(), "none.db")
	text := filepath.Join(t.TempDir(), "text.db")
	empty := filepath.Join(t.TempDir(), "empty.db")
	for path, content := range map[string]string{text: "hello, I am not a database at all", empty: ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*mem0.SQLiteConfig)
		want   error
		text   string
	}{
		{"no vectors", func(c *mem0.SQLiteConfig) { c.Vectors = "" }, store.ErrRefused, "required"},
		{"missing", func(c *mem0.SQLiteConfig) { c.History = missing }, store.ErrUnavailable, "no such file"},
		{"directory", func(c *mem0.SQLiteConfig) { c.History = filepath.Dir(missing) }, store.ErrUnavailable, "not a regular file"},
		{"text", func(c *mem0.SQLiteConfig) { c.Vectors = text }, store.ErrUnavailable, "not a SQLite database"},
		{"empty", func(c *mem0.SQLiteConfig) { c.Entities = empty }, store.ErrUnavailable, "not a SQLite database"},
		{"twice", func(c *mem0.SQLiteConfig) { c.History = c.Vectors }, store.ErrRefused, "same file"},
		{"swapped", func(c *mem0.SQLiteConfig) { c.History, c.Vectors = c.Vectors, c.History }, store.ErrSchema, "want table"},
		{"no table", func(c *mem0.SQLiteConfig) { sql(t, c.Vectors, "DROP TABLE vectors") }, store.ErrSchema, "found tables [memory_migrations"},
		{"no column", func(c *mem0.SQLiteConfig) { sql(t, c.Vectors, "ALTER TABLE vectors RENAME payload TO document") }, store.ErrSchema, "found vectors(id TEXT, vector BLOB, document TEXT)"},
		{"column type", func(c *mem0.SQLiteConfig) {
			sql(t, c.Vectors, "DROP TABLE vectors; CREATE TABLE vectors (id INTEGER PRIMARY KEY, vector BLOB, payload TEXT)")
		}, store.ErrSchema, "want column id TEXT"},
		{"no row numbers", func(c *mem0.SQLiteConfig) {
			sql(t, c.Vectors, "DROP TABLE vectors; CREATE TABLE vectors (id TEXT PRIMARY KEY, vector BLOB, payload TEXT) WITHOUT ROWID")
		}, store.ErrSchema, "row numbers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := create(t)
			c.change(&config)
			_, err := mem0.OpenSQLite(t.Context(), config)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the missing file has been made")
	}
}

func TestOpenWithoutMessages(t *testing.T) {
	c, err := mem0.CreateSQLite(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sql(t, c.History, "DROP TABLE messages") // as before Mem0 3.0
	s := openStore(t, c)
	if ids := find(t, s, store.Selector{UserID: "alice"}); len(ids) > 0 {
		t.Errorf("found %d", len(ids))
	}
	if r, err := s.Erase(t.Context(), []store.ID{{Place: "messages", Key: "x"}}); err != nil || r[0] != store.Absent {
		t.Errorf("receipt %s, error %v", r, err)
	}
	sql(t, c.History, "CREATE TABLE messages (id TEXT PRIMARY KEY, session_scope TEXT, role TEXT, content TEXT, name TEXT, created_at TEXT)")
	for _, err := range s.Find(t.Context(), store.Selector{UserID: "alice"}) {
		if !errors.Is(err, store.ErrSchema) {
			t.Errorf("find after the schema changed: error %v, want ErrSchema", err)
		}
	}
	if _, err := s.Erase(t.Context(), []store.ID{{Place: "memories", Key: "x"}}); !errors.Is(err, store.ErrSchema) {
		t.Errorf("erase after the schema changed: error %v, want ErrSchema", err)
	}
}

func TestCheckFindsWhatIsNotMapped(t *testing.T) {
	f := variants()[0].open(t)
	sql(t, f.config.Vectors, `CREATE TABLE audit (who TEXT); CREATE TRIGGER copy AFTER DELETE ON vectors BEGIN INSERT INTO audit VALUES (old.payload); END`)
	findings, err := f.s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	problems := make(map[string]string)
	for _, x := range findings {
		if x.Problem != "" {
			problems[x.Table+" "+x.Column] = x.Problem
		}
	}
	if len(problems) != 3 || problems["vectors.audit who"] == "" || problems["vectors.vectors copy"] == "" {
		t.Errorf("problems %v, want the table, its column and the trigger", problems)
	}
}

func TestCreateRefusesToOverwrite(t *testing.T) {
	dir := t.TempDir()
	if _, err := mem0.CreateSQLite(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := mem0.CreateSQLite(t.Context(), dir); !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
}

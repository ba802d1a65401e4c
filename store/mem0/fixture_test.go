package mem0_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/store"
	"lethe/store/mem0"
	"lethe/store/storetest"
	"lethe/store/tables"
)

// A fixture is a Mem0 installation in a temporary directory.
type fixture struct {
	config mem0.SQLiteConfig
	legacy bool
	s      *tables.Store
}

// variant changes an installation before it is opened.
type variant struct {
	name   string
	legacy bool
	paths  bool // only the paths are other ones
	change func(t *testing.T, c *mem0.SQLiteConfig)
}

func variants() []variant {
	return []variant{
		{name: "Plain", change: func(*testing.T, *mem0.SQLiteConfig) {}},
		{name: "EntitiesAmongMemories", change: func(_ *testing.T, c *mem0.SQLiteConfig) { c.Entities = "" }},
		{name: "EntitiesSameFile", paths: true, change: func(_ *testing.T, c *mem0.SQLiteConfig) { c.Entities = c.Vectors }},
		{name: "PathsSwapped", change: func(_ *testing.T, c *mem0.SQLiteConfig) { c.Entities, c.Vectors = c.Vectors, c.Entities }},
		{name: "Legacy", legacy: true, change: func(*testing.T, *mem0.SQLiteConfig) {}},
		{name: "HistoryDisabled", change: func(_ *testing.T, c *mem0.SQLiteConfig) { c.History = "" }},
		{name: "WAL", change: func(t *testing.T, c *mem0.SQLiteConfig) {
			for _, path := range []string{c.Vectors, c.Entities, c.History} {
				sql(t, path, "PRAGMA journal_mode=WAL")
			}
		}},
		{name: "Symlinks", paths: true, change: func(t *testing.T, c *mem0.SQLiteConfig) {
			for _, path := range []*string{&c.Vectors, &c.Entities, &c.History} {
				link := filepath.Join(t.TempDir(), "link?%20 ünd#.db")
				if err := os.Symlink(*path, link); err != nil {
					t.Fatal(err)
				}
				*path = link
			}
		}},
	}
}

func (v variant) open(t *testing.T) *fixture {
	t.Helper()
	c, err := mem0.CreateSQLite(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v.change(t, &c)
	return &fixture{config: c, legacy: v.legacy, s: openStore(t, c)}
}

func openStore(t *testing.T, c mem0.SQLiteConfig) *tables.Store {
	t.Helper()
	s, err := mem0.OpenSQLite(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sql runs statements on a file, as another process would.
func sql(t testing.TB, path, statements string, args ...any) {
	t.Helper()
	db := database(t, path)
	if _, err := db.ExecContext(t.Context(), statements, args...); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func database(t testing.TB, path string) *sqlx.DB {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlx.Open("sqlite3", "file:"+path+"?mode=rw&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (f *fixture) Store() store.Store { return f.s }

func (f *fixture) Add(ctx context.Context, records ...storetest.Record) error {
	return mem0.WriteSQLite(ctx, f.config, func(yield func(mem0.Memory) bool) {
		for _, r := range records {
			m := mem0.Memory{
				ID: r.ID, UserID: r.UserID, AgentID: r.AgentID, AppID: r.AppID, RunID: r.RunID,
				Text: r.Text, Entities: r.Entities, Message: r.Message, Legacy: f.legacy, Metadata: map[string]any{},
				Created: &r.Created, Expires: r.Expires,
			}
			for k, v := range r.Metadata {
				m.Metadata[k] = v.Any()
			}
			if !yield(m) {
				return
			}
		}
	})
}

func (f *fixture) AddHistory(ctx context.Context, memory, text string) error {
	if f.config.History == "" {
		return errors.ErrUnsupported
	}
	db, err := sqlx.Open("sqlite3", "file:"+escaped(f.config.History)+"?mode=rw&_busy_timeout=10000")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `INSERT INTO memory_history (memory_id, new_value, action) VALUES (?, ?, 'UPDATE')`, memory, text)
	return err
}

func escaped(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

func (f *fixture) paths() []string {
	paths := []string{f.config.Vectors, f.config.Entities, f.config.History}
	return slices.Compact(slices.DeleteFunc(paths, func(p string) bool { return p == "" }))
}

func (f *fixture) Rows(ctx context.Context) (map[string]string, error) {
	rows := make(map[string]string)
	for _, path := range f.paths() {
		if err := readRows(ctx, path, rows); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// readRows reads every row of every table of a file.
func readRows(ctx context.Context, path string, rows map[string]string) error {
	db, err := sqlx.Open("sqlite3", "file:"+escaped(path)+"?mode=ro&_busy_timeout=10000")
	if err != nil {
		return err
	}
	defer db.Close()
	var tables []string
	if err := db.SelectContext(ctx, &tables, `SELECT name FROM sqlite_master WHERE type = 'table'`); err != nil {
		return err
	}
	for _, table := range tables {
		found, err := db.QueryxContext(ctx, `SELECT * FROM "`+table+`"`)
		if err != nil {
			return err
		}
		for found.Next() {
			row, err := found.SliceScan()
			if err != nil {
				return err
			}
			rows[fmt.Sprintf("%s %s %v", filepath.Base(path), table, row[0])] = fmt.Sprintf("%q", row)
		}
		if err := found.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (f *fixture) Bytes(context.Context) ([]byte, error) {
	var all []byte
	for _, path := range f.paths() {
		path, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, err
		}
		around, err := filepath.Glob(path + "*") // journals too
		if err != nil {
			return nil, err
		}
		for _, name := range around {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			all = append(all, b...)
		}
	}
	return all, nil
}

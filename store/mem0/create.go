package mem0

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3" // the driver that sqlx.Open names
)

// The layouts as Mem0 3.3.1 creates them, word for word.
const (
	vectorsLayout = `CREATE TABLE IF NOT EXISTS vectors (
        id TEXT PRIMARY KEY,
        vector BLOB NOT NULL,
        payload TEXT NOT NULL
      );
CREATE TABLE IF NOT EXISTS memory_migrations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id TEXT NOT NULL UNIQUE
      );`
	historyLayout = `CREATE TABLE IF NOT EXISTS memory_history (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        memory_id TEXT NOT NULL,
        previous_value TEXT,
        new_value TEXT,
        action TEXT NOT NULL,
        created_at TEXT,
        updated_at TEXT,
        is_deleted INTEGER DEFAULT 0
      );
CREATE TABLE IF NOT EXISTS messages (
        id TEXT PRIMARY KEY,
        session_scope TEXT,
        role TEXT,
        content TEXT,
        name TEXT,
        created_at TEXT
      );`
)

// CreateSQLite makes an empty Mem0 installation in dir, with the names and the
// layout that Mem0 gives its files, for demonstrations and tests. It refuses to
// touch a file that exists.
func CreateSQLite(ctx context.Context, dir string) (SQLiteConfig, error) {
	c := SQLiteConfig{
		Vectors:  filepath.Join(dir, "vector_store.db"),
		Entities: filepath.Join(dir, "vector_store_entities.db"),
		History:  filepath.Join(dir, "memory.db"),
	}
	layouts := map[string]string{c.Vectors: vectorsLayout, c.Entities: vectorsLayout, c.History: historyLayout}
	for path, layout := range layouts {
		if err := create(ctx, path, layout); err != nil {
			return SQLiteConfig{}, fmt.Errorf("create: %w", err)
		}
	}
	return c, nil
}

func create(ctx context.Context, path, layout string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, errors.Join(fs.ErrExist, err))
	}
	db, err := openSQLite(path, "rwc")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, layout)
	return err
}

func openSQLite(path, mode string) (*sqlx.DB, error) {
	u := url.URL{Scheme: "file", Path: path}
	db, err := sqlx.Open("sqlite3", u.String()+"?mode="+mode+"&_busy_timeout=5000&_synchronous=FULL")
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

package tables_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/store"
	"lethe/store/storetest"
	"lethe/store/tables"
)

// An app is an application's schema of four levels in two files, with keys of
// three kinds: conversations (the memories of the contract) have messages
// (history), those have attachments, and those have scans. Notes stand alone.
type app struct {
	dir string
	s   *tables.Store
}

var appLayout = map[string]string{
	"app.db": `CREATE TABLE conversations (id TEXT COLLATE NOCASE, owner VARCHAR(99) COLLATE NOCASE, agent TEXT, app TEXT, doc JSON, body TEXT, ends DATETIME);
		CREATE UNIQUE INDEX conversation ON conversations (id COLLATE BINARY);
		CREATE TABLE messages (n INTEGER PRIMARY KEY, conversation TEXT COLLATE NOCASE REFERENCES conversations (id), body TEXT);
		CREATE INDEX useless ON messages (conversation);
		CREATE TABLE notes (n INTEGER PRIMARY KEY, owner TEXT COLLATE RTRIM, agent TEXT, app TEXT, run TEXT, meta TEXT, body TEXT, made TEXT);
		CREATE TABLE countries (code TEXT)`,
	"files.db": `CREATE TABLE attachments (message INT, name TEXT COLLATE NOCASE, body BLOB, PRIMARY KEY (name, message));
		CREATE TABLE scans (id INTEGER PRIMARY KEY, at BIGINT, of TEXT COLLATE NOCASE, body TEXT)`,
}

// appIndexes are of what hangs on others; only the app in WAL mode has them.
var appIndexes = map[string]string{
	"app.db":   `CREATE INDEX of_conversation ON messages (conversation COLLATE BINARY, body)`,
	"files.db": `CREATE INDEX of_attachment ON scans (of COLLATE BINARY, at)`,
}

func appMap(dir string) tables.Map {
	return tables.Map{
		Files: []tables.File{{Name: "files", Path: filepath.Join(dir, "files.db")}, {Name: "app", Path: filepath.Join(dir, "app.db")}},
		Places: []tables.Place{
			{Name: "scans", File: "files", Table: "scans", ID: []string{"id"}, With: "attachments", By: []string{"at", "of"}},
			{Name: "attachments", File: "files", Table: "attachments", ID: []string{"message", "name"}, With: "history", By: []string{"message"}},
			{
				Name: "memories", File: "app", Table: "conversations", ID: []string{"id"}, Explicit: true,
				Match: map[string]tables.Member{
					"user_id": {Column: "owner"}, "agent_id": {Column: "agent"}, "app_id": {Column: "app"},
					"run_id": {Column: "doc", Path: []string{"it's", "run"}},
				},
				Metadata: &tables.Member{Column: "doc", Path: []string{"meta"}},
				Created:  &tables.Member{Column: "doc", Path: []string{"it's", "made"}}, Expires: &tables.Member{Column: "ends"},
			},
			{Name: "history", File: "app", Table: "messages", ID: []string{"n"}, With: "memories", By: []string{"conversation"}},
			{
				Name: "notes", File: "app", Table: "notes", ID: []string{"n"},
				Match:    map[string]tables.Member{"user_id": {Column: "owner"}, "agent_id": {Column: "agent"}, "app_id": {Column: "app"}, "run_id": {Column: "run"}},
				Metadata: &tables.Member{Column: "meta"}, Created: &tables.Member{Column: "made"},
			},
		},
		Waived: []tables.Waiver{{Table: "countries", Reason: "nobody's"}},
	}
}

func openApp(t *testing.T, journal string) *app {
	t.Helper()
	a := &app{dir: t.TempDir()}
	for name, ddl := range appLayout {
		db := a.open(t, name)
		db.MustExec("PRAGMA journal_mode=" + journal + "; " + ddl)
		if journal == "wal" {
			db.MustExec(appIndexes[name])
		}
		db.Close()
	}
	a.s = openMap(t, appMap(a.dir))
	return a
}

func openMap(t *testing.T, m tables.Map) *tables.Store {
	t.Helper()
	s, err := tables.Open(t.Context(), m)
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

func (a *app) open(t *testing.T, name string) *sqlx.DB {
	t.Helper()
	db, err := database(filepath.Join(a.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// database opens a file as another process would.
func database(path string) (*sqlx.DB, error) {
	return sqlx.Open("sqlite3", "file:"+path+"?_busy_timeout=10000&_synchronous=OFF")
}

func (a *app) Store() store.Store { return a.s }

// writing runs f between begin and commit of both files.
func (a *app) writing(ctx context.Context, f func(app, files *sqlx.Tx) error) error {
	var txs []*sqlx.Tx
	for _, name := range []string{"app.db", "files.db"} {
		db, err := database(filepath.Join(a.dir, name))
		if err != nil {
			return err
		}
		defer db.Close()
		tx, err := db.BeginTxx(ctx, nil)
		if err != nil {
			return err
		}
		txs = append(txs, tx)
	}
	if err := f(txs[0], txs[1]); err != nil {
		return err
	}
	for _, tx := range txs {
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) Add(ctx context.Context, records ...storetest.Record) error {
	return a.writing(ctx, func(app, files *sqlx.Tx) error {
		for _, r := range records {
			meta := make(map[string]any)
			for k, v := range r.Metadata {
				meta[k] = v.Any()
			}
			own, _ := json.Marshal(meta)
			doc, _ := json.Marshal(map[string]any{"meta": meta, "it's": map[string]any{"run": r.RunID, "made": said(r.Created)}})
			if _, err := app.ExecContext(ctx, `INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?, ?)`, r.ID, r.UserID, r.AgentID, r.AppID, string(doc), r.Text, said(r.Expires)); err != nil {
				return err
			}
			if r.Message {
				_, err := app.ExecContext(ctx, `INSERT INTO notes VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)`, r.UserID, r.AgentID, r.AppID, r.RunID, string(own), r.Text, said(r.Created))
				if err != nil {
					return err
				}
			}
			if err := message(ctx, app, files, r.ID, r.Text); err != nil {
				return err
			}
		}
		return nil
	})
}

// said is what a record says of a time, or nil for nothing.
func said(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// message adds a message with an attachment that has a scan.
func message(ctx context.Context, app, files *sqlx.Tx, conversation, text string) error {
	r, err := app.ExecContext(ctx, `INSERT INTO messages VALUES (NULL, ?, ?)`, conversation, text)
	if err != nil {
		return err
	}
	n, err := r.LastInsertId()
	if err != nil {
		return err
	}
	if _, err := files.ExecContext(ctx, `INSERT INTO attachments VALUES (?, 'é"<1>', ?)`, n, text); err != nil {
		return err
	}
	_, err = files.ExecContext(ctx, `INSERT INTO scans VALUES (NULL, ?, 'é"<1>', ?)`, n, text)
	return err
}

func (a *app) AddHistory(ctx context.Context, memory, text string) error {
	return a.writing(ctx, func(app, files *sqlx.Tx) error { return message(ctx, app, files, memory, text) })
}

func (a *app) Rows(ctx context.Context) (map[string]string, error) {
	rows := make(map[string]string)
	for file, names := range map[string][]string{"app.db": {"conversations", "messages", "notes"}, "files.db": {"attachments", "scans"}} {
		db, err := database(filepath.Join(a.dir, file))
		if err != nil {
			return nil, err
		}
		defer db.Close()
		for _, table := range names {
			found, err := db.QueryxContext(ctx, `SELECT * FROM `+table)
			if err != nil {
				return nil, err
			}
			for found.Next() {
				row, err := found.SliceScan()
				if err != nil {
					return nil, err
				}
				rows[fmt.Sprintf("%s %v", table, row[0])] = fmt.Sprintf("%q", row)
			}
			if err := found.Err(); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

func (a *app) Bytes(context.Context) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(a.dir, "*")) // journals too
	var all [][]byte
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return slices.Concat(all...), err
}

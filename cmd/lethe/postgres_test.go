package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/worker"
)

// postgresStore makes the tables of a Mem0 server and returns a configuration
// that names them.
func postgresStore(t *testing.T) (config string, db *sqlx.DB) {
	t.Helper()
	dsn := audittest.Schema(t)
	db = sqlx.MustOpen("pgx", dsn)
	t.Cleanup(func() { db.Close() })
	db.MustExec(`CREATE TABLE memories (id uuid PRIMARY KEY, vector real[], payload jsonb);
		CREATE TABLE memories_entities (LIKE memories INCLUDING ALL)`)
	config = writeConfig(t, "stores:\n  - {name: server, kind: mem0-postgres, dsn_file: dsn, history: none, backups_until: 30d}\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(config), "dsn"), []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, db
}

func TestPostgresStoreIsOpenedAndChecked(t *testing.T) {
	path, db := postgresStore(t)
	c, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Stores[0]; s.Table != "memories" || s.Entities != "memories_entities" || !filepath.IsAbs(s.DSNFile) {
		t.Errorf("defaults %q %q", s.Table, s.Entities)
	}
	st, err := openStore(t.Context(), c.Stores[0])
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, purges := st.Store.(store.Purger); purges || st.Concurrency != postgresWriters || len(st.Exclusions) != 1 {
		t.Errorf("purges %v, concurrency %d, %d exclusions", purges, st.Concurrency, len(st.Exclusions))
	}
	problems := func() (text string) {
		for _, f := range findings(t.Context(), c.Stores[0]) {
			if f.Problem != "" {
				text += f.Table + " " + f.Column + ": " + f.Problem + "\n"
			}
		}
		return text
	}
	if text := problems(); text != "" {
		t.Errorf("problems of a sound store:\n%s", text)
	}
	db.MustExec(`CREATE TABLE notes_about_people (who text)`)
	if text := problems(); !strings.Contains(text, "notes_about_people who: not in the data map") {
		t.Errorf("problems of a store with a forgotten table:\n%s", text)
	}
}

// TestRewritingIsAskedFor: without that, nobody locks the tables.
func TestRewritingIsAskedFor(t *testing.T) {
	for text, want := range map[string]worker.PurgePolicy{
		"":                              {Off: true},
		"purge: off,":                   {Off: true},
		"purge: rewrite,":               {},
		"purge: rewrite 22:30-05:00,":   {From: 22*60 + 30, To: 5 * 60},
		`purge: "rewrite 02:00-05:00",`: {From: 2 * 60, To: 5 * 60},
	} {
		path, _ := postgresStore(t)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Replace(b, []byte("history: none,"), []byte("history: none, "+text), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		st, err := openStore(t.Context(), c.Stores[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, purges := st.Store.(store.Purger); purges == want.Off || st.Rewrites == want.Off || st.Purge != want {
			t.Errorf("%q: purges %v, rewrites %v, policy %+v", text, purges, st.Rewrites, st.Purge)
		}
		st.Close()
	}
}

// TestTheCheckSaysWhatARewriteNeeds, and what it would need to be seen.
func TestTheCheckSaysWhatARewriteNeeds(t *testing.T) {
	path, db := postgresStore(t)
	c, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Stores[0]
	s.Purge = PurgeRule{rewrite: true}
	dsn, err := os.ReadFile(s.DSNFile)
	if err != nil {
		t.Fatal(err)
	}
	db.MustExec(`CREATE ROLE check_owner LOGIN; GRANT SELECT, DELETE, UPDATE ON memories, memories_entities TO check_owner;
		DO $$ BEGIN EXECUTE 'GRANT USAGE, CREATE ON SCHEMA ' || current_schema() || ' TO check_owner'; END $$`)
	if err := os.WriteFile(s.DSNFile, bytes.Replace(dsn, []byte("lethe@"), []byte("check_owner@"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	said := func() string { return fmt.Sprintf("%+v", findings(t.Context(), s)) }
	if text := said(); !strings.Contains(text, "may not rewrite its tables: ALTER TABLE") {
		t.Errorf("the check of a user without ownership says %s", text)
	}
	db.MustExec(`ALTER TABLE memories OWNER TO check_owner; ALTER TABLE memories_entities OWNER TO check_owner`)
	if text := said(); !strings.Contains(text, "Note:rewritten, but its files cannot be read, so that evidence stays verified; for purged the user of this store would need: GRANT EXECUTE ON FUNCTION pg_read_binary_file") {
		t.Errorf("the check of an owner says %s", text)
	}
}

func TestPostgresConfigFaults(t *testing.T) {
	for want, text := range map[string]string{
		"stores[0].dsn_file: must be the path":  "history: h.db",
		"stores[0].history: must be the path":   "dsn_file: d",
		"stores[0].vectors: is for":             "dsn_file: d, history: none, vectors: v.db",
		"stores[0].entities: must be another":   "dsn_file: d, history: none, table: a, entities: a",
		"stores[0].purge: must be off, rewrite": `dsn_file: d, history: none, purge: "02:00-05:00"`,
		"stores[0].purge: must be always, off":  `dsn_file: d, history: none, purge: "rewrite  02:00-05:00"`,
	} {
		_, err := Load(writeConfig(t, "stores: [{name: a, kind: mem0-postgres, "+text+"}]\n"), Overrides{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

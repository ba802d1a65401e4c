package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/audit/proof"
)

// realServer loads what a self-hosted Mem0 has written into a database of its
// own, and returns its configuration and the folder of the database's files.
func realServer(t *testing.T, dir string) (c StoreConfig, db *sqlx.DB, files string) {
	t.Helper()
	const from = "../../store/mem0/testdata/realpg/"
	c = StoreConfig{
		Name: "server", Kind: KindMem0Postgres, Table: "memories", Entities: "memories_entities",
		DSNFile: filepath.Join(dir, "dsn"), History: filepath.Join(dir, "history.db"),
	}
	dsn := audittest.Postgres(t)
	db = sqlx.MustOpen("pgx", dsn)
	t.Cleanup(func() { db.Close() })
	for _, table := range []string{c.Table, c.Entities} {
		db.MustExec(`CREATE TABLE ` + table + ` (id uuid PRIMARY KEY, vector real[], payload jsonb)`)
		db.MustExec(`CREATE INDEX ON ` + table + ` USING gin (to_tsvector('simple', payload->>'data'))`)
		file, err := os.Open(from + table + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var row struct {
				ID      string
				Payload json.RawMessage
			}
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				t.Fatal(err)
			}
			db.MustExec(`INSERT INTO `+table+` VALUES ($1, '{0.5}', $2)`, row.ID, string(row.Payload))
		}
	}
	db.MustExec(`ANALYZE`)
	history, err := os.ReadFile(from + "history.db")
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{c.History: history, c.DSNFile: []byte(dsn)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Get(&files, `SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()`); err != nil {
		t.Fatal(err)
	}
	return c, db, files
}

func TestAliceIsPurgedFromPostgres(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, db, files := realServer(t, dir)
	rule, err := parsePurgeRule("rewrite")
	if err != nil {
		t.Fatal(err)
	}
	c.Purge, c.WALUntil = rule, Duration(7*24*time.Hour)
	db.MustExec(`CHECKPOINT`)
	if n := mentions(t, "alice", files); n == 0 {
		t.Fatal("alice is in no file: this test shows nothing")
	}
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, c), nil)
	id := r.forget("alice")
	result := r.statement(id)
	e := result.Entry.(*proof.Completed)
	if got, want := said(e.Stores[0])+" "+e.Stores[0].Method, "requested 37 found 37 erased 37 absent 0 unattributable 0 rounds 1 purged remaining+find+rewrite"; got != want {
		t.Errorf("certificate: %s\nwant %s", got, want)
	}
	want := proof.Exclusions{{Code: proof.ExcludesWAL, Store: "server"}, {Code: archiveCode, Store: "server", Until: e.CompletedAt + 7*24*3600}}
	if diff := cmp.Diff(want, e.Exclusions); diff != "" {
		t.Errorf("exclusions (-want +got)\n%s", diff)
	}
	if says := result.String(); !strings.Contains(says, "purged: the tables rewritten") || !strings.Contains(says, "write-ahead log") {
		t.Errorf("the certificate says\n%s", says)
	}
	r.stop()
	db.MustExec(`CHECKPOINT`)
	if n := mentions(t, "alice", files) + mentions(t, "alice", filepath.Dir(c.History)); n > 0 {
		t.Errorf("alice is named %d times in the files", n)
	}
	if mentions(t, "bob", files) == 0 || mentions(t, "bob", c.History) == 0 {
		t.Error("bob is gone too, or the test looks at the wrong files")
	}
}

// mentions counts a name in a file, or in all below a folder.
func mentions(t *testing.T, name, path string) (n int) {
	t.Helper()
	for _, b := range bytesUnder(t, path) {
		n += bytes.Count(b, []byte(name))
	}
	return n
}

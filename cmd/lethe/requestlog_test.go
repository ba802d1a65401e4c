package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/audit/proof"
)

// TestAliceLeavesTheRequestLog: what a self-hosted Mem0 has logged of her goes
// with her memories, and its certificate counts it.
func TestAliceLeavesTheRequestLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, db, _ := realServer(t, dir)
	dsn := audittest.Postgres(t)
	app := sqlx.MustOpen("pgx", dsn)
	defer app.Close()
	app.MustExec(`CREATE TABLE request_logs (id uuid PRIMARY KEY, method varchar(16) NOT NULL, path varchar(512) NOT NULL)`)
	var hers, his string
	for user, id := range map[string]*string{"alice": &hers, "bob": &his} {
		if err := db.Get(id, `SELECT id::text FROM memories WHERE payload->>'user_id' = $1 LIMIT 1`, user); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/entities/user/alice", "/entities/user/bob", "/memories/" + hers, "/memories/" + hers + "/history", "/memories/" + his} {
		app.MustExec(`INSERT INTO request_logs VALUES ($1, 'GET', $2)`, uuid.NewString(), path)
	}
	c.AppDSNFile = filepath.Join(dir, "app")
	if err := os.WriteFile(c.AppDSNFile, []byte(dsn), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, c), nil)
	e := r.completed(r.forget("alice"))
	if got, want := said(e.Stores[0]), "requested 38 found 38 erased 38 absent 0 unattributable 0 rounds 1 verified"; got != want {
		t.Errorf("certificate: %s\nwant %s", got, want)
	}
	for name, want := range map[string]proof.PlaceProof{
		"requests":        {Name: "requests", Erased: 1},
		"memory_requests": {Name: "memory_requests", With: "memories", Found: 2},
	} {
		var got proof.PlaceProof
		for _, p := range e.Stores[0].Places {
			if p.Name == name {
				got = p
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("place %s (-want +got)\n%s", name, diff)
		}
	}
	var left []string
	if err := app.Select(&left, `SELECT path FROM request_logs ORDER BY path`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/entities/user/bob", "/memories/" + his}, left); diff != "" {
		t.Errorf("paths (-want +got)\n%s", diff)
	}
}

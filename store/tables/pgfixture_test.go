package tables_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/store/tables"
)

// A pgApp is an application's schema of four levels in PostgreSQL: conversations
// (the memories of the contract) have messages (history), those have
// attachments, and those have scans. Notes stand alone.
type pgApp struct {
	t   testing.TB
	dsn string
	db  *sqlx.DB
	s   *tables.Postgres
}

// folded compares text without regard to case.
const folded = `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);`

const pgAppLayout = folded + `
	CREATE DOMAIN label AS varchar(99);
	CREATE TABLE conversations (id text PRIMARY KEY, owner label COLLATE folded, agent varchar(99), app text, doc json, body text, ends text);
	CREATE TABLE messages (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, conversation varchar NOT NULL, body text);
	CREATE TABLE attachments (message int8 NOT NULL REFERENCES messages, "na""me" text, body text, PRIMARY KEY ("na""me", message));
	CREATE TABLE scans (id smallint GENERATED ALWAYS AS IDENTITY (CYCLE), at bigint, of text, body text, FOREIGN KEY (at, of) REFERENCES attachments (message, "na""me"));
	CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), owner text, agent text, app text, run text, meta jsonb, body text, made varchar(99));
	CREATE TABLE countries (code text)`

func pgAppMap() tables.Map {
	column := func(name string) tables.Member { return tables.Member{Column: name} }
	return tables.Map{
		Files: []tables.File{{Name: "app"}},
		Places: []tables.Place{
			{Name: "scans", File: "app", Table: "scans", ID: []string{"id"}, With: "attachments", By: []string{"at", "of"}},
			{Name: "attachments", File: "app", Table: "attachments", ID: []string{"message", `na"me`}, With: "history", By: []string{"message"}},
			{
				Name: "memories", File: "app", Table: "conversations", ID: []string{"id"}, Explicit: true,
				Match: map[string]tables.Member{
					"user_id": column("owner"), "agent_id": column("agent"), "app_id": column("app"), "run_id": {Column: "doc", Path: []string{"it's", "run"}},
				},
				Metadata: &tables.Member{Column: "doc", Path: []string{"meta"}},
				Created:  &tables.Member{Column: "doc", Path: []string{"it's", "made"}}, Expires: &tables.Member{Column: "ends"},
			},
			{Name: "history", File: "app", Table: "messages", ID: []string{"n"}, With: "memories", By: []string{"conversation"}},
			{
				Name: "notes", File: "app", Table: "notes", ID: []string{"id"},
				Match:    map[string]tables.Member{"user_id": column("owner"), "agent_id": column("agent"), "app_id": column("app"), "run_id": column("run")},
				Metadata: &tables.Member{Column: "meta"}, Created: &tables.Member{Column: "made"},
			},
		},
		Waived: []tables.Waiver{{Table: "countries", Reason: "nobody's"}},
	}
}

// newPgApp makes the tables in a schema of the shared server.
func newPgApp(t testing.TB) *pgApp {
	t.Helper()
	a := &pgApp{t: t, dsn: audittest.Schema(t)}
	a.db = pgDB(t, a.dsn)
	a.db.MustExec(pgAppLayout)
	return a
}

func pgDB(t testing.TB, dsn string) *sqlx.DB {
	t.Helper()
	db := sqlx.MustOpen("pgx", dsn)
	t.Cleanup(func() { db.Close() })
	return db
}

func (a *pgApp) open() *pgApp {
	a.t.Helper()
	a.s = openPg(a.t, a.dsn, pgAppMap())
	return a
}

func openPg(t testing.TB, dsn string, m tables.Map) *tables.Postgres {
	t.Helper()
	s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: dsn, Map: m})
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

func (a *pgApp) Store() store.Store { return a.s }

func (a *pgApp) Add(ctx context.Context, records ...storetest.Record) error {
	tx := a.db.MustBeginTx(ctx, nil)
	defer func() { _ = tx.Rollback() }() // after an error
	for _, r := range records {
		meta := make(map[string]any)
		for k, v := range r.Metadata {
			meta[k] = v.Any()
		}
		own, _ := json.Marshal(meta)
		doc, _ := json.Marshal(map[string]any{"meta": meta, "it's": map[string]any{"run": r.RunID, "made": said(r.Created)}})
		if _, err := tx.ExecContext(ctx, `INSERT INTO conversations VALUES ($1, $2, $3, $4, $5, $6, $7)`, r.ID, r.UserID, r.AgentID, r.AppID, string(doc), r.Text, said(r.Expires)); err != nil {
			return err
		}
		if r.Message {
			_, err := tx.ExecContext(ctx, `INSERT INTO notes (owner, agent, app, run, meta, body, made) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
				r.UserID, r.AgentID, r.AppID, r.RunID, string(own), r.Text, said(r.Created))
			if err != nil {
				return err
			}
		}
		if err := pgMessage(ctx, tx, r.ID, r.Text); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// pgMessage adds a message with an attachment that has a scan.
func pgMessage(ctx context.Context, q sqlx.ExecerContext, conversation, text string) error {
	_, err := q.ExecContext(ctx, `WITH m AS (INSERT INTO messages (conversation, body) VALUES ($1, $2) RETURNING n),
		a AS (INSERT INTO attachments SELECT n, 'é"<1>', $2 FROM m RETURNING message)
		INSERT INTO scans (at, of, body) SELECT message, 'é"<1>', $2 FROM a`, conversation, text)
	return err
}

func (a *pgApp) AddHistory(ctx context.Context, memory, text string) error {
	return pgMessage(ctx, a.db, memory, text)
}

func (a *pgApp) Rows(ctx context.Context) (map[string]string, error) {
	rows := make(map[string]string)
	for _, table := range []string{"conversations", "messages", "attachments", "scans", "notes"} {
		var found []struct{ ID, Row string }
		if err := a.db.SelectContext(ctx, &found, `SELECT ctid::text AS id, t::text AS row FROM `+table+` t`); err != nil {
			return nil, err
		}
		for _, r := range found {
			rows[table+" "+r.ID] = r.Row
		}
	}
	return rows, nil
}

func (a *pgApp) Bytes(ctx context.Context) ([]byte, error) {
	rows, err := a.Rows(ctx)
	return fmt.Append(nil, rows), err
}

func TestPostgresFourLevelsKeepTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Fixture { return newPgApp(t).open() })
}

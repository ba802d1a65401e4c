package mem0_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/mem0"
	"lethe/store/storetest"
	"lethe/store/tables"
)

// The layout of Mem0's Python SDK 2.0.18.
const pythonHistory = `CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT,
	created_at DATETIME, updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT);
	CREATE TABLE messages (id TEXT PRIMARY KEY, session_scope TEXT, role TEXT, content TEXT, name TEXT, created_at DATETIME)`

// A pgFixture is a self-hosted Mem0: two tables of PostgreSQL and a SQLite
// file beside them.
type pgFixture struct {
	t      testing.TB
	config mem0.PostgresConfig
	uuids  bool
	db     *sqlx.DB
	s      *tables.Postgres
	names  sync.Map // from the database's keys back to the contract's
}

func newPG(t testing.TB, uuids, history bool) *pgFixture {
	t.Helper()
	return newPGAt(t, audittest.Schema(t), uuids, history)
}

func newPGAt(t testing.TB, dsn string, uuids, history bool) *pgFixture {
	t.Helper()
	f := &pgFixture{t: t, uuids: uuids, config: mem0.PostgresConfig{DSN: dsn, Table: "memories", Entities: "memories_entities"}}
	f.db = sqlx.MustOpen("pgx", f.config.DSN)
	t.Cleanup(func() { f.db.Close() })
	kind := map[bool]string{true: "uuid", false: "text"}[uuids]
	vector := vectorType(f.db)
	for _, table := range []string{f.config.Table, f.config.Entities} {
		f.db.MustExec(`CREATE TABLE ` + table + ` (id ` + kind + ` PRIMARY KEY, vector ` + vector + `, payload jsonb)`)
	}
	if history {
		f.config.History = filepath.Join(t.TempDir(), "history.db")
		db := sqlx.MustOpen("sqlite3", f.config.History)
		db.MustExec(pythonHistory)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// vectorType is pgvector's type, where the server has that extension. Lethe
// never reads the column, so that another type will do.
func vectorType(db *sqlx.DB) string {
	var has bool
	if err := db.Get(&has, `SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'vector'`); err != nil || !has {
		return "real[]"
	}
	db.MustExec(`DO $$ BEGIN
		PERFORM pg_advisory_xact_lock(7);
		CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
	END $$`)
	return "public.vector"
}

func (f *pgFixture) open() *pgFixture {
	f.t.Helper()
	var err error
	if f.uuids {
		f.s, err = mem0.OpenPostgres(f.t.Context(), f.config)
	} else {
		f.s, err = tables.OpenPostgres(f.t.Context(), f.config.WithTextKeys())
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := f.s.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return f
}

// key is the ID that the database has for a record's: the contract's are no
// UUIDs.
func (f *pgFixture) key(id string) string {
	if !f.uuids {
		return id
	}
	key := uuid.NewSHA1(uuid.NameSpaceOID, []byte(id)).String()
	f.names.Store(key, id)
	return key
}

// named turns an ID of the store into the contract's.
func (f *pgFixture) named(id store.ID) store.ID {
	if name, ok := f.names.Load(id.Key); ok {
		id.Key = name.(string)
	}
	return id
}

func (f *pgFixture) Store() store.Store {
	if !f.uuids {
		return f.s
	}
	return &renamed{f.s, f}
}

func (f *pgFixture) Add(ctx context.Context, records ...storetest.Record) error {
	tx := f.db.MustBeginTx(ctx, nil)
	defer func() { _ = tx.Rollback() }() // after an error
	entities := make(map[string]map[string]any)
	for _, r := range records {
		identity := map[string]any{}
		for k, v := range map[string]string{"user_id": r.UserID, "agent_id": r.AgentID, "run_id": r.RunID, "app_id": r.AppID} {
			if v != "" {
				identity[k] = v
			}
		}
		for _, text := range r.Entities {
			name := strings.Join([]string{r.UserID, r.AgentID, r.RunID, text}, "\x00")
			e := entities[name]
			if e == nil {
				e = maps.Clone(identity)
				e["data"], e["entity_type"], e["linked_memory_ids"] = text, "PROPER", []string{}
				entities[name] = e
			}
			e["linked_memory_ids"] = append(e["linked_memory_ids"].([]string), f.key(r.ID))
		}
		payload := maps.Clone(identity)
		payload["data"] = r.Text
		for name, text := range map[string]string{"created_at": r.Created, "expiration_date": r.Expires} {
			if text != "" {
				payload[name] = text
			}
		}
		for k, v := range r.Metadata {
			payload[k] = v.Any()
		}
		if err := insertPayload(ctx, tx, f.config.Table, f.key(r.ID), payload); err != nil {
			return err
		}
	}
	for _, e := range entities {
		if err := insertPayload(ctx, tx, f.config.Entities, uuid.NewString(), e); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return f.addBeside(ctx, records)
}

func insertPayload(ctx context.Context, tx *sqlx.Tx, table, id string, payload map[string]any) error {
	text, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO `+table+` VALUES ($1, '{1,2,3}', $2)`, id, string(text))
	return err
}

func (f *pgFixture) addBeside(ctx context.Context, records []storetest.Record) error {
	if f.config.History == "" {
		return nil
	}
	db := database(f.t, f.config.History)
	defer db.Close()
	tx := db.MustBeginTx(ctx, nil)
	for _, r := range records {
		tx.MustExec(`INSERT INTO history (id, memory_id, new_memory, event) VALUES (?, ?, ?, 'ADD')`, uuid.NewString(), f.key(r.ID), r.Text)
		if r.Message {
			tx.MustExec(`INSERT INTO messages (id, session_scope, content, created_at) VALUES (?, ?, ?, nullif(?, ''))`,
				uuid.NewString(), tables.FormatScope(r.AgentID, r.RunID, r.UserID), r.Text, r.Created)
		}
	}
	return tx.Commit()
}

func (f *pgFixture) AddHistory(ctx context.Context, memory, text string) error {
	if f.config.History == "" {
		return errors.ErrUnsupported
	}
	db := database(f.t, f.config.History)
	defer db.Close()
	_, err := db.ExecContext(ctx, `INSERT INTO history (id, memory_id, new_memory) VALUES (?, ?, ?)`, uuid.NewString(), f.key(memory), text)
	return err
}

func (f *pgFixture) Rows(ctx context.Context) (map[string]string, error) {
	rows := make(map[string]string)
	if f.config.History != "" {
		if err := readRows(ctx, f.config.History, rows); err != nil {
			return nil, err
		}
	}
	for _, table := range []string{f.config.Table, f.config.Entities} {
		var found []struct{ ID, Row string }
		if err := f.db.SelectContext(ctx, &found, `SELECT id::text, t::text AS row FROM `+table+` t`); err != nil {
			return nil, err
		}
		for _, r := range found {
			rows[table+" "+r.ID] = r.Row
		}
	}
	return rows, nil
}

func (f *pgFixture) Bytes(ctx context.Context) ([]byte, error) {
	rows, err := f.Rows(ctx)
	return fmt.Append(nil, rows), err
}

// A renamed store speaks of memories by the contract's IDs.
type renamed struct {
	checked
	f *pgFixture
}

type checked interface {
	store.Store
	store.Checker
	store.Limiter
	store.Sweepable
	store.Identifying
}

func (r *renamed) in(ids []store.ID) []store.ID {
	out := slices.Clone(ids)
	for i, id := range out {
		if id.Place == "memories" {
			out[i].Key = r.f.key(id.Key)
		}
	}
	return out
}

// asked is a selector in the database's IDs.
func (r *renamed) asked(sel store.Selector) store.Selector {
	sel.IDs = slices.Clone(sel.IDs)
	for i, id := range sel.IDs {
		if id != "" {
			sel.IDs[i] = r.f.key(id)
		}
	}
	return sel
}

func (r *renamed) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		for id, err := range r.checked.Find(ctx, r.asked(sel)) {
			if !yield(r.f.named(id), err) {
				return
			}
		}
	}
}

func (r *renamed) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	return r.checked.Count(ctx, func(yield func(store.Selector, error) bool) {
		for sel, err := range sels {
			if !yield(r.asked(sel), err) {
				return
			}
		}
	})
}

func (r *renamed) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	return r.checked.Erase(ctx, r.in(ids))
}

func (r *renamed) Kept(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	kept, err := r.checked.Kept(ctx, sel, r.in(ids))
	for i, id := range kept {
		kept[i] = r.f.named(id)
	}
	return kept, err
}

func (r *renamed) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	left, err := r.checked.Remaining(ctx, r.in(ids))
	for i, id := range left {
		left[i] = r.f.named(id)
	}
	return left, err
}

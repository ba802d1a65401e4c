package mem0

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"lethe/store/tables"
)

// A Memory is what WriteSQLite writes, for demonstrations and tests.
type Memory struct {
	ID                     string // made up if empty
	UserID, AgentID, RunID string
	AppID                  string
	Text                   string
	Metadata               map[string]any
	Entities               []string // texts of the entities that link to it
	Message                bool     // write it as a raw message too
	Legacy                 bool     // name the identity keys userId and so on, as Mem0 once did
	Created                *string  // what is said of when it was made; nil for a time of ours, "" for nothing
	Expires                string   // expiration_date; "" for none
}

// WriteSQLite adds memories as Mem0 does: a vector, a history row, entities
// that link to it and a raw message.
func WriteSQLite(ctx context.Context, c SQLiteConfig, all iter.Seq[Memory]) (err error) {
	w := writing{entities: make(map[[4]string]*entity)}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.open(ctx, c); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for m := range all {
		if err := w.memory(ctx, m); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if err := w.finish(ctx); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// A writing is one WriteSQLite at work, with a transaction for each file.
type writing struct {
	dbs                       []*sqlx.DB
	vectors, linking, history *sqlx.Tx // the latter two may be nil or the first
	entities                  map[[4]string]*entity
	order                     [][4]string
}

type entity struct {
	payload map[string]any
	linked  []string
}

func (w *writing) open(ctx context.Context, c SQLiteConfig) (err error) {
	if w.vectors, err = w.begin(ctx, c.Vectors); err != nil {
		return err
	}
	w.linking = w.vectors
	if c.Entities != "" && !same(c.Entities, c.Vectors) {
		if w.linking, err = w.begin(ctx, c.Entities); err != nil {
			return err
		}
	}
	if c.History != "" {
		w.history, err = w.begin(ctx, c.History)
	}
	return err
}

func (w *writing) begin(ctx context.Context, path string) (*sqlx.Tx, error) {
	db, err := openSQLite(path, "rw")
	if err != nil {
		return nil, err
	}
	w.dbs = append(w.dbs, db)
	return db.BeginTxx(ctx, nil)
}

func (w *writing) memory(ctx context.Context, m Memory) error {
	if m.ID == "" {
		m.ID = uuid.NewString()
	}
	payload := m.identity()
	maps.Copy(payload, m.Metadata)
	payload["data"] = m.Text
	when := sql.NullString{String: "2026-11-22T12:00:00.000Z", Valid: true}
	if m.Created != nil {
		when = sql.NullString{String: *m.Created, Valid: *m.Created != ""}
	}
	if when.Valid {
		payload["createdAt"] = when.String
	}
	if m.Expires != "" {
		payload["expiration_date"] = m.Expires
	}
	if err := insert(ctx, w.vectors, m.ID, payload); err != nil {
		return err
	}
	for _, text := range m.Entities {
		w.link(m, text)
	}
	if w.history == nil {
		return nil
	}
	_, err := w.history.ExecContext(ctx, `INSERT INTO memory_history (memory_id, new_value, action, created_at) VALUES (?, ?, 'ADD', ?)`, m.ID, m.Text, when)
	if err == nil && m.Message {
		_, err = w.history.ExecContext(ctx, `INSERT INTO messages (id, session_scope, role, content, created_at) VALUES (?, ?, 'user', ?, ?)`,
			uuid.NewString(), tables.FormatScope(m.AgentID, m.RunID, m.UserID), m.Text, when)
	}
	return err
}

func (m Memory) identity() map[string]any {
	payload := make(map[string]any)
	keys := [][3]string{
		{"user_id", "userId", m.UserID},
		{"agent_id", "agentId", m.AgentID},
		{"run_id", "runId", m.RunID},
		{"app_id", "appId", m.AppID},
	}
	for _, k := range keys {
		name := k[0]
		if m.Legacy {
			name = k[1]
		}
		if k[2] != "" {
			payload[name] = k[2]
		}
	}
	return payload
}

// link notes that the entity of the memory's scope links to it.
func (w *writing) link(m Memory, text string) {
	key := [4]string{m.UserID, m.AgentID, m.RunID, text}
	e := w.entities[key]
	if e == nil {
		e = &entity{payload: m.identity()}
		e.payload["data"] = text
		e.payload["entityType"] = "PROPER"
		w.entities[key] = e
		w.order = append(w.order, key)
	}
	e.linked = append(e.linked, m.ID)
}

func (w *writing) finish(ctx context.Context) error {
	for _, key := range w.order {
		e := w.entities[key]
		slices.Sort(e.linked)
		e.payload["linkedMemoryIds"] = e.linked
		if err := insert(ctx, w.linking, uuid.NewString(), e.payload); err != nil {
			return err
		}
	}
	for _, tx := range []*sqlx.Tx{w.history, w.linking, w.vectors} {
		if tx == nil {
			continue
		}
		if err := tx.Commit(); err != nil && !errors.Is(err, sql.ErrTxDone) { // linking may be vectors
			return err
		}
	}
	return nil
}

func (w *writing) close() error {
	var err error
	for _, db := range w.dbs {
		err = errors.Join(err, db.Close())
	}
	return err
}

func insert(ctx context.Context, tx *sqlx.Tx, id string, payload map[string]any) error {
	text, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	vector := make([]byte, 64) // float32s; Mem0 has 1536 of them
	for i := range vector {
		vector[i] = text[i%len(text)]
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO vectors (id, vector, payload) VALUES (?, ?, ?)`, id, vector, string(text))
	return err
}

// Sample yields n made-up memories of a user, each with a text of its own.
func Sample(user string, n int) iter.Seq[Memory] {
	people := []string{"Marguerite Fontaine", "Oswald Penhaligon", "Beatrix Lindqvist", "Thaddeus Okonkwo"}
	towns := []string{"Reykjavik", "Montevideo", "Ulaanbaatar"}
	return func(yield func(Memory) bool) {
		for i := range n {
			m := Memory{
				UserID:   user,
				Text:     fmt.Sprintf("%s told %s in %s that %d is the number of the locker", user, people[i%len(people)], towns[i%len(towns)], i),
				Metadata: map[string]any{"channel": []string{"chat", "email"}[i%2], "ticket": fmt.Sprintf("T-%d", i), "tier": i % 5},
				Message:  i%100 == 0,
			}
			if i%10 == 0 {
				m.Entities = []string{people[i%len(people)], towns[i%len(towns)]}
			}
			if i%3 == 1 {
				m.AgentID = "support-bot"
			}
			if !yield(m) {
				return
			}
		}
	}
}

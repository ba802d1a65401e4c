package mem0

import (
	"context"
	"fmt"
	"os"

	"lethe/store"
	"lethe/store/tables"
)

// KindSQLite is the kind of store that OpenSQLite opens.
const KindSQLite = "mem0-sqlite"

// SQLiteConfig says where a Mem0 installation keeps its files. Mem0 names them
// in vectorStore.config.dbPath and historyDbPath.
type SQLiteConfig struct {
	Vectors  string // vector_store.db; required
	Entities string // vector_store_entities.db; "" or the same file if there is none
	History  string // memory.db; "" if history is disabled
}

// OpenSQLite opens Mem0's files, which must exist. They may be in use by Mem0
// meanwhile: its writes and ours wait for each other up to five seconds. Only
// one Erase runs at a time. Errors wrap store.ErrRefused for a file that cannot
// be used, and store.ErrSchema for a layout that is not Mem0's.
func OpenSQLite(ctx context.Context, c SQLiteConfig) (*tables.Store, error) {
	m, err := c.dataMap()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KindSQLite, err)
	}
	s, err := tables.Open(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KindSQLite, err)
	}
	return s, nil
}

func (c SQLiteConfig) dataMap() (tables.Map, error) {
	if c.Vectors == "" {
		return tables.Map{}, fmt.Errorf("%w: the vectors file is required", store.ErrRefused)
	}
	m := tables.Map{Waived: []tables.Waiver{{Table: "memory_migrations", Reason: "the telemetry ID of the installation, not a person's", Optional: true}}}
	// Children first: see package tables.
	if c.History != "" {
		m.Files = append(m.Files, tables.File{Name: "history", Path: c.History})
	}
	payloads := []string{"vectors"}
	if c.Entities != "" && !same(c.Entities, c.Vectors) {
		m.Files = append(m.Files, tables.File{Name: "entities", Path: c.Entities})
		payloads = []string{"vectors", "entities"}
	}
	m.Files = append(m.Files, tables.File{Name: "vectors", Path: c.Vectors})

	for _, file := range payloads {
		m.Places = append(m.Places, entities(file))
	}
	if c.History != "" {
		m.Places = append(m.Places, messages())
	}
	for _, file := range payloads {
		m.Places = append(m.Places, memories(file))
	}
	if c.History != "" {
		m.Places = append(m.Places, history())
	}
	return m, nil
}

// same reports whether two paths lead to one file.
func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func vectors(name, file string) tables.Place {
	return tables.Place{
		Name: name, File: file, Table: "vectors", ID: []string{"id"}, Explicit: true,
		Layout: []tables.Column{{Name: "id", Type: "TEXT"}, {Name: "vector", Type: "BLOB"}, {Name: "payload", Type: "TEXT"}},
		Document: &tables.Document{
			Column:   "payload",
			Metadata: true,
			Keys: map[string][]string{
				"user_id": {"user_id", "userId"}, "agent_id": {"agent_id", "agentId"},
				"run_id": {"run_id", "runId"}, "app_id": {"app_id", "appId"},
			},
		},
	}
}

// entityShape is what only an entity's payload has, in TypeScript and Python.
func entityShape() tables.Shape {
	return tables.Shape{{"entityType", "entity_type"}, {"linkedMemoryIds", "linked_memory_ids"}}
}

func entities(file string) tables.Place {
	p := vectors("entities", file)
	p.Document.Only = entityShape()
	p.Document.Links = []string{"linkedMemoryIds", "linked_memory_ids"}
	p.Document.LinksTo = "memories"
	return p
}

func memories(file string) tables.Place {
	p := vectors("memories", file)
	p.Document.Except = entityShape()
	p.Document.Created = []string{"createdAt", "created_at"} // TypeScript, Python
	p.Document.Expires = []string{"expiration_date"}
	return p
}

// messages are missing in files that Mem0 before 3.0 has made.
func messages() tables.Place {
	return tables.Place{
		Name: "messages", File: "history", Table: "messages", ID: []string{"id"}, Optional: true, Scope: "session_scope",
		Created: &tables.Member{Column: "created_at"},
		Layout: []tables.Column{
			{Name: "id", Type: "TEXT"},
			{Name: "session_scope", Type: "TEXT"},
			{Name: "role", Type: "TEXT"},
			{Name: "content", Type: "TEXT"},
			{Name: "name", Type: "TEXT"},
			{Name: "created_at", Type: "TEXT"},
		},
	}
}

func history() tables.Place {
	return tables.Place{
		Name: "history", File: "history", Table: "memory_history", ID: []string{"id"}, With: "memories", By: []string{"memory_id"},
		Layout: []tables.Column{
			{Name: "id", Type: "INTEGER"},
			{Name: "memory_id", Type: "TEXT"},
			{Name: "previous_value", Type: "TEXT"},
			{Name: "new_value", Type: "TEXT"},
			{Name: "action", Type: "TEXT"},
			{Name: "created_at", Type: "TEXT"},
			{Name: "updated_at", Type: "TEXT"},
			{Name: "is_deleted", Type: "INTEGER"},
		},
	}
}

package mem0

import (
	"context"
	"fmt"

	"lethe/store/tables"
)

// KindPostgres is the kind of store that OpenPostgres opens.
const KindPostgres = "mem0-postgres"

// PostgresConfig says where Mem0's self-hosted server keeps its rows.
type PostgresConfig struct {
	DSN      string // of the primary; a secret
	Table    string // Mem0's collection name; required
	Entities string // table of the entities; "" if there is none
	History  string // the SQLite file beside the database; "" if there is none
}

// OpenPostgres opens Mem0's tables and its history file, which must exist, as
// one store with the places of [OpenSQLite]. IDs of memories and entities are
// UUIDs; any other key is refused alone, and the rest of its batch is erased.
// Errors are those of tables.OpenPostgres.
func OpenPostgres(ctx context.Context, c PostgresConfig) (*tables.Postgres, error) {
	s, err := tables.OpenPostgres(ctx, c.tables())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KindPostgres, err)
	}
	return s, nil
}

func (c PostgresConfig) tables() tables.PostgresConfig {
	const file = "postgres"
	m := tables.Map{
		Files:  []tables.File{{Name: file}},
		Waived: []tables.Waiver{{Table: "mem0migrations", Reason: "the telemetry ID of the installation, not a person's", Optional: true}},
	}
	payloads := []string{c.Table}
	if c.Entities != "" {
		payloads = append(payloads, c.Entities)
	}
	for _, table := range payloads {
		m.Places = append(m.Places, pgvector(entities(file), table))
	}
	for _, table := range payloads {
		m.Places = append(m.Places, pgvector(memories(file), table))
	}
	out := tables.PostgresConfig{DSN: c.DSN, Map: m}
	if c.History != "" {
		out.Beside = &tables.Map{
			Files:     []tables.File{{Name: "history", Path: c.History}},
			Places:    []tables.Place{pythonMessages(), pythonHistory()},
			Elsewhere: []string{"memories"},
		}
	}
	return out
}

// pgvector is a place of SQLite as Mem0's pgvector adapter lays it out. The
// vector's type depends on the extension, and nobody reads it.
func pgvector(p tables.Place, table string) tables.Place {
	p.Table = table
	p.Layout = []tables.Column{{Name: "id", Type: "uuid"}, {Name: "vector"}, {Name: "payload", Type: "jsonb"}}
	return p
}

func pythonMessages() tables.Place {
	p := messages()
	p.Layout[len(p.Layout)-1].Type = "DATETIME"
	return p
}

func pythonHistory() tables.Place {
	return tables.Place{
		Name: "history", File: "history", Table: "history", ID: []string{"id"}, With: "memories", By: []string{"memory_id"},
		Layout: []tables.Column{
			{Name: "id", Type: "TEXT"},
			{Name: "memory_id", Type: "TEXT"},
			{Name: "old_memory", Type: "TEXT"},
			{Name: "new_memory", Type: "TEXT"},
			{Name: "event", Type: "TEXT"},
			{Name: "created_at", Type: "DATETIME"},
			{Name: "updated_at", Type: "DATETIME"},
			{Name: "is_deleted", Type: "INTEGER"},
			{Name: "actor_id", Type: "TEXT"},
			{Name: "role", Type: "TEXT"},
		},
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"lethe/store"
	"lethe/store/tables"
)

// databaseFile is what a data map calls the only database of a store of kind
// tables.
const databaseFile = "database"

// openTablesStore opens a store of kind tables and compares its map with the
// live schema.
func openTablesStore(ctx context.Context, c StoreConfig) (store.Store, error) {
	if c.Driver == driverPostgres {
		dsn, err := readSmallFile(c.DSNFile, 4096)
		if err != nil {
			return nil, fmt.Errorf("read dsn_file: %w", err)
		}
		st, err := tables.OpenPostgres(ctx, tables.PostgresConfig{DSN: strings.TrimSpace(string(dsn)), Map: c.dataMap("")})
		if err != nil || !c.Purge.Rewrite() {
			return st, err
		}
		r, err := tables.NewRewriter(ctx, st)
		if err != nil {
			return nil, errors.Join(err, st.Close())
		}
		return r, nil
	}
	path, err := c.databasePath()
	if err != nil {
		return nil, err
	}
	return tables.Open(ctx, c.dataMap(path))
}

// databasePath is the file of a store with driver sqlite3: file, or what
// dsn_file holds.
func (c *StoreConfig) databasePath() (string, error) {
	if c.File != "" {
		return c.File, nil
	}
	text, err := readSmallFile(c.DSNFile, 4096)
	switch {
	case err != nil:
		return "", fmt.Errorf("read dsn_file: %w", err)
	case bytes.HasPrefix(text, []byte("SQLite format 3")):
		return "", errors.New("dsn_file is a database itself: name it in file")
	}
	path := strings.TrimPrefix(strings.TrimSpace(string(text)), "file:")
	path, _, _ = strings.Cut(path, "?")
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.DSNFile), path)
	}
	return path, nil
}

// dataMap words the places for package tables.
func (c *StoreConfig) dataMap(path string) tables.Map {
	m := tables.Map{Files: []tables.File{{Name: databaseFile, Path: path}}}
	for _, w := range c.Waived {
		m.Waived = append(m.Waived, tables.Waiver{Table: w.Of, Reason: w.Reason})
	}
	matching := 0
	for _, p := range c.Places {
		if p.Match != nil {
			matching++
		}
	}
	for _, p := range c.Places {
		place := tables.Place{
			Name: p.name(), File: databaseFile, Table: p.Table, ID: p.ID,
			Created: p.Created.member(), Expires: p.Expires.member(),
		}
		if p.Match != nil {
			place.Match, place.Metadata = p.Match.keys(), p.Match.Metadata.member()
			place.Ties = p.ties()
			place.Explicit = matching == 1 && place.Ties == nil
			if p.Explicit != nil {
				place.Explicit = *p.Explicit
			}
		}
		if p.Parent != nil {
			place.With, place.By = c.mapped(p.Parent.Table).name(), p.Parent.Column
		}
		m.Places = append(m.Places, place)
	}
	return m
}

// identityKeys are the keys of a selector that identify someone.
func identityKeys() []string { return []string{"agent_id", "app_id", "run_id", "user_id"} }

func (m *MatchConfig) of(key string) MemberConfig {
	return map[string]MemberConfig{"agent_id": m.AgentID, "app_id": m.AppID, "run_id": m.RunID, "user_id": m.UserID}[key]
}

// keys are the identity keys that rows can be matched by.
func (m *MatchConfig) keys() map[string]tables.Member {
	keys := make(map[string]tables.Member)
	for _, key := range identityKeys() {
		if to := m.of(key).member(); to != nil {
			keys[key] = *to
		}
	}
	return keys
}

// tied is the key that has a list of columns, or "".
func (m *MatchConfig) tied() string {
	for _, key := range identityKeys() {
		if m.of(key).Tied != nil {
			return key
		}
	}
	return ""
}

// ties are nil for a place whose rows belong to one person each.
func (p *PlaceConfig) ties() *tables.Ties {
	key := p.Match.tied()
	if key == "" {
		return nil
	}
	t := &tables.Ties{Key: key, Columns: p.Match.of(key).Tied, Shared: tables.Sharing(p.Shared)}
	if p.Shared == "refuse" {
		t.Shared = tables.Refuse
	}
	for _, r := range p.Redact {
		t.Redact = append(t.Redact, tables.Redaction{Column: r.Column, To: r.To})
	}
	return t
}

// member is nil for one that is not given.
func (m MemberConfig) member() *tables.Member {
	if m.Column == "" {
		return nil
	}
	return &tables.Member{Column: m.Column, Path: m.Path}
}

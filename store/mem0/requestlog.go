package mem0

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"lethe/store"
	"lethe/store/tables"
)

// The request log of Mem0's self-hosted server. Its rows are of two kinds: they
// name a person, agent, app or run, or they name a memory and hang on it.
const (
	logFile         = "app"
	logTable        = "request_logs"
	logColumn       = "path"
	requests        = "requests"        // rows that name an entity
	memoryRequests  = "memory_requests" // rows that name a memory
	longestPath     = 512               // what does not fit may have been cut off
	ofMemory        = "memory"
	ofUser, ofAgent = "user", "agent"
	ofApp, ofRun    = "app", "run"
)

func requestLog(dsn string) tables.PostgresConfig {
	waived := func(table, reason string) tables.Waiver { return tables.Waiver{Table: table, Reason: reason} }
	return tables.PostgresConfig{DSN: dsn, Map: tables.Map{
		Files: []tables.File{{Name: logFile}},
		Places: []tables.Place{{
			Name: requests, File: logFile, Table: logTable, ID: []string{"id"},
			Layout: []tables.Column{{Name: "id", Type: "uuid"}, {Name: logColumn, Type: "character varying"}},
			// Nobody asks for a path: see server.
			Match: map[string]tables.Member{"user_id": {Column: logColumn}},
		}},
		Waived: []tables.Waiver{
			waived("users", "accounts of those who run the server"),
			waived("api_keys", "keys of those who run the server"),
			waived("refresh_token_jtis", "sessions of those who run the server"),
			waived("settings", "settings of the server"),
			waived("alembic_version", "the version of the tables"),
		},
	}}
}

// A subject is what a path names.
type subject struct{ kind, id string }

// named is what the path of a request names: /entities/user/alice,
// /memories/ID, /memories/ID/history, with or without a version before and a
// slash behind. The server logs paths unescaped, so that a name may hold
// slashes; it is all that follows its kind.
func named(path string) (subject, bool) {
	whole := strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if v, rest, ok := strings.Cut(whole, "/"); ok && (v == "v1" || v == "v2" || v == "v3") {
		whole = rest
	}
	what, rest, _ := strings.Cut(whole, "/")
	switch what {
	case "memories":
		id, _, _ := strings.Cut(rest, "/")
		if id, err := uuid.Parse(id); err == nil {
			return subject{ofMemory, id.String()}, true
		}
	case "entities":
		kind, name, _ := strings.Cut(rest, "/")
		if name == "" || !slices.Contains([]string{ofUser, ofAgent, ofApp, ofRun}, kind) {
			return subject{}, false
		}
		return subject{kind, name}, true
	}
	return subject{}, false
}

// cut reports whether a path names an entity whose name may go on.
func cut(path string) bool {
	n, ok := named(path)
	return ok && n.kind != ofMemory && utf8.RuneCountInString(path) >= longestPath
}

// whole returns whom a selector asks for, if that is one key alone: a path has
// no more, and of its age nobody asks.
func whole(sel store.Selector) (subject, bool) {
	var found []subject
	for _, s := range []subject{{ofUser, sel.UserID}, {ofAgent, sel.AgentID}, {ofApp, sel.AppID}, {ofRun, sel.RunID}} {
		if s.id != "" {
			found = append(found, s)
		}
	}
	if len(found) != 1 || len(sel.Metadata) > 0 || sel.ByID() || sel.ByAge() {
		return subject{}, false
	}
	return found[0], true
}

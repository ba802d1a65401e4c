// Package webtest stands in for Mem0's HTTP APIs, with what they are known for and
// faults on demand, so that tests need neither a network nor a key.
package webtest

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Keys of a Server. They are told apart by who made them: an admin or not.
const (
	ServerAdminKey = "m0sk_stand-in-of-an-admin"
	ServerUserKey  = "m0sk_stand-in-of-a-user"
)

// Limits of a Server, as they are Mem0's.
const (
	ServerListDefault = 20     // memories of a list by user, agent or run without top_k
	ServerListMost    = 1000   // top_k at most, and a list of all without top_k
	ServerScanMost    = 10_000 // memories that the list of entities looks at
)

// A ServerMemory is one memory of a Server. What is empty is not there.
type ServerMemory struct {
	ID                     string // a UUID
	Text                   string
	UserID, AgentID, RunID string
	Metadata               map[string]json.RawMessage // app_id is one of these: the server has no such key
	Numbers                bool                       // its names are numbers, as old payloads have them
	ExpirationDate         string                     // as 2026-11-29; a memory that expired is hidden, not gone

	Entities []string // texts of what it mentions
	Messages []string // the raw conversation that it was made of
}

// A Server stands in for Mem0's self-hosted REST server (Python SDK 2.0.18):
// its routes to read and delete, with what they are known for. A list has at
// most 1000 memories and no second page, hides what has expired, and trims the
// names it is asked for. A memory that is not there is 200 null to read and 404
// to delete. Deleting writes the text into the history once more, and leaves the
// messages, the entities and the paths in the request log where they are.
//
// It is an http.Handler, safe for concurrent use. The zero Server is empty and
// ready.
type Server struct {
	mu       sync.Mutex
	faults   ServerFaults
	rows     []ServerMemory // in the order of arrival, in which they are listed
	history  map[string][]ServerHistory
	messages []string
	entities []string
	calls    []ServerCall
	requests int
}

// A ServerHistory is one line of a memory's history.
type ServerHistory struct {
	Event    string // ADD or DELETE
	Old, New string
}

// A ServerCall is one request that a Server answered, or cut off.
type ServerCall struct {
	Method string
	Route  string // such as /memories/{memory_id}
	Path   string // as the server's request log keeps it, with IDs in it
	Query  string
	Status int // 0 if it was cut off
}

// NewServer returns a Server that holds memories.
func NewServer(memories ...ServerMemory) *Server {
	s := &Server{}
	s.Add(memories...)
	return s
}

// Add writes memories as the server's own add does, with their history.
func (s *Server) Add(memories ...ServerMemory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(memories)
}

func (s *Server) add(memories []ServerMemory) {
	if s.history == nil {
		s.history = make(map[string][]ServerHistory)
	}
	for _, m := range memories {
		s.rows = append(s.rows, m)
		s.history[m.ID] = append(s.history[m.ID], ServerHistory{Event: "ADD", New: m.Text})
		s.entities = append(s.entities, m.Entities...)
		s.messages = append(s.messages, m.Messages...)
	}
}

// Memories returns the memories that are there, expired ones too.
func (s *Server) Memories() []ServerMemory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rows)
}

// Calls returns what was asked, in the order in which it was answered.
func (s *Server) Calls() []ServerCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Forget empties the log of calls.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// Residue returns the texts that the server holds outside its memories: what
// its history, messages, entities and request log say.
func (s *Server) Residue() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := map[string][]string{"messages": slices.Clone(s.messages), "entities": slices.Clone(s.entities)}
	for _, lines := range s.history {
		for _, l := range lines {
			r["history"] = append(r["history"], l.Old+l.New)
		}
	}
	for _, c := range s.calls {
		r["request-log"] = append(r["request-log"], c.Path)
	}
	return r
}

// remove deletes a memory as Mem0 does: the vector, then one more line of
// history with its text.
func (s *Server) remove(id string) {
	i := slices.IndexFunc(s.rows, func(m ServerMemory) bool { return m.ID == id })
	if i < 0 {
		return
	}
	s.history[id] = append(s.history[id], ServerHistory{Event: "DELETE", Old: s.rows[i].Text})
	s.rows = slices.Delete(s.rows, i, i+1)
}

func (s *Server) has(id string) bool {
	return slices.ContainsFunc(s.rows, func(m ServerMemory) bool { return m.ID == id })
}

// names are the identity keys that a memory has.
func (m *ServerMemory) names() map[string]any {
	all := map[string]any{}
	for k, v := range map[string]string{"user_id": m.UserID, "agent_id": m.AgentID, "run_id": m.RunID} {
		switch {
		case v == "":
		case m.Numbers:
			all[k] = json.RawMessage(v)
		default:
			all[k] = v
		}
	}
	return all
}

func (m *ServerMemory) expired(now time.Time) bool {
	return m.ExpirationDate != "" && m.ExpirationDate < now.UTC().Format(time.DateOnly)
}

// named reports whether the memory is of all that a list asks for.
func (m *ServerMemory) named(scope map[string]string) bool {
	mine := map[string]string{"user_id": m.UserID, "agent_id": m.AgentID, "run_id": m.RunID}
	for k, v := range scope {
		if mine[k] != v {
			return false
		}
	}
	return true
}

// scoped is the memory as a list by user, agent or run has it, and as it is
// read alone.
func (m *ServerMemory) scoped() map[string]any {
	item := map[string]any{
		"id": m.ID, "memory": m.Text, "hash": "h" + strconv.Itoa(len(m.Text)), "score": nil,
		"created_at": "2026-11-01T08:00:00+00:00", "updated_at": "2026-11-01T08:00:00+00:00",
	}
	maps.Copy(item, m.names())
	if m.ExpirationDate != "" {
		item["expiration_date"] = m.ExpirationDate
	}
	if len(m.Metadata) > 0 {
		item["metadata"] = m.Metadata
	}
	return item
}

// raw is the memory as the list of all has it: every key is there.
func (m *ServerMemory) raw() map[string]any {
	metadata := map[string]any{"text_lemmatized": m.Text}
	for k, v := range m.Metadata {
		metadata[k] = v
	}
	item := map[string]any{
		"id": m.ID, "memory": m.Text, "user_id": nil, "agent_id": nil, "run_id": nil, "expiration_date": nil,
		"hash": "h" + strconv.Itoa(len(m.Text)), "metadata": metadata,
		"created_at": "2026-11-01T08:00:00+00:00", "updated_at": nil,
	}
	maps.Copy(item, m.names())
	if m.ExpirationDate != "" {
		item["expiration_date"] = m.ExpirationDate
	}
	return item
}

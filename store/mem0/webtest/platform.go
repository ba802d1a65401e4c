package webtest

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A Memory is one of a Platform. Empty identities are null.
type Memory struct {
	ID, Text                      string
	UserID, AgentID, AppID, RunID string
	Metadata                      json.RawMessage // an object, or nil
	Expired, Merged               bool            // hidden unless asked for
	ReplacedBy                    string          // the ID of what superseded it
	Unlisted                      bool            // found by search and by ID alone, against all promises
}

// A Platform stands in for Mem0's Platform. The exported fields are set before
// the first call and not changed. It may be used concurrently.
type Platform struct {
	Key string // that calls must bring

	// Scoping is the documented rule that a filter which does not name one of
	// the four identities means that it is null.
	Scoping bool

	// Flags is where what shows hidden rows must stand in a list: "query", "body",
	// or either if it is empty. Documents say either.
	Flags string

	// EventPolls is how often an event is polled before it ends.
	EventPolls int

	// EventEnd is how events end: SUCCEEDED if empty.
	EventEnd string

	// Stays reports whether a memory stays although its deletion is answered
	// with success. nil for none.
	Stays func(id string) bool

	// Poison reports whether a memory makes the API fail, with 500, on every batch
	// that it is in. nil for none.
	Poison func(id string) bool

	// Trouble says what goes wrong with a call before it is answered. It may
	// change the world. nil for nothing.
	Trouble func(c Call) Fault

	mu       sync.Mutex
	rows     map[string]*row
	order    []*row // as they came; some have gone
	entities map[entity]time.Time
	events   map[string]*event
	ghosts   []Memory // gone, and still found by search
	history  []string
	calls    []Call
	route    *http.ServeMux
}

type row struct{ Memory }

type entity struct{ kind, name string }

// NewPlatform returns an empty Platform.
func NewPlatform(key string) *Platform {
	p := &Platform{
		Key: key, EventPolls: 2,
		rows: map[string]*row{}, entities: map[entity]time.Time{}, events: map[string]*event{}, route: http.NewServeMux(),
	}
	for pattern, f := range map[string]handler{
		"GET /v1/ping/{$}":                      p.ping,
		"POST /v3/memories/{$}":                 p.list,
		"POST /v3/memories/search/{$}":          p.search,
		"GET /v1/memories/{id}/{$}":             p.get,
		"GET /v1/memories/{id}/history/{$}":     p.readHistory,
		"DELETE /v1/memories/{id}/{$}":          p.deleteOne,
		"DELETE /v1/memories/{$}":               p.deleteByFilter,
		"DELETE /v1/batch/{$}":                  p.deleteBatch,
		"GET /v1/entities/{$}":                  p.listEntities,
		"DELETE /v2/entities/{type}/{name}/{$}": p.deleteEntity,
		"GET /v1/event/{id}/{$}":                p.getEvent,
		"GET /v1/events/{$}":                    p.listEvents,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		name := method + " " + strings.TrimSuffix(path, "{$}")
		p.route.Handle(pattern, p.logged(name, f))
	}
	p.route.Handle("/", p.logged("unknown", func(*http.Request, []byte) answer {
		return answer{http.StatusNotFound, map[string]any{"detail": "Not found."}}
	}))
	return p
}

// ServeHTTP implements http.Handler.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.route.ServeHTTP(w, r) }

// Add puts memories into the world, with the entities that they name. One whose
// ID is empty gets one; one whose ID is there takes its place.
func (p *Platform) Add(memories ...Memory) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := p.put(memories)
	for _, m := range memories {
		for _, e := range (&m).entities() {
			p.entities[e] = time.Now()
		}
	}
	return ids
}

// Restore puts memories into the world and nothing else, as if they had never
// been deleted.
func (p *Platform) Restore(memories ...Memory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(memories)
}

func (p *Platform) put(memories []Memory) (ids []string) {
	for _, m := range memories {
		if m.ID == "" {
			m.ID = uuid.NewString()
		}
		r := &row{m}
		p.rows[m.ID] = r
		p.order = append(p.order, r)
		p.history = append(p.history, m.Text)
		ids = append(ids, m.ID)
	}
	return ids
}

// Haunt lets search find memories that are not there.
func (p *Platform) Haunt(memories ...Memory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ghosts = memories
}

// Queue adds a pending event of a write for somebody, or for nobody in
// particular if payload is nil, which ends after the polls of all others.
func (p *Platform) Queue(payload map[string]any) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &event{ID: uuid.NewString(), Type: "ADD", Status: pending, Payload: payload, Created: time.Now()}
	p.events[e.ID] = e
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		e.Status = succeeded
	}
}

// Remove takes memories away behind everybody's back.
func (p *Platform) Remove(ids ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.rows, id)
	}
}

// Memories returns what is there, by ID.
func (p *Platform) Memories() map[string]Memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]Memory, len(p.rows))
	for id, r := range p.rows {
		all[id] = r.Memory
	}
	return all
}

// Entities returns which are there, as "user/alice", sorted.
func (p *Platform) Entities() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for e := range p.entities {
		all = append(all, e.kind+"/"+e.name)
	}
	slices.Sort(all)
	return all
}

// newest returns the rows, newest first.
func (p *Platform) newest() []*row {
	p.order = slices.DeleteFunc(p.order, func(r *row) bool { return p.rows[r.ID] != r })
	all := slices.Clone(p.order)
	slices.Reverse(all)
	return all
}

// entities are those that a memory names.
func (m *Memory) entities() (all []entity) {
	for _, field := range identities() {
		if name := m.of(field); name != "" {
			all = append(all, entity{strings.TrimSuffix(field, "_id"), name})
		}
	}
	return all
}

func identities() [4]string { return [4]string{"user_id", "agent_id", "app_id", "run_id"} }

// of is one of the identities.
func (m *Memory) of(field string) string {
	switch field {
	case "user_id":
		return m.UserID
	case "agent_id":
		return m.AgentID
	case "app_id":
		return m.AppID
	}
	return m.RunID
}

// wire is m as the API shows it.
func (m *Memory) wire() map[string]any {
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	expires := any(nil)
	if m.Expired {
		expires = "2020-01-01"
	}
	metadata := any(m.Metadata)
	if m.Metadata == nil {
		metadata = nil
	}
	return map[string]any{
		"id": m.ID, "memory": m.Text, "user_id": null(m.UserID), "agent_id": null(m.AgentID), "app_id": null(m.AppID),
		"session_id": null(m.RunID), "metadata": metadata, "categories": []string{}, "replaced_by": null(m.ReplacedBy),
		"synthesized": false, "expiration_date": expires, "created_at": "2026-01-15T10:30:00Z", "updated_at": "2026-01-15T10:30:00Z",
	}
}

func (p *Platform) ping(*http.Request, []byte) answer {
	return answer{http.StatusOK, map[string]any{"org_id": "org-1", "project_id": "project-1", "user_email": "owner@example.org"}}
}

func (p *Platform) authorized(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Token "+p.Key)) == 1
}

// page cuts the page out of all that r asks for.
func page[T any](r *http.Request, all []T, standard, most int) (some []T, next any, ok bool) {
	number := func(name string, or int) int {
		text := r.URL.Query().Get(name)
		if text == "" {
			return or
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0
		}
		return n
	}
	n, size := number("page", 1), number("page_size", standard)
	if n < 1 || size < 1 || size > most {
		return nil, nil, false
	}
	from, to := min((n-1)*size, len(all)), min(n*size, len(all))
	if to < len(all) {
		next = "https://api.mem0.ai" + r.URL.Path + "?page=" + strconv.Itoa(n+1) + "&page_size=" + strconv.Itoa(size)
	}
	return all[from:to], next, true
}

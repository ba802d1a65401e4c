package web

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"lethe/store"
)

// The places of the Platform.
const (
	memories = "memories"
	entities = "entities"
)

// A row is a memory as the API shows it. Of what identifies whom it is of, null
// is an answer and absence is none.
type row struct {
	ID         string         `json:"id"`
	UserID     jsontext.Value `json:"user_id"`
	AgentID    jsontext.Value `json:"agent_id"`
	AppID      jsontext.Value `json:"app_id"`
	SessionID  jsontext.Value `json:"session_id"` // lists call it so
	RunID      jsontext.Value `json:"run_id"`
	Metadata   jsontext.Value `json:"metadata"`
	ReplacedBy jsontext.Value `json:"replaced_by"`
}

// A memory is a row that was understood. Empty identities are null.
type memory struct {
	id         string
	of         map[string]string // by the names of store.Selector's fields
	metadata   map[string]jsontext.Value
	replacedBy string
}

func (m memory) user() string { return m.of["user_id"] }

// read returns the memory, or what of r cannot be understood.
func (r row) read() (m memory, lacks string) {
	m = memory{id: r.ID, of: make(map[string]string, 4)}
	if !canonical(r.ID) {
		return m, "id of a memory"
	}
	run := r.SessionID
	if run == nil {
		run = r.RunID
	}
	for name, v := range map[string]jsontext.Value{"user_id": r.UserID, "agent_id": r.AgentID, "app_id": r.AppID, "run_id": run} {
		text, ok := nullable(v)
		if !ok {
			return m, name + " of a memory"
		}
		if text != "" {
			m.of[name] = text
		}
	}
	if r.Metadata != nil && r.Metadata.Kind() != 'n' {
		if json.Unmarshal(r.Metadata, &m.metadata) != nil {
			return m, "metadata of a memory"
		}
	}
	m.replacedBy, _ = nullable(r.ReplacedBy)
	return m, ""
}

// nullable reads a string or null.
func nullable(v jsontext.Value) (text string, ok bool) {
	switch {
	case v == nil:
		return "", false
	case v.Kind() == 'n':
		return "", true
	}
	return text, v.Kind() == '"' && json.Unmarshal(v, &text) == nil
}

// canonical reports whether the API would write an ID so.
func canonical(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

// matches reports whether sel, which lists no IDs, selects m: exactly, and by type.
func (m memory) matches(sel store.Selector) bool {
	for _, f := range sel.Identity() {
		if m.of[f.Name] != f.Value {
			return false
		}
	}
	for key, want := range sel.Metadata {
		if got, ok := value(m.metadata[key]); !ok || got != want {
			return false
		}
	}
	return true
}

// value reads a scalar that metadata can be compared with.
func value(v jsontext.Value) (store.Value, bool) {
	switch v.Kind() {
	case '"':
		var text string
		err := json.Unmarshal(v, &text)
		return store.StringValue(text), err == nil
	case '0':
		n, err := store.NumberValue(string(v))
		return n, err == nil
	case 't', 'f':
		return store.BoolValue(v.Kind() == 't'), true
	}
	return store.Value{}, false
}

// A page is one of a list.
type page[T any] struct {
	Count   *int           `json:"count"`
	Next    jsontext.Value `json:"next"` // a URL, or null after the last
	Results *[]T           `json:"results"`
}

// lacks implements shape.
func (p *page[T]) lacks() string {
	switch {
	case p.Count == nil || *p.Count < 0:
		return "count"
	case p.Results == nil:
		return "results"
	case p.Next == nil || p.Next.Kind() != 'n' && p.Next.Kind() != '"':
		return "next"
	}
	return ""
}

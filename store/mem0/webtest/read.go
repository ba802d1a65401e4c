package webtest

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"
)

// Page sizes of the API.
const (
	memoryPage, mostMemories = 100, 200
	entityPage, mostEntities = 50, 1000
	eventPage, mostEvents    = 50, 100
)

func bad(text string) answer {
	return answer{http.StatusBadRequest, map[string]any{"error": text}}
}

// A question is the body of a list or a search.
type question struct {
	Query         string          `json:"query"`
	Filters       json.RawMessage `json:"filters"`
	ShowExpired   bool            `json:"show_expired"`
	IncludeMerged bool            `json:"include_merged"`
	TopK          int             `json:"top_k"`
	filter        filter
}

// ask reads the body, and the flags that stand in the query.
func ask(r *http.Request, body []byte, flags string) (q question, ok bool) {
	if err := json.Unmarshal(body, &q); err != nil || len(q.Filters) == 0 {
		return q, false
	}
	shown := func(name string, inBody bool) bool {
		inQuery := r.URL.Query().Get(name) == "true"
		return flags != "query" && inBody || flags != "body" && inQuery
	}
	q.ShowExpired, q.IncludeMerged = shown("show_expired", q.ShowExpired), shown("include_merged", q.IncludeMerged)
	var err error
	q.filter, err = newFilter(q.Filters)
	return q, err == nil
}

func (q question) shows(m *Memory, scoping bool) bool {
	return (q.ShowExpired || !m.Expired) && (q.IncludeMerged || !m.Merged) && q.filter.matches(m, scoping)
}

func (p *Platform) list(r *http.Request, body []byte) answer {
	q, ok := ask(r, body, p.Flags)
	if !ok {
		return bad("filters must be valid and include at least one of user_id, agent_id, app_id, run_id")
	}
	var all []Memory
	for _, row := range p.newest() {
		if !row.Unlisted && q.shows(&row.Memory, p.Scoping) {
			all = append(all, row.Memory)
		}
	}
	some, next, ok := page(r, all, memoryPage, mostMemories)
	if !ok {
		return bad("page_size must be between 1 and 200")
	}
	return answer{http.StatusOK, envelope(len(all), next, wires(some))}
}

func (p *Platform) search(r *http.Request, body []byte) answer {
	q, ok := ask(r, body, "body")
	if !ok || q.Query == "" {
		return bad("query and filters are required")
	}
	if q.TopK == 0 {
		q.TopK = 10
	}
	var all []Memory
	for _, m := range p.ghosts {
		if q.shows(&m, p.Scoping) {
			all = append(all, m)
		}
	}
	for _, row := range p.newest() {
		if q.shows(&row.Memory, p.Scoping) {
			all = append(all, row.Memory)
		}
	}
	return answer{http.StatusOK, map[string]any{"results": wires(all[:min(q.TopK, len(all))])}}
}

func (p *Platform) get(r *http.Request, _ []byte) answer {
	id := r.PathValue("id")
	if uuid.Validate(id) != nil {
		return bad("memory_id should be a valid UUID")
	}
	row, ok := p.rows[id]
	if !ok {
		return answer{http.StatusNotFound, map[string]any{"error": "Memory not found!"}}
	}
	return answer{http.StatusOK, row.wire()}
}

// readHistory shows what is never erased.
func (p *Platform) readHistory(*http.Request, []byte) answer {
	var rows []any
	for _, text := range p.history {
		rows = append(rows, map[string]any{"event": "ADD", "new_memory": text, "input": []any{map[string]any{"role": "user", "content": text}}})
	}
	return answer{http.StatusOK, rows}
}

func wires(memories []Memory) []any {
	all := make([]any, len(memories))
	for i := range memories {
		all[i] = memories[i].wire()
	}
	return all
}

func envelope(count int, next any, results any) map[string]any {
	return map[string]any{"count": count, "next": next, "previous": nil, "results": results}
}

package webtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The states of an event.
const (
	pending   = "PENDING"
	running   = "RUNNING"
	succeeded = "SUCCEEDED"
)

// An event is something that happens later.
type event struct {
	ID, Type, Status string
	Payload          map[string]any
	Created          time.Time

	polls int
	do    func()
}

func (p *Platform) later(kind string, payload map[string]any, do func()) answer {
	e := &event{ID: uuid.NewString(), Type: kind, Status: pending, Payload: payload, Created: time.Now(), do: do}
	p.events[e.ID] = e
	return answer{http.StatusOK, map[string]any{"message": "Delete in progress. This may take some time.", "event_id": e.ID}}
}

func (p *Platform) deleteOne(r *http.Request, body []byte) answer {
	if a := p.get(r, body); a.status != http.StatusOK {
		return a
	}
	p.remove(r.PathValue("id"))
	return answer{http.StatusOK, map[string]any{"message": "Memory deleted successfully!"}}
}

func (p *Platform) remove(id string) {
	if p.Stays == nil || !p.Stays(id) {
		delete(p.rows, id)
	}
}

func (p *Platform) deleteBatch(_ *http.Request, body []byte) answer {
	var b struct {
		Memories []struct {
			ID string `json:"memory_id"`
		} `json:"memories"`
	}
	switch err := json.Unmarshal(body, &b); {
	case err != nil, len(b.Memories) == 0:
		return bad("memories is required")
	case len(b.Memories) > 1000:
		return bad("Maximum of 1000 memories can be deleted in a single request")
	}
	for _, m := range b.Memories {
		if uuid.Validate(m.ID) != nil {
			return bad("memory_id should be a valid UUID")
		}
	}
	for _, m := range b.Memories {
		if p.Poison != nil && p.Poison(m.ID) {
			return answer{http.StatusInternalServerError, map[string]any{"error": "failed at " + m.ID}}
		}
	}
	for _, m := range b.Memories {
		p.remove(m.ID)
	}
	return answer{http.StatusOK, map[string]any{"message": fmt.Sprintf("Successfully deleted %d memories", len(b.Memories))}}
}

func (p *Platform) deleteByFilter(r *http.Request, _ []byte) answer {
	want := map[string]string{}
	for _, key := range []string{"user_id", "agent_id", "app_id", "run_id"} {
		if v := r.URL.Query().Get(key); v != "" {
			want[key] = v
		}
	}
	if len(want) == 0 {
		return bad("at least one filter is required")
	}
	return p.later("DELETE", nil, func() {
		for _, row := range p.newest() {
			ok := true
			for key, v := range want {
				have := row.of(key)
				ok = ok && (have == v || v == "*" && have != "")
			}
			if ok {
				p.remove(row.ID)
			}
		}
	})
}

func (p *Platform) listEntities(r *http.Request, _ []byte) answer {
	all := slices.SortedFunc(maps.Keys(p.entities), func(a, b entity) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.name, b.name))
	})
	some, next, ok := page(r, all, entityPage, mostEntities)
	if !ok {
		return bad("page is out of range")
	}
	results := make([]any, len(some))
	for i, e := range some {
		at := p.entities[e].UTC().Format(time.RFC3339)
		results[i] = map[string]any{
			"id": strconv.Itoa(i + 1), "name": e.name, "type": e.kind, "created_at": at, "updated_at": at, "owner": "owner@example.org", "metadata": nil,
		}
	}
	return answer{http.StatusOK, envelope(len(all), next, results)}
}

// deleteEntity deletes an entity later, with all its memories.
func (p *Platform) deleteEntity(r *http.Request, _ []byte) answer {
	e := entity{r.PathValue("type"), r.PathValue("name")}
	if !slices.Contains([]string{"user", "agent", "app", "run"}, e.kind) {
		return answer{http.StatusBadRequest, map[string]any{"message": "Invalid entity type"}}
	}
	if _, ok := p.entities[e]; !ok {
		return answer{http.StatusNotFound, map[string]any{"error": "Entity not found"}}
	}
	return p.later("DELETE", map[string]any{e.kind + "_id": e.name}, func() {
		for _, row := range p.newest() {
			if slices.Contains(row.entities(), e) {
				p.remove(row.ID)
			}
		}
		delete(p.entities, e)
	})
}

func (p *Platform) getEvent(r *http.Request, _ []byte) answer {
	e, ok := p.events[r.PathValue("id")]
	if !ok {
		return answer{http.StatusNotFound, map[string]any{"error": "Event not found or you don't have permission to access it."}}
	}
	if e.do != nil {
		e.polls++
		e.Status = running
		if end := cmp.Or(p.EventEnd, succeeded); e.polls >= p.EventPolls && end != running {
			if e.Status = end; end == succeeded {
				e.do()
			}
			e.do = nil
		}
	}
	return answer{http.StatusOK, e.wire()}
}

func (p *Platform) listEvents(r *http.Request, _ []byte) answer {
	all := slices.SortedFunc(maps.Values(p.events), func(a, b *event) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	if kind := r.URL.Query().Get("event_type"); kind != "" {
		all = slices.DeleteFunc(all, func(e *event) bool { return e.Type != kind })
	}
	some, next, ok := page(r, all, eventPage, mostEvents)
	if !ok {
		return bad("page is out of range")
	}
	results := make([]any, len(some))
	for i, e := range some {
		results[i] = e.wire()
	}
	return answer{http.StatusOK, envelope(len(all), next, results)}
}

func (e *event) wire() map[string]any {
	return map[string]any{
		"id": e.ID, "event_type": e.Type, "status": e.Status, "payload": e.Payload, "metadata": nil, "results": nil,
		"created_at": e.Created.UTC().Format(time.RFC3339), "latency": nil, "error": nil,
	}
}

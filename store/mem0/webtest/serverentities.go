package webtest

import (
	"maps"
	"net/http"
	"slices"
)

// entitiesOf counts memories by user, agent and run. What the server calls
// entities here are those, and not the things that memories mention.
func (s *Server) entitiesOf(r *http.Request) serverAnswer {
	if refused := s.admit(r, false); refused != nil {
		return *refused
	}
	count := map[string]map[string]int{"user": {}, "agent": {}, "run": {}}
	for _, m := range s.rows[:min(len(s.rows), ServerScanMost)] {
		for kind, id := range map[string]string{"user": m.UserID, "agent": m.AgentID, "run": m.RunID} {
			if id != "" {
				count[kind][id]++
			}
		}
	}
	list := []any{}
	for _, kind := range []string{"agent", "run", "user"} {
		for _, id := range slices.Sorted(maps.Keys(count[kind])) {
			list = append(list, map[string]any{
				"id": id, "type": kind, "total_memories": count[kind][id],
				"created_at": "2026-11-01T08:00:00Z", "updated_at": "2026-11-01T08:00:00Z",
			})
		}
	}
	return serverAnswer{http.StatusOK, list}
}

// The routes that delete without naming a memory. They are here so that a test
// can show that nobody asks for them.

func (s *Server) deleteAll(r *http.Request) serverAnswer {
	if refused := s.admit(r, true); refused != nil {
		return *refused
	}
	names, fine := serverScope(r.URL.Query())
	if len(names) == 0 {
		return serverDetail(http.StatusBadRequest, "At least one identifier is required.")
	}
	if !fine {
		return s.upstream("unknown")
	}
	s.removeAll(names)
	return serverAnswer{http.StatusOK, map[string]string{"message": "All relevant memories deleted"}}
}

func (s *Server) deleteEntity(r *http.Request, kind, id string) serverAnswer {
	if refused := s.admit(r, true); refused != nil {
		return *refused
	}
	if kind != "user" && kind != "agent" && kind != "run" {
		return serverAnswer{http.StatusUnprocessableEntity, map[string]any{"detail": []any{map[string]any{
			"type": "literal_error", "loc": []string{"path", "entity_type"}, "msg": "Input should be 'user', 'agent' or 'run'", "input": kind,
		}}}}
	}
	name, fine := trimmed(id)
	if !fine {
		return s.upstream("unknown")
	}
	s.removeAll(map[string]string{kind + "_id": name})
	return serverAnswer{http.StatusOK, map[string]string{"message": "Entity deleted"}}
}

func (s *Server) removeAll(names map[string]string) {
	for _, m := range slices.Clone(s.rows) {
		if m.named(names) {
			s.remove(m.ID)
		}
	}
}

func (s *Server) reset(r *http.Request) serverAnswer {
	if refused := s.admit(r, true); refused != nil {
		return *refused
	}
	s.rows, s.history, s.messages = nil, map[string][]ServerHistory{}, nil
	return serverAnswer{http.StatusOK, map[string]string{"message": "All memories reset"}}
}

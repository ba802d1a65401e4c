package webtest

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A serverAnswer is a status and what is written as JSON.
type serverAnswer struct {
	status int
	body   any
}

func serverDetail(status int, text string) serverAnswer {
	return serverAnswer{status, map[string]string{"detail": text}}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	before, slow := s.faults.Before, s.faults.Slow
	s.mu.Unlock()
	if before != nil {
		before(r)
	}
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
			return
		}
	}
	a, k := s.answer(r)
	if k.before || k.after {
		panic(http.ErrAbortHandler)
	}
	if k.limit {
		w.Header().Set("Retry-After", "0")
	}
	writeServer(w, a, k)
}

func writeServer(w http.ResponseWriter, a serverAnswer, k stroke) {
	text, err := json.Marshal(a.body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case k.page:
		w.Header().Set("Content-Type", "text/html")
		text = []byte("<html><body>Sign in to continue</body></html>")
	case k.alien:
		text = []byte(`{"status":"ok"}`)
	case k.malformed:
		text = text[:len(text)/2]
	}
	if a.status == http.StatusTemporaryRedirect {
		w.Header().Set("Location", a.body.(string))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // whoever asked may have left
}

// answer does what is asked and notes the call.
func (s *Server) answer(r *http.Request) (serverAnswer, stroke) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	k := s.faults.strike(r.Method)
	route, do := s.route(r)
	a := serverAnswer{http.StatusOK, nil}
	switch {
	case k.before, k.page, k.alien:
	case k.fail:
		a = s.upstream(cmp.Or(s.faults.Code, "datastore_unavailable"))
	case k.limit:
		a = serverDetail(http.StatusTooManyRequests, "Too many requests")
	default:
		a = do()
	}
	call := ServerCall{Method: r.Method, Route: route, Path: r.URL.Path, Query: r.URL.RawQuery, Status: a.status}
	if k.before || k.after {
		call.Status = 0
	}
	s.calls = append(s.calls, call)
	return a, k
}

// route finds what a request asks for, and under which name it is noted.
func (s *Server) route(r *http.Request) (string, func() serverAnswer) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	at := func(n int, name string) bool { return len(parts) == n && parts[0] == name }
	if len(parts) > 1 && parts[len(parts)-1] == "" {
		to := strings.TrimSuffix(r.URL.Path, "/")
		return to, func() serverAnswer { return serverAnswer{http.StatusTemporaryRedirect, to} }
	}
	do := map[string]func() serverAnswer{}
	route := r.URL.Path
	switch {
	case at(1, "memories"):
		do["GET"] = func() serverAnswer { return s.list(r) }
		do["DELETE"] = func() serverAnswer { return s.deleteAll(r) }
	case at(2, "memories"):
		route = "/memories/{memory_id}"
		do["GET"] = func() serverAnswer { return s.get(r, parts[1]) }
		do["DELETE"] = func() serverAnswer { return s.delete(r, parts[1]) }
	case at(3, "memories") && parts[2] == "history":
		route = "/memories/{memory_id}/history"
		do["GET"] = func() serverAnswer { return s.historyOf(r, parts[1]) }
	case at(1, "entities"):
		do["GET"] = func() serverAnswer { return s.entitiesOf(r) }
	case at(3, "entities"):
		route = "/entities/{entity_type}/{entity_id}"
		do["DELETE"] = func() serverAnswer { return s.deleteEntity(r, parts[1], parts[2]) }
	case at(1, "reset"):
		do["POST"] = func() serverAnswer { return s.reset(r) }
	default:
		return "none", func() serverAnswer { return serverDetail(http.StatusNotFound, "Not Found") }
	}
	if do[r.Method] == nil {
		return route, func() serverAnswer { return serverDetail(http.StatusMethodNotAllowed, "Method Not Allowed") }
	}
	return route, do[r.Method]
}

// admit answers whoever may not ask. It does as Mem0 does, but that a bearer
// token is one of the keys and no JWT.
func (s *Server) admit(r *http.Request, admin bool) (refused *serverAnswer) {
	no := func(status int, text string) *serverAnswer { a := serverDetail(status, text); return &a }
	bearer, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	key := cmp.Or(bearer, r.Header.Get("X-API-Key"))
	switch {
	case key == "" && s.faults.AuthDisabled:
		return nil
	case key == "":
		return no(http.StatusUnauthorized, "Authentication required. Provide a Bearer token or X-API-Key header.")
	case s.faults.Locked || key != ServerAdminKey && key != ServerUserKey:
		if isBearer {
			return no(http.StatusUnauthorized, "Invalid or expired token.")
		}
		return no(http.StatusUnauthorized, "Invalid API key.")
	case admin && key != ServerAdminKey:
		return no(http.StatusForbidden, "Admin role required.")
	}
	return nil
}

// isUUID reports whether the driver takes id for a key of the table.
func isUUID(id string) bool {
	digits := strings.ReplaceAll(id, "-", "")
	_, err := hex.DecodeString(digits)
	return err == nil && len(digits) == 32
}

// trimmed is what Mem0 makes of a name that it is asked for, or false for one
// that it refuses.
func trimmed(name string) (string, bool) {
	name = strings.TrimFunc(name, unicode.IsSpace)
	return name, name != "" && strings.IndexFunc(name, unicode.IsSpace) < 0
}

// serverScope reads the names of a query. Empty ones are as if they were not there.
func serverScope(q url.Values) (scope map[string]string, ok bool) {
	scope, ok = map[string]string{}, true
	for _, k := range []string{"user_id", "agent_id", "run_id"} {
		if q.Get(k) == "" {
			continue
		}
		name, fine := trimmed(q.Get(k))
		scope[k], ok = name, ok && fine
	}
	return scope, ok
}

func (s *Server) list(r *http.Request) serverAnswer {
	q := r.URL.Query()
	names, fine := serverScope(q)
	if refused := s.admit(r, false); refused != nil {
		return *refused
	}
	if s.admit(r, true) != nil && len(names) == 0 {
		return serverDetail(http.StatusForbidden, "Admin role required to list all memories.")
	}
	most := ServerListDefault
	if len(names) == 0 {
		most = ServerListMost
	}
	if q.Has("top_k") {
		n, err := strconv.Atoi(q.Get("top_k"))
		if err != nil || n < 0 || n > ServerListMost {
			return serverAnswer{http.StatusUnprocessableEntity, map[string]any{"detail": []any{map[string]any{
				"type": "less_than_equal", "loc": []string{"query", "top_k"}, "msg": "Input should be less than or equal to 1000",
				"input": q.Get("top_k"), "ctx": map[string]int{"le": ServerListMost},
			}}}}
		}
		most = n
	}
	if !fine { // a ValueError, which the server takes for a fault behind it
		return s.upstream("unknown")
	}
	hidden := len(names) > 0 && !slices.Contains([]string{"true", "1", "yes", "on"}, strings.ToLower(q.Get("show_expired")))
	results := []any{}
	for i := range s.rows {
		m := &s.rows[i]
		if len(results) == most {
			break
		}
		switch {
		case !m.named(names), hidden && m.expired(time.Now()):
		case len(names) == 0:
			results = append(results, m.raw())
		default:
			results = append(results, m.scoped())
		}
	}
	return serverAnswer{http.StatusOK, map[string]any{"results": results}}
}

func (s *Server) get(r *http.Request, id string) serverAnswer {
	if refused := s.admit(r, false); refused != nil {
		return *refused
	}
	if !isUUID(id) { // the driver's error
		return s.upstream("unknown")
	}
	id = strings.ToLower(id) // the column is a UUID
	for i := range s.rows {
		if s.rows[i].ID == id {
			return serverAnswer{http.StatusOK, s.rows[i].scoped()}
		}
	}
	return serverAnswer{http.StatusOK, nil}
}

func (s *Server) delete(r *http.Request, id string) serverAnswer {
	if refused := s.admit(r, false); refused != nil {
		return *refused
	}
	s.add(s.faults.Arrive)
	s.faults.Arrive = nil
	if !isUUID(id) || s.faults.Poison[id] {
		return s.upstream("unknown")
	}
	done := serverAnswer{http.StatusOK, map[string]string{"message": "Memory deleted successfully"}}
	if s.faults.Lie > 0 {
		s.faults.Lie--
		return done
	}
	id = strings.ToLower(id)
	if !s.has(id) {
		return serverDetail(http.StatusNotFound, "Memory with id "+id+" not found")
	}
	s.mu.Unlock() // two deletes of one memory can both find it, and both say deleted
	runtime.Gosched()
	s.mu.Lock()
	s.remove(id)
	return done
}

func (s *Server) historyOf(r *http.Request, id string) serverAnswer {
	if refused := s.admit(r, false); refused != nil {
		return *refused
	}
	lines := []any{}
	for i, l := range s.history[id] {
		line := map[string]any{
			"id": id[:8] + "-" + strconv.Itoa(i), "memory_id": id, "old_memory": nil, "new_memory": nil,
			"event": l.Event, "is_deleted": l.Event == "DELETE",
		}
		if l.Event == "DELETE" {
			line["old_memory"] = l.Old
		} else {
			line["new_memory"] = l.New
		}
		lines = append(lines, line)
	}
	return serverAnswer{http.StatusOK, lines}
}

package tables

import (
	"errors"
	"slices"
	"strings"

	"lethe/store"
)

var errScope = errors.New("not a session scope")

// ParseScope reads a session scope as Mem0 writes it: the keys agent_id,
// run_id and user_id that are present, in this order, as key=value joined by
// "&", with "%", "&" and "=" in values written %25, %26 and %3D. Whatever
// [FormatScope] would have written differently is an error: it could mean
// several people.
func ParseScope(s string) (map[string]string, error) {
	scope := make(map[string]string, 3)
	last := ""
	for part := range strings.SplitSeq(s, "&") {
		key, value, ok := strings.Cut(part, "=")
		known := key == "agent_id" || key == "run_id" || key == "user_id"
		if !ok || !known || key <= last || value == "" || strings.Contains(value, "=") {
			return nil, errScope
		}
		raw := strings.NewReplacer("%25", "%", "%26", "&", "%3D", "=").Replace(value)
		if escape(raw) != value {
			return nil, errScope
		}
		scope[key], last = raw, key
	}
	return scope, nil
}

// FormatScope writes a session scope of the non-empty ones of its arguments.
func FormatScope(agentID, runID, userID string) string {
	var parts []string
	for _, f := range [][2]string{{"agent_id", agentID}, {"run_id", runID}, {"user_id", userID}} {
		if f[1] != "" {
			parts = append(parts, f[0]+"="+escape(f[1]))
		}
	}
	return strings.Join(parts, "&")
}

func escape(v string) string {
	return strings.NewReplacer("%", "%25", "&", "%26", "=", "%3D").Replace(v)
}

// Unreached implements store.Limiter: it names the places whose rows lack a key
// that sel has.
func (s *Store) Unreached(sel store.Selector) []string {
	if sel.Orphaned {
		return unhung(s.places(), slices.ContainsFunc(s.parts, func(p *part) bool { return p.With != "" }))
	}
	var names []string
	for _, name := range s.places() {
		parts := s.named(name)
		if len(parts) > 0 && !slices.ContainsFunc(parts, func(p *part) bool { return p.reaches(sel) }) {
			names = append(names, name)
		}
	}
	return names
}

// unhung returns all places if nothing hangs on anything, so that nothing can be
// orphaned, and else none.
func unhung(places []string, hangs bool) []string {
	if hangs {
		return nil
	}
	return places
}

func (p *part) reaches(sel store.Selector) bool {
	switch {
	case sel.ByID():
		return p.Explicit
	case !p.dates(sel):
		return false
	case p.Scope != "": // a session is tied to users, agents and runs, and to nothing else
		return len(sel.Metadata) == 0 && sel.AppID == ""
	default:
		_, ok := p.match(sel)
		return ok
	}
}

// inScope reports whether every identity key of sel is in the scope with the
// same value. A session has no metadata and no app, so a selector that asks
// for them selects no session.
func inScope(scope string, sel store.Selector) bool {
	if len(sel.Metadata) > 0 || sel.ByID() {
		return false
	}
	if len(sel.Identity()) == 0 {
		return sel.ByAge() // which does not ask whose a session is
	}
	keys, err := ParseScope(scope)
	if err != nil {
		return false
	}
	for _, f := range sel.Identity() {
		if v, ok := keys[f.Name]; !ok || v != f.Value {
			return false
		}
	}
	return true
}

package storetest

import (
	"slices"

	"lethe/store"
)

// A Record is one memory to put into a store, as its application would.
type Record struct {
	ID                            string
	UserID, AgentID, AppID, RunID string
	Metadata                      map[string]store.Value
	Text                          string
	Entities                      []string // texts of things the memory mentions
	Message                       bool     // the raw message is kept too

	// What the application says about when the memory, and its message, was made,
	// and when the memory ends, as it writes it; "" for nothing.
	Created, Expires string

	// About is the user, or the memory, that the record is related to although
	// it does not match them: see store.Selector.Related. Memory alone knows.
	About string
}

// related reports whether r is about who sel selects, and does not match.
func (r Record) related(sel store.Selector) bool {
	if r.About == "" {
		return false
	}
	if sel.ByID() {
		return slices.Contains(sel.IDs, r.About) && !slices.Contains(sel.IDs, r.ID)
	}
	return r.About == sel.UserID && !r.selects(sel)
}

// identity is whom the memory is of.
func (r Record) identity() []store.Field {
	return store.Selector{UserID: r.UserID, AgentID: r.AgentID, AppID: r.AppID, RunID: r.RunID}.Identity()
}

// selects reports whether sel selects r, however old it is: the model that stores
// are held to.
func (r Record) selects(sel store.Selector) bool {
	mine := map[string]string{"user_id": r.UserID, "agent_id": r.AgentID, "app_id": r.AppID, "run_id": r.RunID}
	for _, f := range sel.Identity() {
		if mine[f.Name] != f.Value {
			return false
		}
	}
	for k, v := range sel.Metadata {
		if r.Metadata[k] != v {
			return false
		}
	}
	return true
}

package web

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/store"
)

// A serverRow is a memory as the server shows it. Its metadata is what its
// payload has besides Mem0's own keys.
type serverRow struct {
	ID string `json:"id"`

	UserID   jsontext.Value            `json:"user_id"`
	AgentID  jsontext.Value            `json:"agent_id"`
	RunID    jsontext.Value            `json:"run_id"`
	Metadata map[string]jsontext.Value `json:"metadata"`

	// Keys of the payload that the server shows beside the metadata.
	AppID      jsontext.Value `json:"app_id"`
	ActorID    jsontext.Value `json:"actor_id"`
	Role       jsontext.Value `json:"role"`
	Attributed jsontext.Value `json:"attributed_to"`
	Expires    jsontext.Value `json:"expiration_date"`
}

// selectedBy reports whether sel, which lists no IDs, selects the row: exactly
// and by type, whatever the server has listed.
func (r *serverRow) selectedBy(sel store.Selector) bool {
	mine := map[string]jsontext.Value{"user_id": r.UserID, "agent_id": r.AgentID, "run_id": r.RunID, "app_id": r.member("app_id")}
	for _, f := range sel.Identity() {
		if !namedBy(mine[f.Name], f.Value) {
			return false
		}
	}
	for k, v := range sel.Metadata {
		if got, ok := scalarOf(r.member(k)); !ok || got != v {
			return false
		}
	}
	return true
}

// member returns what the payload has under a key that is not an identity's.
func (r *serverRow) member(key string) jsontext.Value {
	if v, ok := r.Metadata[key]; ok {
		return v
	}
	return map[string]jsontext.Value{
		"app_id": r.AppID, "actor_id": r.ActorID, "role": r.Role, "attributed_to": r.Attributed, "expiration_date": r.Expires,
	}[key]
}

// namedBy reports whether a member is the name. Old payloads have numbers for
// names, which the server compares as text.
func namedBy(member jsontext.Value, name string) bool {
	if member.Kind() == '0' {
		return string(member) == name
	}
	v, ok := scalarOf(member)
	return ok && v == store.StringValue(name)
}

// scalarOf reads a string, number or boolean.
func scalarOf(text jsontext.Value) (store.Value, bool) {
	switch text.Kind() {
	case '"':
		var s string
		err := json.Unmarshal(text, &s)
		return store.StringValue(s), err == nil
	case '0':
		v, err := store.NumberValue(string(text))
		return v, err == nil
	case 't', 'f':
		return store.BoolValue(text.Kind() == 't'), true
	}
	return store.Value{}, false
}

// serverRows is a list of memories.
type serverRows struct {
	Results []serverRow `json:"results"`
}

func (l *serverRows) lacks() string {
	if l.Results == nil {
		return "results"
	}
	for _, r := range l.Results {
		if ids := serverIDs([]string{r.ID}); len(ids) != 1 || ids[0] != r.ID {
			return "id"
		}
	}
	return ""
}

// A serverFault is what the server says of an error.
type serverFault struct {
	Detail jsontext.Value `json:"detail"`
	Code   string         `json:"code"` // of a 502
}

// explainServer reads what the server says of an error. Only words of its own
// are repeated.
func explainServer(text []byte, err error) error {
	var f serverFault
	_ = json.Unmarshal(text, &f) // what is no JSON says nothing
	detail, _ := scalarOf(f.Detail)
	said, _ := detail.Any().(string)
	switch {
	case errors.Is(err, errNotFound):
		if !strings.HasPrefix(said, "Memory with id ") || !strings.HasSuffix(said, " not found") {
			return errServerRoute
		}
	case said == "Admin role required to list all memories.":
		return errServerAdmin
	case f.Code == "unknown":
		return errServerUnknown
	case errors.Is(err, store.ErrUnavailable) && serverCodes[f.Code] != "":
		return errors.Join(err, errors.New(serverCodes[f.Code]))
	}
	return err
}

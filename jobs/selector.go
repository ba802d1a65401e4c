package jobs

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/audit/proof"
	"lethe/store"
)

// EncodeSelector returns the canonical JSON of a Selector, as
// [proof.CanonicalSelector] spells it and without empty members. It is what
// the subject commitment in the log covers, so that the asker can open it with
// the selector that he gave.
func EncodeSelector(s store.Selector) ([]byte, error) {
	members := map[string]any{}
	if len(s.IDs) > 0 {
		members["ids"] = s.IDs
	}
	for _, f := range s.Identity() {
		members[f.Name] = f.Value
	}
	if len(s.Metadata) > 0 {
		metadata := map[string]any{}
		for k, v := range s.Metadata {
			metadata[k] = v.Any()
		}
		members["metadata"] = metadata
	}
	for name, t := range map[string]time.Time{"created_before": s.CreatedBefore, "expired_before": s.ExpiredBefore} {
		if !t.IsZero() {
			members[name] = t.UTC().Format(cutOff)
		}
	}
	if s.Orphaned {
		members["orphaned"] = true
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("encode selector: %w", err)
	}
	return proof.CanonicalSelector(text)
}

// cutOff is how a cut-off is written: to the millisecond, as a Policy has it.
const cutOff = "2006-01-02T15:04:05.000Z"

// DecodeSelector reverses EncodeSelector.
func DecodeSelector(text []byte) (store.Selector, error) {
	var wire struct {
		IDs      []string                  `json:"ids"`
		UserID   string                    `json:"user_id"`
		AgentID  string                    `json:"agent_id"`
		AppID    string                    `json:"app_id"`
		RunID    string                    `json:"run_id"`
		Metadata map[string]jsontext.Value `json:"metadata"`

		CreatedBefore string `json:"created_before"`
		ExpiredBefore string `json:"expired_before"`
		Orphaned      bool   `json:"orphaned"`
	}
	if err := json.Unmarshal(text, &wire, json.RejectUnknownMembers(true)); err != nil {
		return store.Selector{}, errors.New("decode selector: malformed") // the cause would quote it
	}
	s := store.Selector{IDs: wire.IDs, UserID: wire.UserID, AgentID: wire.AgentID, AppID: wire.AppID, RunID: wire.RunID}
	s.Orphaned = wire.Orphaned
	for _, c := range []struct {
		text string
		to   *time.Time
	}{{wire.CreatedBefore, &s.CreatedBefore}, {wire.ExpiredBefore, &s.ExpiredBefore}} {
		if c.text == "" {
			continue
		}
		var err error
		if *c.to, err = time.Parse(cutOff, c.text); err != nil {
			return store.Selector{}, errors.New("decode selector: malformed")
		}
	}
	for k, raw := range wire.Metadata {
		v, err := decodeValue(raw)
		if err != nil {
			return store.Selector{}, err
		}
		if s.Metadata == nil {
			s.Metadata = map[string]store.Value{}
		}
		s.Metadata[k] = v
	}
	return s, nil
}

func decodeValue(raw jsontext.Value) (store.Value, error) {
	switch raw.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return store.Value{}, errors.New("decode selector: malformed")
		}
		return store.StringValue(string(text)), nil
	case 't', 'f':
		return store.BoolValue(raw.Kind() == 't'), nil
	case '0':
		return store.NumberValue(strings.TrimSpace(string(raw)))
	default:
		return store.Value{}, errors.New("decode selector: malformed")
	}
}

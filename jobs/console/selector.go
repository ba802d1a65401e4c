package console

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"lethe/store"
)

// readSelector reads the part of a form that says who or what is meant. An
// empty field was not filled in. Values are taken exactly as typed: a space at
// an end is somebody else.
func readSelector(form url.Values) (store.Selector, error) {
	s := store.Selector{UserID: form.Get("user_id"), AgentID: form.Get("agent_id"), AppID: form.Get("app_id"), RunID: form.Get("run_id")}
	for _, line := range lines(form.Get("ids")) {
		s.IDs = append(s.IDs, strings.TrimSpace(line))
	}
	if len(s.IDs) > store.MaxBatch {
		return s, &store.FieldError{Field: "selector.ids", Problem: fmt.Sprintf("must be at most %d here; file more with lethe submit --ids-file", store.MaxBatch)}
	}
	for _, line := range lines(form.Get("metadata")) {
		key, text, ok := strings.Cut(line, "=")
		if _, twice := s.Metadata[key]; !ok || twice {
			return s, &store.FieldError{Field: "selector.metadata", Problem: "must be one KEY=VALUE a line, each KEY once"}
		}
		v, err := metadataValue(text)
		if err != nil {
			return s, &store.FieldError{Field: "selector.metadata", Problem: "must have numbers that a float64 can hold"}
		}
		if s.Metadata == nil {
			s.Metadata = map[string]store.Value{}
		}
		s.Metadata[key] = v
	}
	return s, s.Validate()
}

// lines returns the lines of a text field that are not blank.
func lines(text string) (list []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			list = append(list, line)
		}
	}
	return list
}

// metadataValue reads a VALUE as the command line does: a JSON number, true,
// false or a quoted string is taken as that, anything else as a string.
func metadataValue(text string) (store.Value, error) {
	if strings.TrimSpace(text) != text || !json.Valid([]byte(text)) {
		return store.StringValue(text), nil
	}
	switch {
	case text == "true" || text == "false":
		return store.BoolValue(text == "true"), nil
	case text[0] == '"':
		var s string
		err := json.Unmarshal([]byte(text), &s)
		return store.StringValue(s), err
	case text[0] == '-' || text[0] >= '0' && text[0] <= '9':
		return store.NumberValue(text)
	}
	return store.StringValue(text), nil
}

// shape says of a selector what can be said without its values.
func shape(s store.Selector) (list []string) {
	if n := len(s.IDs); n > 0 {
		list = append(list, count(n, "memory ID", "memory IDs"))
	}
	for _, f := range s.Identity() {
		text := f.Name + " of " + count(len([]rune(f.Value)), "character", "characters")
		if strings.TrimSpace(f.Value) != f.Value {
			text += ", with a space at an end"
		}
		list = append(list, text)
	}
	if n := len(s.Metadata); n > 0 {
		list = append(list, count(n, "metadata key", "metadata keys"))
	}
	return list
}

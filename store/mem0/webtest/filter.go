package webtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var errFilter = errors.New("filter")

// A filter is the filters object of a call.
type filter struct {
	root  map[string]any
	named map[string]bool // the identities that it names anywhere
}

func newFilter(raw json.RawMessage) (filter, error) {
	f := filter{named: map[string]bool{}}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&f.root); err != nil || len(f.root) == 0 {
		return f, errFilter
	}
	indexIDs(f.root)
	if _, err := f.all(f.root, &Memory{}); err != nil {
		return f, err
	}
	if len(f.named) == 0 { // "Must include at least one entity ID"
		return f, errFilter
	}
	return f, nil
}

// indexIDs makes a set of each list of memory_ids.
func indexIDs(object map[string]any) {
	for key, v := range object {
		list, _ := v.([]any)
		if key != "memory_ids" {
			for _, item := range list {
				if inner, ok := item.(map[string]any); ok {
					indexIDs(inner)
				}
			}
			continue
		}
		set := make(map[string]bool, len(list))
		for _, id := range list {
			set[fmt.Sprint(id)] = true
		}
		object[key] = set
	}
}

func lacking(ok bool) error {
	if !ok {
		return errFilter
	}
	return nil
}

// matches reports whether f lets m pass. With scoping the identities that f does
// not name must be null.
func (f filter) matches(m *Memory, scoping bool) bool {
	if scoping {
		for _, name := range identities() {
			if m.of(name) != "" && !f.named[name] {
				return false
			}
		}
	}
	ok, err := f.all(f.root, m)
	return ok && err == nil
}

// all reports whether every condition of an object holds. It looks at each, so
// that none that is wrong is passed over.
func (f filter) all(object map[string]any, m *Memory) (bool, error) {
	good := true
	for key, v := range object {
		ok, err := f.one(key, v, m)
		if err != nil {
			return false, err
		}
		good = good && ok
	}
	return good, nil
}

func (f filter) one(key string, v any, m *Memory) (bool, error) {
	switch key {
	case "AND", "OR", "NOT":
		return f.joined(key, v, m)
	case "user_id", "agent_id", "app_id", "run_id":
		f.named[key] = true
		return compare(v, m.of(key))
	case "memory_ids":
		ids, ok := v.(map[string]bool)
		return ids[m.ID], lacking(ok)
	case "metadata":
		return metadata(v, m)
	}
	return false, errFilter // an unknown key is refused
}

func (f filter) joined(key string, v any, m *Memory) (bool, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	some, every := false, true
	for _, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			return false, errFilter
		}
		holds, err := f.all(object, m)
		if err != nil {
			return false, err
		}
		some, every = some || holds, every && holds
	}
	switch key {
	case "OR":
		return some, nil
	case "NOT":
		return !some, nil
	}
	return every, nil
}

// compare reports whether an identity is as v says: equal, "*" for any that is
// not null, {"ne":…} which null is too, or {"in":[…]}.
func compare(v any, value string) (bool, error) {
	switch v := v.(type) {
	case string:
		return v == "*" && value != "" || v == value && value != "", nil
	case map[string]any:
		for op, arg := range v {
			list, isList := arg.([]any)
			switch {
			case op == "ne":
				return arg != any(value), nil
			case op == "eq":
				return arg == any(value), nil
			case op == "in" && isList:
				return slices.Contains(list, any(value)), nil
			}
		}
	}
	return false, errFilter
}

// metadata compares members as text, so that 1, "1" and 1.0 are one.
func metadata(v any, m *Memory) (bool, error) {
	want, ok := v.(map[string]any)
	if !ok || len(want) == 0 {
		return false, errFilter
	}
	var have map[string]any
	if len(m.Metadata) > 0 {
		d := json.NewDecoder(bytes.NewReader(m.Metadata))
		d.UseNumber()
		if err := d.Decode(&have); err != nil {
			return false, errFilter
		}
	}
	for key, value := range want {
		got, there := have[key]
		if !there || loose(got) != loose(value) {
			return false, nil
		}
	}
	return true, nil
}

func loose(v any) string {
	if n, ok := v.(json.Number); ok {
		if f, err := n.Float64(); err == nil {
			return fmt.Sprint(f)
		}
	}
	return strings.ToLower(fmt.Sprint(v))
}

package mem0

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/jobs/api"
	"lethe/store"
)

const howMetadata = "metadata must be a JSON object as text: metadata: JSON.stringify({…}) in JavaScript, metadata=json.dumps({…}) in Python, or metadata[key]=value in the URL"

// query returns the parameters of a call, each of which may be given once. One that
// is not known is an error: a filter that was ignored would erase more than was
// asked. Those that name an account of Mem0's are left out.
func (c call) query(known ...string) (url.Values, error) {
	given, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, refuse("the query must be well formed")
	}
	delete(given, "org_id")
	delete(given, "project_id")
	for name, values := range given {
		base, _, deep := strings.Cut(name, "[")
		switch {
		case !slices.Contains(known, base) || deep && base != "metadata":
			return nil, refuse("a parameter of this call is not known, and to ignore it could erase more than was asked; known are: %s", strings.Join(known, ", "))
		case len(values) != 1:
			return nil, refuse("%s must be given once", base)
		case values[0] == "":
			return nil, refuse("%s must not be empty", base)
		}
	}
	return given, nil
}

// selector makes a Selector of filters. None at all is the zero one.
func selector(q url.Values) (sel store.Selector, err error) {
	for name, to := range map[string]*string{"user_id": &sel.UserID, "agent_id": &sel.AgentID, "app_id": &sel.AppID, "run_id": &sel.RunID} {
		*to = q.Get(name)
	}
	if sel.Metadata, err = metadata(q); err != nil || len(q) == 0 {
		return sel, err
	}
	return sel, sel.Validate()
}

// metadata reads the filter of that name in either of Mem0's forms, JSON text or
// deepObject, but not in both.
func metadata(q url.Values) (map[string]store.Value, error) {
	deep := map[string]store.Value{}
	for name, values := range q {
		key, ok := strings.CutPrefix(name, "metadata[")
		if !ok {
			continue
		}
		key, ok = strings.CutSuffix(key, "]")
		if !ok || key == "" || strings.ContainsAny(key, "[]") {
			return nil, refuse("metadata[key]=value must have one key")
		}
		var err error
		if deep[key], err = scalar(values[0]); err != nil {
			return nil, err
		}
	}
	text := q.Get("metadata")
	switch {
	case text == "" && len(deep) == 0:
		return nil, nil
	case text == "":
		return deep, nil
	case len(deep) > 0:
		return nil, refuse("metadata must be given in one form")
	}
	value := jsontext.Value(text)
	if !value.IsValid() || value.Kind() != jsontext.KindBeginObject {
		return nil, refuse(howMetadata)
	}
	// By the rules of the native API, which also refuse an empty object.
	sel, err := api.ReadSelector(strings.NewReader(`{"metadata":`+text+`}`), nil)
	return sel.Metadata, err
}

// scalar reads a value in a URL as the command line reads one: a JSON number,
// true, false or a quoted string is taken as such, anything else as a string.
func scalar(text string) (store.Value, error) {
	value := jsontext.Value(text)
	if !value.IsValid() {
		return store.StringValue(text), nil
	}
	switch value.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		return store.BoolValue(value.Kind() == jsontext.KindTrue), nil
	case jsontext.KindNumber:
		v, err := store.NumberValue(strings.TrimSpace(text))
		if err != nil {
			return v, refuse("metadata must have numbers that a float64 can hold")
		}
		return v, nil
	case jsontext.KindString:
		plain, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return store.Value{}, refuse(howMetadata)
		}
		return store.StringValue(string(plain)), nil
	}
	return store.StringValue(text), nil
}

// flag reads a parameter that is true or false.
func flag(q url.Values, name string) (bool, error) {
	text := q.Get(name)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, refuse("%s must be true or false", name)
	}
	return on, nil
}

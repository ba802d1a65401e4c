package apitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Shown is an example that stands in a document.
type Shown struct {
	Operation string // "METHOD path"
	Status    string // of an answer; "" for a body
	Media     string
	Name      string
	Text      []byte // as it comes over the wire
}

// Examples returns what is shown of each operation, in order, and what is wrong
// with it: an example that is not of its shape, a body or an answer without one.
// Only of bytes there need be none.
func (d *Document) Examples() (shown []Shown, wrong error) {
	for _, name := range d.Operations() {
		method, path, _ := strings.Cut(name, " ")
		op := d.operation(name)
		places := map[string]string{} // by status
		if op["requestBody"] != nil {
			places[""] = "/paths/" + escape(path) + "/" + strings.ToLower(method) + "/requestBody"
		}
		for status := range object(op, "responses") {
			places[status] = d.response(op, name, status)
		}
		for _, status := range slices.Sorted(maps.Keys(places)) {
			for media, content := range object(d.at(places[status]), "content") {
				examples := object(content, "examples")
				if len(examples) == 0 && media != "application/octet-stream" {
					wrong = errors.Join(wrong, fmt.Errorf("%s %s: no example of %s", name, status, media))
				}
				for _, e := range slices.Sorted(maps.Keys(examples)) {
					s := Shown{name, status, media, e, text(object(examples, e)["value"])}
					shown = append(shown, s)
					if err := d.fits(places[status]+"/content/"+escape(media), media, s.Text); err != nil {
						wrong = errors.Join(wrong, fmt.Errorf("%s %s: example %s: %w", name, status, e, err))
					}
				}
			}
		}
	}
	return shown, wrong
}

// text returns the text of a value: a string is text itself, unless it is JSON.
func text(v any) []byte {
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	b, err := json.Marshal(v)
	if err != nil { // it was read from JSON
		panic(err)
	}
	return b
}

// Enums returns the enumerations of a document by the JSON pointer of their
// schema.
func (d *Document) Enums() map[string][]string {
	found := map[string][]string{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				values, isEnum := inner.([]any)
				switch {
				case name == "enum" && isEnum:
					for _, value := range values {
						found[at] = append(found[at], fmt.Sprint(value))
					}
				case name != "examples" && name != "example":
					walk(at+"/"+escape(name), inner)
				}
			}
		case []any:
			for i, inner := range v {
				walk(fmt.Sprintf("%s/%d", at, i), inner)
			}
		}
	}
	walk("", d.Root)
	return found
}

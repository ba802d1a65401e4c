package apitest

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed openapi-3.1.json
var openAPI31 []byte

const (
	here       = "https://lethe.invalid/openapi.json"
	metaSchema = "https://json-schema.org/draft/2020-12/schema"
)

// A Document is an OpenAPI document and what was seen of the calls that it
// describes. It may be used concurrently.
type Document struct {
	Root  map[string]any // as JSON
	paths []string       // the more exact before the less

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	seen     map[string]map[int]int // calls by operation and status
}

// Read takes a document in YAML. An error says what is not OpenAPI 3.1 in it.
func Read(text []byte) (*Document, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	d := &Document{seen: map[string]map[int]int{}}
	d.Root, _ = root.(map[string]any)
	if err := d.validate(); err != nil {
		return nil, err
	}
	d.paths = slices.SortedFunc(maps.Keys(object(d.Root, "paths")), func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "{", "~"), strings.ReplaceAll(b, "{", "~"))
	})
	seal(d.Root["components"])
	d.compiler = jsonschema.NewCompiler()
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource(here, root)
}

// validate compares the document with what OpenAPI and JSON Schema say.
func (d *Document) validate() error {
	spec, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI31))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("https://spec.openapis.org/oas/3.1/schema/2022-10-07", spec); err != nil {
		return err
	}
	whole, err := c.Compile("https://spec.openapis.org/oas/3.1/schema/2022-10-07")
	if err != nil {
		return err
	}
	if err := whole.Validate(d.Root); err != nil {
		return fmt.Errorf("not OpenAPI 3.1: %w", err)
	}
	meta, err := c.Compile(metaSchema)
	if err != nil {
		return err
	}
	for at, schema := range schemas("", d.Root) {
		if err := meta.Validate(schema); err != nil {
			return fmt.Errorf("not JSON Schema 2020-12 at %s: %w", at, err)
		}
	}
	return nil
}

// schemas returns what stands in a document as a schema, by its JSON pointer.
func schemas(at string, v any) map[string]any {
	found := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			p := at + "/" + escape(name)
			switch {
			case name == "schema" || at == "/components/schemas":
				found[p] = inner
			case name != "examples" && name != "example":
				maps.Copy(found, schemas(p, inner))
			}
		}
	case []any:
		for i, inner := range v {
			maps.Copy(found, schemas(fmt.Sprintf("%s/%d", at, i), inner))
		}
	}
	return found
}

// seal forbids, in every schema of an object that says nothing of it, what is not
// documented.
func seal(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			seal(inner)
		}
		if _, isObject := v["properties"].(map[string]any); isObject && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
	case []any:
		for _, inner := range v {
			seal(inner)
		}
	}
}

// Operations returns "METHOD path" of every operation, sorted.
func (d *Document) Operations() []string {
	var all []string
	for path, item := range object(d.Root, "paths") {
		for method := range object(item) {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// Statuses returns those that an operation is documented to answer, without
// "default", sorted.
func (d *Document) Statuses(operation string) []string {
	all := slices.Sorted(maps.Keys(object(d.operation(operation), "responses")))
	return slices.DeleteFunc(all, func(s string) bool { return s == "default" })
}

// Seen returns the statuses with which calls of an operation were answered,
// sorted.
func (d *Document) Seen(operation string) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.seen[operation]))
}

// Calls returns how many calls of an operation were answered.
func (d *Document) Calls(operation string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, times := range d.seen[operation] {
		n += times
	}
	return n
}

// ID returns the operationId of an operation.
func (d *Document) ID(operation string) string {
	id, _ := d.operation(operation)["operationId"].(string)
	return id
}

func (d *Document) operation(name string) map[string]any {
	method, path, _ := strings.Cut(name, " ")
	return object(d.Root, "paths", path, strings.ToLower(method))
}

// find returns the operation that a call is one of, or "". A path that ends with a
// slash in the document may be asked for without it.
func (d *Document) find(method, asked string) string {
	if method != strings.ToUpper(method) {
		return "" // methods are told apart by case (RFC 9110, section 9.1)
	}
	for _, template := range d.paths {
		given := asked
		if strings.HasSuffix(template, "/") {
			given = strings.TrimSuffix(asked, "/") + "/"
		}
		if path.Clean(asked)+"/" == strings.TrimSuffix(asked, "/")+"/" && fits(template, given) && object(d.Root, "paths", template, strings.ToLower(method)) != nil {
			return method + " " + template
		}
	}
	return ""
}

// fits compares segment by segment; those of a slash at the end are empty. The parameter {path} takes all that is left.
func fits(template, path string) bool {
	wants, gots := strings.Split(template, "/"), strings.Split(path, "/")
	for i, want := range wants {
		switch {
		case i >= len(gots):
			return false
		case want == "{path}":
			return true
		case strings.HasPrefix(want, "{") && gots[i] != "":
		case want != gots[i]:
			return false
		}
	}
	return len(wants) == len(gots)
}

// object returns what stands at names beneath v, if it is an object.
func object(v any, names ...string) map[string]any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	m, _ := v.(map[string]any)
	return m
}

func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

package api

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/jobs"
)

// An Operation is one call as the OpenAPI document tells of it. The routes of
// this package make theirs themselves; other doors give theirs in
// Options.Operations. What stands in it is constant: nothing of it may come from
// a request.
type Operation struct {
	Method string // upper case
	Path   string // as the document shows it, with parameters in braces, such as /v1/requests/{id}
	ID     string // operationId, unique in the document
	Tag    string // the heading it stands under; "" for none

	Summary, Description string

	May     jobs.Act // what it is for, which says whom it is for; jobs.ActOpen needs no token
	Schemes []string // ways to show a token, one of which is enough; none for SchemeBearer alone

	Params   []Param // those of Path need not stand here: they are strings
	Body     *Body   // nil if it takes none
	Answers  []Answer
	Problems []int // statuses that are answered with a Problem, see Answers for others
}

// A Param is a parameter of an Operation.
type Param struct {
	In, Name    string // In is path, query or header
	Description string
	Required    bool         // those of paths are required whatever stands here
	Schema      *huma.Schema // nil for a string
	Example     any          // nil for none
}

// A Body is what an Operation takes.
type Body struct {
	Media    string // "" for application/json
	Optional bool
	Shape    any // see Answer
	Examples []Example
}

// An Answer is one answer of an Operation. Two may have the same status with
// different media.
type Answer struct {
	Status      int
	Description string // "" for the text of the status
	Media       string // "" for application/json

	// Shape says what it looks like: a *huma.Schema, or a value of the type that
	// is encoded, whose JSON and huma tags say the rest. Nil means text.
	Shape any

	Headers  []Param // In is not looked at
	Examples []Example
}

// An Example is a body or an answer as it may come: a string for text, or what
// encodes as JSON. Tests check it against its Shape.
type Example struct {
	Name    string // unique among its neighbours
	Summary string
	Value   any
}

// Ways to show a token.
const (
	SchemeBearer = "token"      // Authorization: Bearer TOKEN
	SchemeMem0   = "mem0-token" // Authorization: Token TOKEN, as clients of the Mem0 Platform say it
	SchemeKey    = "mem0-key"   // X-API-Key: TOKEN, as clients of the self-hosted Mem0 server say it
)

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
	responses    = "#/components/responses/"
)

// describe returns what the document says of an operation.
func describe(schemas huma.Registry, o Operation) *huma.Operation {
	op := &huma.Operation{
		Method: o.Method, Path: o.Path, OperationID: o.ID, Summary: o.Summary, Description: o.Description,
		Responses: map[string]*huma.Response{},
		Security:  []map[string][]string{},
	}
	if o.Tag != "" {
		op.Tags = []string{o.Tag}
	}
	if o.May != jobs.ActOpen {
		for _, scheme := range o.schemes() {
			op.Security = append(op.Security, map[string][]string{scheme: {}})
		}
		op.Description = strings.TrimSpace(op.Description + " For the roles: " + rolesOf(o.May) + ".")
	}
	for _, p := range o.params() {
		op.Parameters = append(op.Parameters, parameter(p))
	}
	if o.Body != nil {
		op.RequestBody = &huma.RequestBody{
			Required: !o.Body.Optional,
			Content:  map[string]*huma.MediaType{cmp.Or(o.Body.Media, mediaJSON): content(schemas, o.Body.Shape, o.Body.Examples)},
		}
	}
	for _, a := range o.Answers {
		addAnswer(schemas, op, a)
	}
	for _, status := range o.Problems {
		addProblem(schemas, op, status)
	}
	op.Responses["default"] = &huma.Response{Ref: responses + "Problem"}
	return op
}

func (o Operation) schemes() []string {
	if len(o.Schemes) == 0 {
		return []string{SchemeBearer}
	}
	return o.Schemes
}

// params returns those of the path, in its order, and then the others.
func (o Operation) params() []Param {
	var all []Param
	for _, segment := range strings.Split(o.Path, "/") {
		name, ok := strings.CutPrefix(segment, "{")
		name = strings.TrimSuffix(name, "}")
		if ok && !slices.ContainsFunc(o.Params, func(p Param) bool { return p.In == "path" && p.Name == name }) {
			all = append(all, Param{In: "path", Name: name})
		}
	}
	return append(all, o.Params...)
}

func parameter(p Param) *huma.Param {
	return &huma.Param{
		Name: p.Name, In: p.In, Description: p.Description, Required: p.Required || p.In == "path",
		Schema: schemaOr(p.Schema), Example: p.Example,
	}
}

func schemaOr(s *huma.Schema) *huma.Schema {
	if s == nil {
		return &huma.Schema{Type: huma.TypeString}
	}
	return s
}

func addAnswer(schemas huma.Registry, op *huma.Operation, a Answer) {
	status := strconv.Itoa(a.Status)
	r := op.Responses[status]
	if r == nil {
		r = &huma.Response{Description: cmp.Or(a.Description, http.StatusText(a.Status)), Content: map[string]*huma.MediaType{}, Headers: map[string]*huma.Header{}}
		op.Responses[status] = r
	}
	r.Content[cmp.Or(a.Media, mediaJSON)] = content(schemas, a.Shape, a.Examples)
	for _, h := range a.Headers {
		r.Headers[h.Name] = &huma.Header{Description: h.Description, Schema: schemaOr(h.Schema)}
	}
}

// addProblem refers to the Problem of that status, which all operations share.
func addProblem(schemas huma.Registry, op *huma.Operation, status int) {
	name := strconv.Itoa(status)
	if r := op.Responses[name]; r != nil { // it is answered in another shape as well
		r.Content[mediaProblem] = content(schemas, Problem{}, problemExamples(status))
		maps.Copy(r.Headers, problemHeaders(status))
		return
	}
	op.Responses[name] = &huma.Response{Ref: responses + "Problem" + name}
}

func content(schemas huma.Registry, shape any, examples []Example) *huma.MediaType {
	m := &huma.MediaType{}
	switch shape := shape.(type) {
	case nil:
		m.Schema = &huma.Schema{Type: huma.TypeString}
	case *huma.Schema:
		m.Schema = shape
	default:
		m.Schema = schemas.Schema(reflect.TypeOf(shape), true, "")
	}
	for _, e := range examples {
		if m.Examples == nil {
			m.Examples = map[string]*huma.Example{}
		}
		m.Examples[e.Name] = &huma.Example{Summary: e.Summary, Value: plainValue(e.Value)}
	}
	return m
}

// plainValue returns what v is as JSON, in maps, slices and literals.
func plainValue(v any) any {
	text, err := json.Marshal(v, json.Deterministic(true))
	var plain any
	if err == nil {
		err = json.Unmarshal(text, &plain, json.WithUnmarshalers(json.UnmarshalFromFunc(literalNumber)))
	}
	if err != nil { // made of constants
		panic(fmt.Sprintf("api: example: %v", err))
	}
	return plain
}

// A literal is a number as it is written: 1 stays 1 and does not become 1.0.
type literal string

// MarshalJSON implements json.Marshaler.
func (n literal) MarshalJSON() ([]byte, error) { return []byte(n), nil }

func literalNumber(d *jsontext.Decoder, to *any) error {
	if d.PeekKind() != jsontext.KindNumber {
		return errors.ErrUnsupported
	}
	t, err := d.ReadToken()
	if err == nil {
		*to = literal(t.String())
	}
	return err
}

// schemaName keeps the types of other doors apart from ours: those of package
// mem0 are named Mem0….
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if door, ok := strings.CutPrefix(t.PkgPath(), reflect.TypeFor[Operation]().PkgPath()+"/"); ok {
		door = path.Base(door)
		return strings.ToUpper(door[:1]) + door[1:] + name
	}
	return name
}

package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// document returns the OpenAPI 3.1 document of operations, in YAML.
func document(version string, operations []Operation) []byte {
	d := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Lethe", Version: version, Description: "Erases a person's memories from AI-memory stores and proves it."},
		Components: &huma.Components{
			Schemas:   huma.NewMapRegistry("#/components/schemas/", schemaName),
			Responses: map[string]*huma.Response{},
			SecuritySchemes: map[string]*huma.SecurityScheme{
				SchemeBearer: {Type: "http", Scheme: "bearer", Description: "A token as lethe token create prints it. A service on loopback that has no tokens needs none."},
			},
		},
	}
	addProblems(d.Components)
	for _, o := range operations {
		d.AddOperation(describe(d.Components.Schemas, o))
		for _, name := range o.schemes() {
			if d.Components.SecuritySchemes[name] == nil {
				d.Components.SecuritySchemes[name] = mem0Scheme(name)
			}
		}
	}
	for _, s := range d.Components.Schemas.Map() {
		s.AdditionalProperties = nil // answers may get more fields; bodies, written by hand, may not
	}
	text, err := d.YAML()
	if err != nil { // made of constants
		panic(fmt.Sprintf("api: openapi: %v", err))
	}
	return text
}

// mem0Scheme tells how Mem0's clients show a token.
func mem0Scheme(name string) *huma.SecurityScheme {
	if name == SchemeKey {
		return &huma.SecurityScheme{Type: "apiKey", In: "header", Name: "X-API-Key", Description: "A Lethe token, as clients of the self-hosted Mem0 server show their key."}
	}
	return &huma.SecurityScheme{Type: "apiKey", In: "header", Name: "Authorization", Description: "The word Token, a space and a Lethe token, as clients of the Mem0 Platform show their key."}
}

// described returns what the document says of routes.
func described(routes []route) (all []Operation) {
	bodies, answers := bodyExamples(), answerExamples()
	for _, r := range routes {
		o := r.operation()
		o.Answers[0].Examples = answers[r.id]
		if o.Body != nil {
			o.Body.Examples = bodies[r.id]
		}
		all = append(all, o)
	}
	return all
}

// operation returns what the document says of a route, but for the examples.
func (r route) operation() Operation {
	o := Operation{
		Method: r.method, Path: strings.ReplaceAll(r.path, "...}", "}"), ID: r.id, Summary: r.summary, Description: r.description, May: r.may,
		Problems: r.problemStatuses(),
	}
	for _, p := range r.params {
		o.Params = append(o.Params, Param{In: p.in, Name: p.name, Description: p.description, Schema: p.schema})
	}
	if r.takes != nil {
		o.Body = &Body{Shape: r.takes(), Optional: r.bare}
	}
	good := Answer{Status: r.status, Media: r.media, Shape: r.answer}
	switch r.status {
	case http.StatusAccepted:
		if r.bare { // it files none, or several
			break
		}
		good.Headers = []Param{
			{Name: "Location", Description: "Path of the request"},
			{Name: "Idempotent-Replayed", Description: "true for a request filed before"},
		}
	case http.StatusCreated:
		good.Headers = []Param{{Name: "Location", Description: "Path of what was made"}}
	}
	o.Answers = append([]Answer{good}, r.also...)
	return o
}

// problemStatuses returns those of the route and those of every route: 400 for a
// token in the URL, 403 for a Host that is not served or a page of another origin,
// 429 and 503 for too many calls. Whether the process lives is always told.
func (r route) problemStatuses() []int {
	all := append([]int{http.StatusBadRequest, http.StatusForbidden}, r.problems...)
	if r.id != "healthz" {
		all = append(all, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func rolesOf(do jobs.Act) string {
	var names []string
	for _, r := range append(do.Allowed(), jobs.RoleAdmin) {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

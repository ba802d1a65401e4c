package mem0

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs/api"
)

// Operations are the calls of this door for the OpenAPI document.
func Operations() []api.Operation {
	var all []api.Operation
	for _, r := range routes() {
		all = append(all, r.operation())
	}
	return all
}

const exampleEvent = "0193a000-0000-7000-8000-000000000001"

// operation returns what the document says of a route.
func (r *route) operation() api.Operation {
	s := shapeOf(strings.Split(strings.Trim(r.path, "/"), "/"))
	o := api.Operation{
		Method: r.method, Path: Prefix + r.path, ID: r.id, Summary: r.summary, Description: r.description,
		Tag: "Mem0 Platform", May: r.may, Schemes: []string{api.SchemeMem0, api.SchemeBearer, api.SchemeKey},
	}
	if s == selfHosted {
		o.Tag = "Mem0 server"
	}
	for _, name := range r.query {
		o.Params = append(o.Params, param(name))
	}
	if s == platform {
		o.Params = append(o.Params, param("org_id"), param("project_id"))
	}
	if r.method == http.MethodDelete {
		o.Params = append(o.Params, api.Param{In: "header", Name: "Idempotency-Key", Description: "1 to 255 printable ASCII characters: the same call with the same key again is answered for the same request"})
	}
	if r.body {
		o.Body = &api.Body{Shape: Batch{}, Examples: []api.Example{{Name: "one", Value: Batch{Memories: []BatchMemory{{exampleEvent}}}}}}
	}
	if r.answer != nil {
		o.Answers = append(o.Answers, api.Answer{Status: http.StatusOK, Shape: r.answer, Examples: []api.Example{{Name: "example", Value: r.answer}}})
	}
	if r.waits {
		o.Answers = append(o.Answers, api.Answer{
			Status: http.StatusAccepted, Description: "Filed, and not verified within 10 s, or waiting for somebody", Shape: Deleted{},
			Examples: []api.Example{{Name: "store-down", Value: Deleted{Message: inProgress, EventID: exampleEvent, Reason: "store-down"}}},
		})
	}
	for _, status := range append([]int{400, 401, 403, 429, 503}, r.also...) {
		o.Answers = append(o.Answers, refused(r, s, status))
	}
	o.Problems = []int{http.StatusForbidden} // of api.Protect: another Host, or a page of another origin
	return o
}

func param(name string) api.Param {
	p := api.Param{In: "query", Name: name}
	switch name {
	case "delete_linked":
		p.Description = "Erase also the memories that this one has replaced"
		p.Schema = &huma.Schema{Type: huma.TypeBoolean}
	case "metadata":
		p.Description = "A JSON object as text, or metadata[key]=value. Values are exact: strings, numbers and booleans"
	case "org_id", "project_id":
		p.Description = "Taken, since older clients add it to every call, and not looked at"
	case "page", "page_size":
		p.Schema = &huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0)}
	default:
		p.Description = "Exact: no wildcards"
	}
	return p
}

package api

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
	"lethe/store"
)

// document returns the OpenAPI 3.1 document of routes, in YAML.
func document(version string, routes []route) []byte {
	d := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Lethe", Version: version, Description: "Erases a person's memories from AI-memory stores and proves it."},
		Components: &huma.Components{
			Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{bearerScheme: {Type: "http", Scheme: "bearer", Description: "A token as lethe token create prints it. A service on loopback that has no tokens needs none."}},
		},
	}
	for _, r := range routes {
		d.AddOperation(operation(d.Components.Schemas, r))
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

func operation(schemas huma.Registry, r route) *huma.Operation {
	op := &huma.Operation{
		Method:      r.method,
		Path:        strings.ReplaceAll(r.path, "...}", "}"),
		OperationID: r.id,
		Summary:     r.summary,
		Description: r.description,
		Responses:   map[string]*huma.Response{},
		Security:    []map[string][]string{},
	}
	if r.may != jobs.ActOpen {
		op.Security = append(op.Security, map[string][]string{bearerScheme: {}})
		op.Description = strings.TrimSpace(op.Description + " For the roles: " + rolesOf(r.may) + ".")
	}
	for _, segment := range strings.Split(op.Path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			op.Parameters = append(op.Parameters, parameter(param{"path", strings.TrimSuffix(name, "}"), ""}))
		}
	}
	for _, p := range r.params {
		op.Parameters = append(op.Parameters, parameter(p))
	}
	if r.takes != nil {
		op.RequestBody = &huma.RequestBody{
			Required: !r.bare,
			Content:  map[string]*huma.MediaType{"application/json": {Schema: r.takes()}},
		}
	}
	op.Responses[strconv.Itoa(r.status)] = goodAnswer(schemas, r)
	for status, v := range r.also {
		op.Responses[strconv.Itoa(status)] = response(schemas, status, "application/json", v)
	}
	for _, status := range append([]int{http.StatusBadRequest, http.StatusTooManyRequests}, r.problems...) { // 400 also for a token in the URL
		op.Responses[strconv.Itoa(status)] = response(schemas, status, "application/problem+json", Problem{})
	}
	return op
}

// bearerScheme is how the document names tokens.
const bearerScheme = "token"

func rolesOf(do jobs.Act) string {
	var names []string
	for _, r := range append(do.Allowed(), jobs.RoleAdmin) {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

func parameter(p param) *huma.Param {
	return &huma.Param{
		Name: p.name, In: p.in, Description: p.description, Required: p.in == "path",
		Schema: &huma.Schema{Type: huma.TypeString},
	}
}

func goodAnswer(schemas huma.Registry, r route) *huma.Response {
	if r.answer == nil {
		return &huma.Response{
			Description: http.StatusText(r.status),
			Content:     map[string]*huma.MediaType{r.media: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}
	}
	answer := response(schemas, r.status, "application/json", r.answer)
	if _, filed := r.answer.(Accepted); filed {
		answer.Headers = map[string]*huma.Header{
			"Location":            {Description: "Path of the request", Schema: &huma.Schema{Type: huma.TypeString}},
			"Idempotent-Replayed": {Description: "true for a request filed before", Schema: &huma.Schema{Type: huma.TypeString}},
		}
	}
	return answer
}

func response(schemas huma.Registry, status int, media string, v any) *huma.Response {
	return &huma.Response{
		Description: http.StatusText(status),
		Content:     map[string]*huma.MediaType{media: {Schema: schemas.Schema(reflect.TypeOf(v), true, "")}},
	}
}

// submissionSchema says of a body what the decoder demands. It is written by
// hand as the decoder is; a test compares the two.
func submissionSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"selector"},
		Properties: map[string]*huma.Schema{
			"selector":    selectorSchema(),
			"related":     {Type: huma.TypeBoolean, Description: "Erase also what is about who is selected but does not match, as far as a store can tell: what an assistant said in their conversations, or memories that explicit IDs have replaced. A plan counts it either way"},
			"stores":      {Type: huma.TypeArray, Items: str("", 0), MinItems: new(1), UniqueItems: true, Description: "Every configured store if not given"},
			"ticket":      str("The asker's own reference; not personal data", maxTicketBytes),
			"regime":      str("Whose clock runs, such as gdpr (if not given) or ccpa", 64),
			"ground":      str("A code, such as art17-1-b", 64),
			"received_at": {Type: huma.TypeString, Format: "date-time", Description: "When the person asked; now if not given"},
			"grace":       str("How long to wait before erasing, such as 72h or 0s", 0),
			"notify_url":  str("An https URL that is told when the status changes (Standard Webhooks); 400 unless the service has webhooks configured", jobs.MaxNotifyURL),
		},
	}
}

func memorySchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"memory_id"},
		Properties: map[string]*huma.Schema{"memory_id": str("As the store knows the memory", store.MaxValueBytes)},
	}
}

func selectorSchema() *huma.Schema {
	scalar := &huma.Schema{OneOf: []*huma.Schema{
		str("", store.MaxValueBytes), {Type: huma.TypeNumber}, {Type: huma.TypeBoolean},
	}}
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, MinProperties: new(1),
		Description: "Either ids, or any of the other keys, all of which must be equal. Values are exact: no wildcards, no case folding, no normalization.",
		Properties: map[string]*huma.Schema{
			"ids":      {Type: huma.TypeArray, Items: str("", store.MaxValueBytes), MinItems: new(1), MaxItems: new(jobs.MaxIDs), Description: "Memory IDs"},
			"user_id":  str("", store.MaxValueBytes),
			"agent_id": str("", store.MaxValueBytes),
			"app_id":   str("", store.MaxValueBytes),
			"run_id":   str("", store.MaxValueBytes),
			"metadata": {Type: huma.TypeObject, AdditionalProperties: scalar, MinProperties: new(1), MaxProperties: new(store.MaxMetadataKeys)},
		},
	}
}

// str is a string of at most that many bytes; 0 for no limit of its own.
func str(description string, limit int) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: description}
	if limit > 0 {
		s.MinLength, s.MaxLength = new(1), new(limit)
	}
	return s
}

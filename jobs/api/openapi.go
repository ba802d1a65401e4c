package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
	"lethe/store"
)

// document returns the OpenAPI 3.1 document of operations, in YAML.
func document(version string, operations []Operation) []byte {
	d := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Lethe", Version: version, Description: "Erases a person's memories from AI-memory stores and proves it."},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				SchemeBearer: {Type: "http", Scheme: "bearer", Description: "A token as lethe token create prints it. A service on loopback that has no tokens needs none."},
			},
		},
	}
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

// operation returns what the document says of a route.
func (r route) operation() Operation {
	o := Operation{
		Method: r.method, Path: strings.ReplaceAll(r.path, "...}", "}"), ID: r.id, Summary: r.summary, Description: r.description, May: r.may,
		Problems: append([]int{http.StatusTooManyRequests}, r.problems...),
	}
	if !slices.Contains(o.Problems, http.StatusBadRequest) {
		o.Problems = append(o.Problems, http.StatusBadRequest) // a token in the URL
	}
	for _, p := range r.params {
		o.Params = append(o.Params, Param{In: p.in, Name: p.name, Description: p.description})
	}
	if r.takes != nil {
		o.Body = &Body{Shape: r.takes()}
	}
	good := Answer{Status: r.status, Media: r.media, Shape: r.answer}
	if r.status == http.StatusAccepted {
		good.Headers = []Param{
			{Name: "Location", Description: "Path of the request"},
			{Name: "Idempotent-Replayed", Description: "true for a request filed before"},
		}
	}
	o.Answers = append(o.Answers, good)
	for status, v := range r.also {
		o.Answers = append(o.Answers, Answer{Status: status, Shape: v})
	}
	return o
}

func rolesOf(do jobs.Act) string {
	var names []string
	for _, r := range append(do.Allowed(), jobs.RoleAdmin) {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
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

package api_test

import (
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
	"lethe/jobs/api"
)

// TestDocumentTellsOfOtherDoors: whoever mounts a door beside this one gives what
// it answers, and there is one document for both.
func TestDocumentTellsOfOtherDoors(t *testing.T) {
	type told struct {
		Event string `json:"event_id"`
	}
	o := api.Operation{
		Method: "DELETE", Path: "/mem0/v1/memories/{id}/", ID: "mem0-delete-memory", Tag: "Mem0", Summary: "Erase one memory",
		May: jobs.ActFile, Schemes: []string{api.SchemeMem0, api.SchemeKey},
		Params: []api.Param{{In: "query", Name: "user_id", Schema: &huma.Schema{Type: huma.TypeString}, Required: true}},
		Body:   &api.Body{Shape: &huma.Schema{Type: huma.TypeObject}, Examples: []api.Example{{Name: "one", Value: map[string]any{"count": 1, "x": 0.5}}}},
		Answers: []api.Answer{
			{Status: 200, Shape: told{}, Examples: []api.Example{{Name: "erased", Value: told{"e"}}}},
			{Status: 200, Media: "text/plain", Headers: []api.Param{{Name: "X-Odd"}}},
		},
		Problems: []int{429},
	}
	h := open(t, func(options *api.Options) { options.Operations = []api.Operation{o} })
	text := h.ask("GET", "/v1/openapi.yaml", nil).Body.String()
	for _, want := range []string{
		"/mem0/v1/memories/{id}/", "operationId: mem0-delete-memory", "mem0-token: []", "mem0-key: []", "name: X-API-Key",
		"event_id: e", "X-Odd", "count: 1\n", "x: 0.5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document has no %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

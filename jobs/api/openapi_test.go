package api_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"lethe/jobs/api"
)

// promised are the routes of the contract that this package serves.
func promised() []string {
	return []string{
		"DELETE /v1/holds/{id}", "DELETE /v1/tokens/{id}", "GET /healthz", "GET /log/checkpoint", "GET /log/key", "GET /log/keys", "GET /log/tile/{path}", "GET /readyz",
		"GET /v1/backup", "GET /v1/doctor", "GET /v1/holds", "GET /v1/openapi.yaml", "GET /v1/policies", "GET /v1/requests", "GET /v1/requests/{id}", "GET /v1/requests/{id}/certificate",
		"GET /v1/requests/{id}/events", "GET /v1/requests/{id}/receipt", "GET /v1/requests/{id}/subject-key", "GET /v1/tokens",
		"POST /v1/holds", "POST /v1/plans", "POST /v1/policies/{name}/sweeps", "POST /v1/requests", "POST /v1/requests/{id}/approve", "POST /v1/requests/{id}/cancel",
		"POST /v1/requests/{id}/confirm", "POST /v1/requests/{id}/exempt", "POST /v1/requests/{id}/extend",
		"POST /v1/requests/{id}/memory-proof", "POST /v1/requests/{id}/reject", "POST /v1/stores/{name}/replays", "POST /v1/suppressions/check", "POST /v1/tokens",
	}
}

type openAPI struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string `yaml:"operationId"`
		Responses   map[string]any
	}
	Components struct{ Schemas map[string]map[string]any }
}

func TestDocumentListsWhatIsServed(t *testing.T) {
	h := open(t)
	w := h.ask("GET", "/v1/openapi.yaml", nil)
	var doc openAPI
	if err := yaml.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || strings.Contains(w.Body.String(), "$schema") {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	var listed, served []string
	for path, operations := range doc.Paths {
		for method, op := range operations {
			listed = append(listed, strings.ToUpper(method)+" "+path)
			if op.OperationID == "" || len(op.Responses) < 2 {
				t.Errorf("%s %s is not described", method, path)
			}
		}
	}
	for _, r := range api.Routes() {
		served = append(served, strings.Replace(r, "...}", "}", 1))
	}
	slices.Sort(listed)
	slices.Sort(served)
	if diff := cmp.Diff(promised(), listed); diff != "" {
		t.Errorf("document (-promised +listed):\n%s", diff)
	}
	if diff := cmp.Diff(promised(), served); diff != "" {
		t.Errorf("mux (-promised +served):\n%s", diff)
	}
	for _, r := range listed {
		method, path, _ := strings.Cut(r, " ")
		r := httptest.NewRequest(method, strings.NewReplacer("{id}", "x", "{path}", "0/000").Replace(path), http.NoBody)
		w := httptest.NewRecorder()
		h.server.Config.Handler.ServeHTTP(w, r)
		if body := w.Body.String(); w.Code == http.StatusMethodNotAllowed || strings.Contains(body, "nothing at this path") {
			t.Errorf("%s %s is listed and not served: %s", method, path, body)
		}
	}
}

// TestDocumentKnowsTheKeysThatTheDecoderKnows reads the decoder's own list from
// the error for an unknown key.
func TestDocumentKnowsTheKeysThatTheDecoderKnows(t *testing.T) {
	body, selector := api.Documented()
	for text, want := range map[string][]string{`{"?":1}`: body, `{"selector":{"?":1}}`: selector} {
		_, err := read([]byte(text))
		if err == nil {
			t.Fatal("an unknown key is accepted")
		}
		_, list, _ := strings.Cut(err.Error(), "other than ")
		got := strings.Split(list, ", ")
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("keys (-documented +decoded):\n%s", diff)
		}
	}
}

func TestDocumentHasTheFieldsOfAnAnswer(t *testing.T) {
	h := open(t)
	h.file(t)
	var doc openAPI
	if err := yaml.Unmarshal(h.ask("GET", "/v1/openapi.yaml", nil).Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := yaml.Unmarshal(h.ask("GET", "/v1/requests/"+h.book.requests[0].ID, nil).Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	properties, _ := doc.Components.Schemas["Request"]["properties"].(map[string]any)
	filed, _ := doc.Components.Schemas["Accepted"]["properties"].(map[string]any)
	if len(filed) != len(properties)+1 || filed["receipt_text"] == nil {
		t.Errorf("%d fields documented of the answer to a filing, want those of a request and receipt_text", len(filed))
	}
	for name := range answer {
		if properties[name] == nil {
			t.Errorf("%s is not documented", name)
		}
	}
	if doc.Components.Schemas["Request"]["additionalProperties"] != nil {
		t.Error("the document forbids fields that may be added")
	}
	if len(properties) != len(answer) {
		t.Errorf("%d fields documented, %d answered", len(properties), len(answer))
	}
}

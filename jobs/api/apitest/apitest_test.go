package apitest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lethe/jobs/api/apitest"
)

const good = `openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /things/{id}/:
    post:
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: n, in: query, schema: {type: integer}}
      requestBody:
        content: {application/json: {schema: {type: object, required: [a]}, examples: {one: {value: {a: 1}}}}}
      responses:
        "200":
          description: ok
          headers: {Location: {schema: {type: string}}}
          content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}, examples: {one: {value: {state: up}}}}}
        "404": {$ref: "#/components/responses/None"}
components:
  responses:
    None: {description: none, content: {text/plain: {schema: {type: string, pattern: "^none$"}, examples: {one: {value: none}}}}}
  schemas:
    Thing: {type: object, required: [state], properties: {state: {type: string, enum: [up, down]}}}
`

func read(t *testing.T, text string) *apitest.Document {
	t.Helper()
	d, err := apitest.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWhatIsNoOpenAPIIsRefused(t *testing.T) {
	read(t, good)
	for name, bad := range map[string]string{
		"another version":                  strings.Replace(good, "3.1.0", "3.0.0", 1),
		"a parameter of nowhere":           strings.Replace(good, "in: query", "in: nowhere", 1),
		"a type that there is not":         strings.Replace(good, "type: object, required: [state]", "type: thing, required: [state]", 1),
		"a response without a description": strings.Replace(good, "description: none, ", "", 1),
	} {
		if _, err := apitest.Read([]byte(bad)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestACallThatIsNotAsDocumentedIsTold(t *testing.T) {
	d := read(t, good)
	type call struct {
		target, body, answer, media string
		status                      int
		header                      string
	}
	right := call{"/things/7/?n=1", `{"a":1}`, `{"state":"up"}`, "application/json", 200, ""}
	for name, change := range map[string]func(*call){
		"":                      func(*call) {},
		"no slash at the end":   func(c *call) { c.target = "/things/7?n=1" },
		"a documented header":   func(c *call) { c.header = "Location" },
		"not found":             func(c *call) { c.status, c.media, c.answer = 404, "text/plain", "none" },
		"!a status":             func(c *call) { c.status = 202 },
		"!a field":              func(c *call) { c.answer = `{"state":"up","more":1}` },
		"!no field":             func(c *call) { c.answer = `{}` },
		"!a value":              func(c *call) { c.answer = `{"state":"odd"}` },
		"!no JSON":              func(c *call) { c.answer = `{` },
		"!a media type":         func(c *call) { c.media = "text/plain" },
		"!a text":               func(c *call) { c.status, c.media, c.answer = 404, "text/plain", "nothing" },
		"!a header":             func(c *call) { c.header = "Retry-After" },
		"!a parameter":          func(c *call) { c.target = "/things/7/?m=1" },
		"!a parameter's value":  func(c *call) { c.target = "/things/7/?n=one" },
		"!a body":               func(c *call) { c.body = `{"b":1}` },
		"!a path that there is": func(c *call) { c.target = "/things/7/8" },
	} {
		c := right
		change(&c)
		var told error
		h := d.Watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", c.media)
			if c.header != "" {
				w.Header().Set(c.header, "x")
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.answer))
		}), func(err error) { told = err })
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, c.target, strings.NewReader(c.body)))
		if (told != nil) != strings.HasPrefix(name, "!") {
			t.Errorf("%s: %v", name, told)
		}
	}
	if got := d.Seen("POST /things/{id}/"); len(got) != 3 {
		t.Errorf("seen %v", got)
	}
}

func TestExamplesAreOfTheirShape(t *testing.T) {
	shown, wrong := read(t, good).Examples()
	if wrong != nil || len(shown) != 3 || string(shown[0].Text) != `{"a":1}` {
		t.Errorf("%d examples, %v", len(shown), wrong)
	}
	for name, bad := range map[string]string{
		"of another shape": strings.Replace(good, "{a: 1}", "{b: 1}", 1),
		"not there":        strings.Replace(good, ", examples: {one: {value: none}}", "", 1),
	} {
		if _, wrong := read(t, bad).Examples(); wrong == nil {
			t.Errorf("an example that is %s is taken", name)
		}
	}
}

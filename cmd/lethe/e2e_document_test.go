package main

import (
	"bufio"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"lethe/jobs/api/apitest"
)

// TestTheServedDocumentIsTrueOfEveryDoor: the one document has the native API, the
// door for Mem0's clients and the metrics; all that it shows is of its shape, and all
// that it lists is served.
func TestTheServedDocumentIsTrueOfEveryDoor(t *testing.T) {
	t.Parallel()
	r := start(t, configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, configured("assistant", newMem0(t, filepath.Join(t.TempDir(), "m")))), nil)
	d := servedDocument(t, r)
	shown, wrong := d.Examples()
	if wrong != nil {
		t.Error(wrong)
	}
	doors := map[string]int{}
	through := &http.Client{Transport: d.Through(http.DefaultTransport, func(err error) { t.Errorf("not as documented: %v", err) })}
	for _, operation := range d.Operations() {
		method, path, _ := strings.Cut(operation, " ")
		doors[strings.Split(path, "/")[1]]++
		path = strings.NewReplacer("{path}", "0/000", "{entity_type}", "user", "{entity_id}", "nobody", "{id}", "0193a000-0000-7000-8000-999999999999",
			"{memory_id}", "0193a000-0000-7000-8000-999999999999", "{event_id}", "0193a000-0000-7000-8000-999999999999").Replace(path)
		for _, body := range append(bodiesOf(shown, operation), "") {
			status, said := ask(t, through, method, r.s.URL()+path, body)
			if status == http.StatusMethodNotAllowed || strings.Contains(said, "nothing at this path") {
				t.Errorf("%s is listed and not served: %d %s", operation, status, said)
			}
			if body != "" && (status == http.StatusUnsupportedMediaType || status == http.StatusRequestEntityTooLarge || strings.Contains(said, `"malformed"`)) {
				t.Errorf("%s: the body that is shown is refused: %d %s", operation, status, said)
			}
		}
	}
	if doors["v1"] == 0 || doors["log"] == 0 || doors["mem0"] == 0 || doors["metrics"] == 0 {
		t.Errorf("the document has %v", doors)
	}
	t.Logf("%v, %d examples", doors, len(shown))
}

// servedDocument returns the document that a service serves.
func servedDocument(t testing.TB, r *running) *apitest.Document {
	t.Helper()
	text, err := r.client.OpenAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := apitest.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// compare compares the answer to an attack that was well-formed HTTP with the
// document. Pages stand in none.
func (w *target) compare(t testing.TB, text string, got *http.Response, body []byte) {
	t.Helper()
	asked, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil || w.document == nil || asked.URL.Path == "/" || strings.HasPrefix(asked.URL.Path, "/console") {
		return
	}
	if body == nil || strings.HasPrefix(string(body), "400 Bad Request") {
		return // a stream, of which nothing was read; or net/http itself, before any door
	}
	if err := w.document.Check(apitest.Call{Request: asked, Status: got.StatusCode, Header: got.Header, Body: body}); err != nil {
		t.Errorf("not as documented: %v", err)
	}
}

func bodiesOf(shown []apitest.Shown, operation string) (bodies []string) {
	for _, s := range shown {
		if s.Operation == operation && s.Status == "" {
			bodies = append(bodies, string(s.Text))
		}
	}
	return bodies
}

func ask(t *testing.T, c *http.Client, method, url, body string) (status int, said string) {
	t.Helper()
	var r io.Reader = http.NoBody
	if body != "" {
		r = strings.NewReader(body)
	}
	asked, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		asked.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"lethe/jobs/api"
	"lethe/jobs/api/apitest"
)

// watched returns a handler all of whose answers are compared with the document:
// whatever a test of this package asks is asked of the document too.
func watched(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	return document(t).Watch(h, func(err error) { t.Errorf("not as documented: %v", err) })
}

// document is that of the routes of this package.
func document(t *testing.T) *apitest.Document {
	t.Helper()
	d, err := theDocument()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var theDocument = sync.OnceValues(func() (*apitest.Document, error) {
	w := httptest.NewRecorder()
	book := newMemory()
	api.New(api.Options{Book: book, Planner: book}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/openapi.yaml", http.NoBody))
	return apitest.Read(w.Body.Bytes())
})

// fakeKey is a key that has signed nothing.
const fakeKey = "lethe+00000001+AAAA"

// fileHead is the first line of what a book's files are.
func fileHead(what string) string {
	if what == "proof" {
		return "lethe/memory-proof@v1\n"
	}
	return "c2sp.org/tlog-proof@v1\n"
}

// publish answers as a log does.
func publish(w http.ResponseWriter, path string) {
	switch {
	case strings.HasPrefix(path, "/log/tile/"):
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.WriteString(w, "\xff\x00")
	case path == "/log/keys":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, fakeKey+"\n")
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "lethe\n1\nAAAA\n\n— log "+path+"\n")
	}
}

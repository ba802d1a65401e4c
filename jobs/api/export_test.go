package api

import (
	"io"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// MaxRestBytes is the limit of a body's bytes that are not IDs.
const MaxRestBytes = maxRestBytes

// ReadSubmission is the server's decoder.
func ReadSubmission(r io.Reader, take func([]string) error) (jobs.Submission, error) {
	return readSubmission(r, take)
}

// Encode is the client's encoder.
func (s Submission) Encode(w io.Writer) error { return s.encode(w) }

// Documented returns the keys that the OpenAPI document has for a body and for
// its selector, sorted.
func Documented() (body, selector []string) {
	keys := func(s *huma.Schema) (names []string) {
		for name := range s.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	s := submissionSchema()
	return keys(s), keys(s.Properties["selector"])
}

// Acts returns what each route is for, by "METHOD path".
func Acts() map[string]jobs.Act {
	acts := map[string]jobs.Act{}
	for _, r := range (&server{}).routes() {
		acts[r.method+" "+r.path] = r.may
	}
	return acts
}

// Routes returns "METHOD path" of every route.
func Routes() (names []string) {
	for _, r := range (&server{}).routes() {
		names = append(names, r.method+" "+r.path)
	}
	return names
}

// AnswerCodes returns the codes of the table from the book's errors to problems.
func AnswerCodes() (codes []string) {
	for _, a := range answers() {
		codes = append(codes, a.code)
	}
	return codes
}

package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// The shapes of answers that are text.

func proofText() *huma.Schema       { return textOf(`^c2sp\.org/tlog-proof@v1\n`) }
func memoryProofText() *huma.Schema { return textOf(`^lethe/memory-proof@v1\n`) }
func subjectKeyText() *huma.Schema  { return textOf(`^[0-9a-f]{64}\n$`) }
func documentText() *huma.Schema    { return textOf(`(^|\n)openapi: 3\.1\.0\n`) }
func checkpointText() *huma.Schema {
	return textOf(`^[^\n]+\n[0-9]+\n[A-Za-z0-9+/=]+\n(.*\n)*\n(— .+\n)+$`)
}
func keyText() *huma.Schema  { return textOf(`^[^+\n]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+\n$`) }
func keysText() *huma.Schema { return textOf(`^[^+\n]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+\n(.*\n)*$`) }

func eventText() *huma.Schema {
	return textOf(`^(id: [0-9]+\nevent: request\ndata: \{.*\}\n\n|:\n\n)*$`)
}

func lineText(s string) *huma.Schema {
	return textOf("^" + s + `\n$`)
}

func textOf(pattern string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: pattern}
}

// tileBytes are no text, and JSON Schema has nothing to say of them.
func tileBytes() *huma.Schema { return &huma.Schema{Description: "Bytes"} }

// logAnswers are what the log says of what it does not have, or cannot read.
func logAnswers() []Answer {
	return []Answer{
		{Status: http.StatusNotFound, Media: text, Shape: lineText("not in the log"), Examples: []Example{{Name: "absent", Value: "not in the log\n"}}},
		{Status: http.StatusServiceUnavailable, Media: text, Shape: lineText("the log cannot be read"), Examples: []Example{{Name: "unreadable", Value: "the log cannot be read\n"}}},
	}
}

func listParams() []param {
	statuses := &huma.Schema{Type: huma.TypeString}
	for _, s := range jobs.Statuses() {
		statuses.Enum = append(statuses.Enum, string(s))
	}
	dues := &huma.Schema{Type: huma.TypeString}
	for _, d := range jobs.Dues() {
		dues.Enum = append(dues.Enum, string(d))
	}
	return []param{
		{"query", "status", "One or more, repeated or separated by commas; none for all", &huma.Schema{Type: huma.TypeArray, Items: statuses}},
		{"query", "due", "overdue, 1d, 3d, 7d: open requests that are due by then, the earliest first; unconfirmed: those whose receipt is to be confirmed", dues},
		{"query", "limit", "1 to 1000; 100 if not given", &huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0), Maximum: new(float64(maxPage)), Default: defaultPage}},
		{"query", "cursor", "The next_cursor of the page before", &huma.Schema{Type: huma.TypeString, MaxLength: new(512)}},
	}
}

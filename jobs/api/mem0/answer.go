package mem0

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/jobs/api"
)

// An answer is what a call is answered with.
type answer struct {
	status int
	body   any
}

// A Deleted is the answer of both APIs to a deletion. Mem0's clients know message
// alone.
type Deleted struct {
	Message      string `json:"message" example:"Memory deleted successfully!"`
	EventID      string `json:"event_id" format:"uuid" doc:"ID of the request that was filed: /mem0/v1/event/{id}/ and /v1/requests/{id} tell of it"`
	CascadeCount *int   `json:"cascade_count,omitempty" doc:"With delete_linked: memories that this one had replaced and that are erased too"`
	Reason       string `json:"reason,omitempty" doc:"While it is in progress: how far it is or why it waits, as a code" example:"store-down"`
}

// A PlatformError is how the Platform's API says no: error for what a call is like,
// detail for who makes it, and message for an entity type that there is not.
type PlatformError struct {
	Error   string `json:"error,omitempty" example:"Memory not found!"`
	Detail  string `json:"detail,omitempty"`
	Message string `json:"message,omitempty"`
	EventID string `json:"event_id,omitempty" doc:"Of a request that was filed and has ended otherwise"`
}

// A ServerError is how the self-hosted server says no.
type ServerError struct {
	Detail  string `json:"detail" example:"At least one identifier is required."`
	EventID string `json:"event_id,omitempty" doc:"Of a request that was filed and has ended otherwise"`
}

// A refusal is an error as a client is told it. Its text never has anything of
// what it refuses.
type refusal struct {
	status  int
	text    string
	message bool   // said as message on the Platform, too
	event   string // a request that was filed
	after   time.Duration

	unexpected bool // not by the client's or a store's fault: for the log
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error {
	return &refusal{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// refusalOf words any error. Mem0 has no 422: what cannot be meant is 400.
func refusalOf(err error) *refusal {
	if r, ok := err.(*refusal); ok { //nolint:errorlint // ours are never wrapped
		return r
	}
	p := api.ProblemOf(err)
	r := &refusal{status: p.Status, text: strings.ReplaceAll(p.Error(), "selector.", ""), after: p.RetryAfter}
	switch {
	case p.Status == http.StatusUnprocessableEntity:
		r.status = http.StatusBadRequest
	case p.Status >= http.StatusInternalServerError:
		r.unexpected = p.Code == "unavailable" || p.Code == "internal"
	}
	return r
}

// A shape is one of the two APIs.
type shape int

const (
	platform shape = iota
	selfHosted
)

// shapeOf says which API a path belongs to.
func shapeOf(path []string) shape {
	if len(path) > 0 && len(path[0]) == 2 && path[0][0] == 'v' {
		return platform
	}
	return selfHosted
}

// write says no.
func (s shape) write(w http.ResponseWriter, r *refusal) {
	if r.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((r.after+time.Second-1)/time.Second)))
	}
	if r.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="lethe"`) // RFC 9110, section 11.6.1
	}
	s.send(w, answer{r.status, s.word(r)})
}

func (s shape) word(r *refusal) any {
	if s == selfHosted {
		return ServerError{Detail: r.text, EventID: r.event}
	}
	switch {
	case r.message:
		return PlatformError{Message: r.text}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden, r.status == http.StatusMethodNotAllowed, r.status == http.StatusTooManyRequests:
		return PlatformError{Detail: r.text}
	}
	return PlatformError{Error: r.text, EventID: r.event}
}

func (shape) send(w http.ResponseWriter, a answer) {
	body, err := json.Marshal(a.body)
	if err != nil { // only types of ours
		panic(fmt.Sprintf("mem0: answer: %T", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}

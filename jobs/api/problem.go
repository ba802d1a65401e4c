package api

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/jobs"
	"lethe/store"
)

// A Problem is an error as it goes over the wire, RFC 9457 (Problem Details for
// HTTP APIs). It is the error type of every call of a [Client] that the server
// answered, and of [ReadSelector]. It never repeats the value it refuses.
type Problem struct {
	Type   string         `json:"type" doc:"about:blank: the title is that of the status (RFC 9457, section 4.2.1)"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Code   string         `json:"code" doc:"What to ask in a program: malformed, invalid, not_found, conflict, too_late, not_yet, gone, too_large, log_refused, log_broken, store_down, unavailable, …"`
	Errors []FieldProblem `json:"errors,omitempty" nullable:"false"`

	// RetryAfter says when to ask again (RFC 9110, section 10.2.3), whole
	// seconds; 0 if the server did not say.
	RetryAfter time.Duration `json:"-"`
}

// A FieldProblem says which field cannot be accepted and what to do.
type FieldProblem struct {
	Field   string `json:"field" example:"selector.user_id"`
	Message string `json:"message" example:"must be a string"`
}

// Error returns the fields and what is wrong with them, or the detail.
func (p *Problem) Error() string {
	if len(p.Errors) == 0 {
		return p.Detail
	}
	texts := make([]string, len(p.Errors))
	for i, e := range p.Errors {
		texts[i] = e.Field + " " + e.Message
	}
	return strings.Join(texts, "; ")
}

func problem(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// malformed is the answer to what no reader could take.
func malformed(field, message string) *Problem {
	p := problem(http.StatusBadRequest, "malformed", "the request cannot be read as it stands")
	p.Errors = []FieldProblem{{field, message}}
	return p
}

// unacceptable is the answer to what can be read but cannot be meant.
func unacceptable(field, message string) *Problem {
	p := problem(http.StatusUnprocessableEntity, "invalid", "the request can be read but not accepted")
	p.Errors = []FieldProblem{{field, message}}
	return p
}

// errUnread is wrapped when a body could not be read to its end.
var errUnread = errors.New("body not read")

// CodeLogRefused is the code of a [Problem] that lasts until people have acted:
// nothing is taken in because the log was found not to be what it was.
const CodeLogRefused = "log_refused"

// codePlacing is the code of a hold that comes into force later.
const codePlacing = "hold_placing"

// codeStoreDown is the code of a [Problem] that lasts until a store is back.
const codeStoreDown = "store_down"

// answers is the one table from the book's sentinels to HTTP. The first that
// fits is taken.
func answers() []struct {
	is           error
	status       int
	code, detail string
} {
	return []struct {
		is           error
		status       int
		code, detail string
	}{
		{errTooLarge, http.StatusRequestEntityTooLarge, "too_large", "the body is too large: 64 MiB of ids, 64 KiB of everything else"},
		{jobs.ErrUnknownToken, http.StatusUnauthorized, codeNoToken, "this call needs a token that is valid: Authorization: Bearer TOKEN"},
		{jobs.ErrNotFound, http.StatusNotFound, "not_found", "there is no such request"},
		{jobs.ErrConflict, http.StatusConflict, "conflict", "this Idempotency-Key was used for another body"},
		{jobs.ErrSelfApproval, http.StatusForbidden, "self_approval", "who filed a request may not approve it, and on a service without tokens everybody is one person: give a second person a token (lethe token create --role approver), or cancel the request, raise limits and file it again"},
		{jobs.ErrForbidden, http.StatusForbidden, codeForbidden, "the role of this token does not allow it"},
		{jobs.ErrNotWaiting, http.StatusConflict, "not_waiting", "the request does not wait for an approval"},
		{jobs.ErrPlanChanged, http.StatusConflict, "plan_changed", "this is not the hash of the plan that waits: look at the plan again"},
		{jobs.ErrBegun, http.StatusConflict, "begun", "erasing has begun, so it is too late to reject: cancel the request, whose certificate then says how far it got"},
		{jobs.ErrTooLate, http.StatusConflict, "too_late", "the request has ended"},
		{jobs.ErrGone, http.StatusGone, "gone", "the key was destroyed on schedule"},
		{jobs.ErrRefused, http.StatusServiceUnavailable, CodeLogRefused, "the log refuses to append, so nothing is taken in: /readyz says why, and people have to act"},
		{jobs.ErrBroken, http.StatusServiceUnavailable, "log_broken", "what the log holds of this does not verify, so there is no proof of it: lethe log check says what is wrong"},
		{jobs.ErrPlacing, http.StatusServiceUnavailable, codePlacing, "the hold is committed and not in force yet: a batch that began before it is at work; GET /v1/holds says when it is active"},
		{store.ErrSelector, http.StatusUnprocessableEntity, "invalid", "the selector cannot be accepted"},
		{jobs.ErrInvalid, http.StatusUnprocessableEntity, "invalid", "the request cannot be accepted"},
	}
}

// problemOf returns the Problem that tells a client about err, and nothing of
// err's own text but what its type promises to be free of values.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if f, ok := errors.AsType[*store.FieldError](err); ok {
		return unacceptable(f.Field, f.Problem)
	}
	if f, ok := errors.AsType[*jobs.Invalid](err); ok {
		return invalid(f)
	}
	if n, ok := errors.AsType[*jobs.NotNow](err); ok {
		return problem(http.StatusConflict, n.Code, n.Problem)
	}
	if d, ok := errors.AsType[*jobs.StoreDown](err); ok {
		p := problem(http.StatusServiceUnavailable, codeStoreDown, "store "+d.Store+" is down: ask again; /readyz says why")
		p.RetryAfter = retryAfter
		return p
	}
	if errors.Is(err, errUnread) {
		return unread(err)
	}
	for _, a := range answers() {
		if errors.Is(err, a.is) {
			return problem(a.status, a.code, a.detail)
		}
	}
	p := problem(http.StatusServiceUnavailable, "unavailable", "the ledger did not answer: ask again")
	p.RetryAfter = retryAfter
	return p
}

// retryAfter is short: a ledger that does not answer is mostly busy or about
// to be restarted.
const retryAfter = 5 * time.Second

func invalid(f *jobs.Invalid) *Problem {
	switch f.Field {
	case "received_at", "grace", "regime", "ground", "cursor", "role", "expires", "reason", "until", "backup_time":
		return malformed(f.Field, f.Problem)
	case "notify_url": // of whatever is wrong with it
		return malformed(f.Field, f.Problem)
	}
	return unacceptable(f.Field, f.Problem)
}

func unread(err error) *Problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem(http.StatusRequestTimeout, "too_slow", "the body came too slowly")
	}
	return malformed("body", "ended before it was complete")
}

func (p *Problem) write(w http.ResponseWriter) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.RetryAfter.Seconds())))
	}
	body, err := json.Marshal(p)
	if err != nil { // only strings of ours
		panic(fmt.Sprintf("api: problem: %v", err))
	}
	challenge(w, p)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

package api

import (
	"net/http"

	"lethe/jobs"
)

// What a door needs that stands beside ours and answers in shapes of its own: the
// same law of who comes in, and the same words for what is refused.

// Admit returns r with who makes it, see ActorOf, if he may do what the call is
// for: after the rules of our own routes, with the Tokens, Listen, Rate and
// Refusals of o. Its error is for ProblemOf.
func Admit(r *http.Request, may jobs.Act, o Options) (*http.Request, error) {
	return (&server{Options: o}).admitted(r, may)
}

// ProblemOf returns what a client is told about err, see Problem.
func ProblemOf(err error) *Problem { return problemOf(err) }

// IdempotencyKey returns the Idempotency-Key of a header, or "" for none. Its error
// is a *Problem.
func IdempotencyKey(h http.Header) (string, error) { return idempotencyKey(h) }

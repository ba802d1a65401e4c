package api

import (
	"net/http"
	"strings"
	"time"

	"lethe/audit/fault"
)

// Limits of any call.
const (
	maxHeaders     = 100              // lines of the header
	maxInFlight    = 512              // calls that are being answered, besides streams
	answerPatience = 60 * time.Second // for a client to take an answer; streams have their own
)

// refuseHeader returns what is wrong with a header, or nil. That of a body in
// some encoding is: nothing here decompresses.
func refuseHeader(h http.Header) *Problem {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	switch {
	case n > maxHeaders:
		return problem(http.StatusRequestHeaderFieldsTooLarge, "too_large", "the header has too many lines: 100 at most")
	case h.Get("Content-Encoding") != "" && !fault.Bug("api/any-encoding"):
		return problem(http.StatusUnsupportedMediaType, "media_type", "bodies must come without Content-Encoding")
	}
	return nil
}

// enter takes one of the places for calls that are being answered. Streams have
// places of their own, and whether the process lives is always told.
func (s *server) enter(r *http.Request) (leave func(), err *Problem) {
	if r.URL.Path == "/healthz" || strings.HasSuffix(r.URL.Path, "/events") {
		return func() {}, nil
	}
	select {
	case s.flights <- struct{}{}:
		return func() { <-s.flights }, nil
	default:
	}
	p := problem(http.StatusServiceUnavailable, "busy", "too many calls are being answered: ask again")
	p.RetryAfter = retryAfter
	return func() {}, p
}

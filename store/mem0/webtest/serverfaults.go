package webtest

import (
	"fmt"
	"net/http"
	"time"
)

// ServerFaults are what a Server does wrong. A count is how many requests it
// still will.
type ServerFaults struct {
	Only string // the faults below strike requests with this method alone; "" for all
	Skip int    // and not the first so many of them

	Fail      int    // answer 502 with Code, before anything is done
	Code      string // "" for datastore_unavailable
	CutBefore int    // end the connection before anything is done
	CutAfter  int    // do it, and end the connection before the answer
	Malformed int    // do it, and answer half of the JSON
	Page      int    // answer 200 with a page of HTML, as a proxy does
	Alien     int    // answer 200 with JSON of another API
	Limit     int    // answer 429 with Retry-After: 0

	Lie    int                 // a DELETE that says deleted and keeps the memory
	Poison map[string]bool     // memories whose DELETE is 502 unknown, always
	Arrive []ServerMemory      // appear with the next DELETE
	Slow   time.Duration       // every request takes this long, or until its client leaves
	Before func(*http.Request) // if not nil, is called first, without any lock held

	AuthDisabled bool // AUTH_DISABLED: whoever asks is an admin
	Locked       bool // no key is accepted any more
}

// Set changes the faults, safely while the Server is in use.
func (s *Server) Set(change func(*ServerFaults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
}

// A stroke is what goes wrong with one request.
type stroke struct{ fail, before, after, malformed, page, alien, limit bool }

func (f *ServerFaults) strike(method string) (k stroke) {
	if f.Only != "" && f.Only != method {
		return k
	}
	if f.Skip > 0 {
		f.Skip--
		return k
	}
	for _, one := range []struct {
		left *int
		it   *bool
	}{
		{&f.Fail, &k.fail},
		{&f.CutBefore, &k.before},
		{&f.CutAfter, &k.after},
		{&f.Malformed, &k.malformed},
		{&f.Page, &k.page},
		{&f.Alien, &k.alien},
		{&f.Limit, &k.limit},
	} {
		if *one.left > 0 {
			*one.left--
			*one.it = true
			return k
		}
	}
	return k
}

// upstream is Mem0's answer to whatever went wrong behind it.
func (s *Server) upstream(code string) serverAnswer {
	detail := map[string]string{
		"datastore_unavailable":    "The memory database is unreachable.",
		"vector_store_unavailable": "The vector store is unreachable or returned an error.",
		"provider_rate_limited":    "Provider rate limit hit. Retry shortly.",
	}[code]
	if detail == "" {
		detail = "Upstream provider error."
	}
	return serverAnswer{http.StatusBadGateway, map[string]any{"detail": detail, "code": code, "request_id": fmt.Sprintf("%08x", s.requests)}}
}

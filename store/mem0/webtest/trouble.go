package webtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// A Call is one that a Platform has got. It names nobody.
type Call struct {
	N      int    // from 1
	Route  string // such as "DELETE /v1/batch/"
	Page   string // "" for the first
	IDs    int    // memories listed in the body
	Hidden bool   // hidden rows are asked for
	Status int    // 0 while it is not answered
	Note   string // "cut" if the caller got no answer, or how long it is to wait
	At     time.Time
}

// String returns the call as a line.
func (c Call) String() string {
	s := fmt.Sprintf("%4d  %-36s", c.N, c.Route)
	if c.Page != "" {
		s += " page " + c.Page
	}
	if c.IDs > 0 {
		s += fmt.Sprintf(" %d ids", c.IDs)
	}
	if c.Hidden {
		s += " with hidden rows"
	}
	s += fmt.Sprintf("  -> %d", c.Status)
	if c.Note != "" {
		s += ", " + c.Note
	}
	return s
}

// A Fault is what goes wrong with a call. The zero Fault is nothing.
type Fault struct {
	Status int         // answered without any effect
	Header http.Header // of that answer
	Body   string      // answered in the place of the API's own, with 200 if there is no Status
	Cut    Cut
}

// A Cut says when the connection is lost.
type Cut byte

// When it is.
const (
	CutBefore Cut = 'b' // before the call has any effect
	CutAfter  Cut = 'a' // after the effect, before the answer
)

// An answer is what a handler has to say: a status and what to put into JSON.
type answer struct {
	status int
	body   any
}

type handler func(r *http.Request, body []byte) answer

// logged puts f behind the key, the faults and the log.
func (p *Platform) logged(route string, f handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		c := p.enter(route, r, body)
		var fault Fault
		if p.Trouble != nil {
			fault = p.Trouble(c)
		}
		if fault.Cut == CutBefore {
			p.leave(c.N, 0, "cut before")
			panic(http.ErrAbortHandler)
		}
		a := answer{fault.Status, map[string]any{"detail": "as the test says"}}
		switch {
		case fault.Status != 0:
			for name, values := range fault.Header {
				w.Header()[name] = values
			}
		case !p.authorized(r):
			a = answer{http.StatusUnauthorized, map[string]any{"detail": "Invalid token."}}
		default:
			p.mu.Lock()
			a = f(r, body)
			p.mu.Unlock()
		}
		if fault.Cut == CutAfter {
			p.leave(c.N, a.status, "cut after")
			panic(http.ErrAbortHandler)
		}
		if fault.Body != "" && fault.Status == 0 {
			a.status = http.StatusOK
		}
		note := ""
		if wait := fault.Header.Get("Retry-After"); wait != "" {
			note = "retry after " + wait + " s"
		}
		p.leave(c.N, a.status, note)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		if fault.Body != "" {
			_, _ = io.WriteString(w, fault.Body)
			return
		}
		_ = json.NewEncoder(w).Encode(a.body)
	})
}

func (p *Platform) enter(route string, r *http.Request, body []byte) Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Call{
		N: len(p.calls) + 1, Route: route, Page: r.URL.Query().Get("page"), At: time.Now(),
		IDs:    strings.Count(string(body), `"memory_id"`),
		Hidden: r.URL.Query().Get("show_expired") == "true" && r.URL.Query().Get("include_merged") == "true",
	}
	if c.Page == "1" {
		c.Page = ""
	}
	p.calls = append(p.calls, c)
	return c
}

func (p *Platform) leave(n, status int, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[n-1].Status, p.calls[n-1].Note = status, note
}

// Calls returns all calls so far, in the order of their arrival.
func (p *Platform) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Call(nil), p.calls...)
}

// Forget empties the log of calls; the next is number 1.
func (p *Platform) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

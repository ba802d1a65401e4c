package mem0

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// Prefix is the path that the door answers below.
const Prefix = "/mem0"

const (
	answerLimit = 10 * time.Second // how long an answer waits for an erasure
	maxCalls    = 512              // calls that are being answered at once
)

// A Book is what the door asks: what *jobs.Intake answers, see jobs.Book, and Any.
type Book interface {
	Submit(ctx context.Context, s jobs.Submission) (r jobs.Request, replayed bool, err error)
	// Filed returns the request that a Submission with the same idempotency key
	// has filed before.
	Filed(ctx context.Context, s jobs.Submission) (r jobs.Request, found bool, err error)
	// Any reports whether a store has anything of what a Submission selects, and
	// files nothing. It is a *jobs.StoreDown if none has that is up, and one is down.
	Any(ctx context.Context, s jobs.Submission) (bool, error)
	Request(ctx context.Context, by jobs.Actor, id string) (jobs.Request, error)
	List(ctx context.Context, by jobs.Actor, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error)
}

type door struct {
	api.Options
	book    Book
	flights chan struct{} // holds one element for each call that is being answered
	patient time.Duration
}

// New returns the handler of everything below Prefix, with the guard of
// api.Protect around it. Of o it takes what says who comes in and how often: Tokens, Listen, Hosts, Rate, Refusals, MaxCalls, Closing and Logger.
func New(book Book, o api.Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = maxCalls
	}
	d := &door{Options: o, book: book, flights: make(chan struct{}, o.MaxCalls), patient: answerLimit}
	return api.Protect(http.HandlerFunc(d.serve), o)
}

// A call is one call of a route.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	args []string // what stands in the holes of the route's path
}

// serve finds the route of a call, lets it in and answers.
func (d *door) serve(w http.ResponseWriter, r *http.Request) {
	path := segments(r.URL)
	s := shapeOf(path)
	rt, args, allowed := find(r.Method, path)
	if rt == nil {
		s.write(w, notHere(w, path, allowed))
		return
	}
	r.Pattern = rt.method + " " + Prefix + rt.path // all that a log may have of it
	select {
	case d.flights <- struct{}{}:
		defer func() { <-d.flights }()
	default:
		s.write(w, &refusal{status: http.StatusServiceUnavailable, text: "too many calls are being answered: ask again", after: time.Second})
		return
	}
	inside, err := d.admit(r, rt.may)
	if err == nil {
		var a answer
		if a, err = rt.handle(d, call{w, inside, args}); err == nil {
			s.send(w, a)
			return
		}
	}
	if r.Context().Err() != nil {
		return // a client that has gone needs no answer
	}
	no := refusalOf(err)
	if no.status >= http.StatusInternalServerError && no.status != http.StatusServiceUnavailable || no.unexpected {
		d.Logger.LogAttrs(r.Context(), slog.LevelError, "request not answered",
			slog.String("route", r.Pattern), slog.Int("status", no.status), slog.Any("error", err))
	}
	s.write(w, no)
}

// segments returns the path of a URL below Prefix, cut at its slashes and then
// unescaped, with or without one at its end. Nil is a path that nobody means.
func segments(u *url.URL) []string {
	rest, ok := strings.CutPrefix(u.EscapedPath(), Prefix+"/")
	if !ok {
		return nil
	}
	path := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	for i, s := range path {
		text, err := url.PathUnescape(s)
		if err != nil || text == "" || text == "." || text == ".." {
			return nil
		}
		path[i] = text
	}
	return path
}

// find returns the route of a call and what stands in its holes or, without one,
// the methods that the path takes.
func find(method string, path []string) (rt *route, args, allowed []string) {
	for _, r := range routes() {
		got, ok := match(r.path, path)
		if ok && r.method == method {
			return &r, got, nil
		}
		if ok {
			allowed = append(allowed, r.method)
		}
	}
	return nil, nil, allowed
}

// match compares a path with that of a route.
func match(pattern string, path []string) (args []string, ok bool) {
	want := strings.Split(strings.Trim(pattern, "/"), "/")
	if len(want) != len(path) {
		return nil, false
	}
	for i, w := range want {
		switch {
		case strings.HasPrefix(w, "{"):
			args = append(args, path[i])
		case w != path[i]:
			return nil, false
		}
	}
	return args, true
}

// notHere is the answer to a call that has no route.
func notHere(w http.ResponseWriter, path, allowed []string) *refusal {
	if len(path) == 0 || !isMem0s(path[0]) {
		return &refusal{status: http.StatusNotFound, text: "there is nothing at this path"}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", ")) // RFC 9110, section 15.5.6; empty if there are none
	return &refusal{status: http.StatusMethodNotAllowed, text: "this is Lethe, which only deletes: send everything else, such as adding, searching and listing, to Mem0 itself"}
}

// isMem0s reports whether paths of Mem0's APIs begin so.
func isMem0s(first string) bool {
	switch first {
	case "v1", "v2", "v3", "api", "memories", "entities", "search", "configure", "reset":
		return true
	}
	return false
}

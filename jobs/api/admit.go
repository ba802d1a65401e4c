package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lethe/jobs"
)

// A Gate tells who makes a call. jobs.Tokens is one.
type Gate interface {
	// Actor returns whose token it is, see jobs.Tokens.
	Actor(ctx context.Context, token string) (jobs.Actor, error)
}

// errAuthorization is the answer to a call that says who it is in more ways than
// one, or in none that is known here.
var errAuthorization = &Problem{
	Type: "about:blank", Title: http.StatusText(http.StatusUnauthorized), Status: http.StatusUnauthorized, Code: codeNoToken,
	Detail: "the Authorization header must be one, and of the form: Bearer TOKEN",
}

// Codes of problems of who asks.
const (
	codeNoToken   = "no_token"
	codeForbidden = "forbidden"
	codeTokenSeen = "token_in_url"
)

// admit lets through to handle who may do what the route is for, and tells handle
// who it is.
func (s *server) admit(may jobs.Act, handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		r, err := s.admitted(r, may)
		if err != nil {
			return err
		}
		return handle(w, r)
	}
}

// admitted returns r with who makes it, or why it is not let in.
func (s *server) admitted(r *http.Request, may jobs.Act) (*http.Request, error) {
	if err := refuseURL(r); err != nil {
		return nil, err
	}
	if may == jobs.ActOpen || may == jobs.ActMetrics && s.local(r) {
		return r, s.metered(r, jobs.Actor{})
	}
	a, err := Authenticate(r, s.Tokens, s.Listen)
	if err != nil {
		return nil, s.refused(r, err)
	}
	if err := s.metered(r, a); err != nil {
		return nil, err
	}
	if err := a.Check(may); err != nil {
		return nil, err
	}
	return r.WithContext(WithActor(r.Context(), a)), nil
}

// Authenticate returns who makes a call, by the token in its Authorization header
// (RFC 6750, section 2.1), which must be one. Without one it is jobs.ActorOpen, if
// the service listens on a loopback address, no token was ever made and the call
// does not say that a proxy has passed it on; nobody else's. A nil gate is open.
// Errors are what the API answers: a *Problem, or one that wraps
// jobs.ErrUnknownToken or comes from the gate.
func Authenticate(r *http.Request, gate Gate, listen string) (jobs.Actor, error) {
	token, err := bearer(r.Header)
	if err != nil {
		return jobs.Actor{}, err
	}
	if gate == nil {
		return jobs.ActorOpen, nil
	}
	if token == "" && (!loopback(hostOf(listen)) || passedOn(r.Header)) {
		return jobs.Actor{}, jobs.ErrUnknownToken
	}
	return gate.Actor(r.Context(), token)
}

// bearer returns the token of a call, or "" if it has none.
func bearer(h http.Header) (string, error) {
	given := h.Values("Authorization")
	if len(given) == 0 {
		return "", nil
	}
	scheme, token, ok := strings.Cut(given[0], " ")
	if len(given) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errAuthorization
	}
	return token, nil
}

// passedOn reports whether a proxy says that it has passed a call on: then it is
// not from this machine, wherever it comes from.
func passedOn(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// refuseURL refuses a token in a URL, which stands in the logs of proxies by
// then: whoever sent it must not find that it works.
func refuseURL(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	values, _ := url.ParseQuery(r.URL.RawQuery) // what can be read of it
	for name, given := range values {
		if strings.EqualFold(name, "access_token") || strings.EqualFold(name, "token") || slices.ContainsFunc(append(given, name), jobs.LooksLikeToken) {
			return problem(http.StatusBadRequest, codeTokenSeen, "a token goes into the Authorization header, never into a URL: revoke this one")
		}
	}
	return nil
}

// Guarded puts the door around a handler that is no route of ours, such as that of
// /metrics.
func Guarded(h http.Handler, may jobs.Act, o Options) http.Handler {
	s := &server{Options: o}
	return Protect(s.answer(s.admit(may, func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	})), o)
}

// challenge says with a 401 how to come back (RFC 9110, section 11.6.1).
func challenge(w http.ResponseWriter, p *Problem) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="lethe"`)
	}
}

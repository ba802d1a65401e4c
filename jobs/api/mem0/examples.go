package mem0

import (
	"net/http"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// refused returns what the document says of a status in the shape of its API, with
// one of the refusals that have it.
func refused(r *route, s shape, status int) api.Answer {
	a := api.Answer{Status: status, Shape: PlatformError{}, Examples: []api.Example{{Name: "refused", Value: s.word(exampleRefusal(r, s, status))}}}
	if s == selfHosted {
		a.Shape = ServerError{}
	}
	switch status {
	case http.StatusUnauthorized:
		a.Headers = []api.Param{{Name: "WWW-Authenticate", Description: `Bearer realm="lethe"`}}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		a.Headers = []api.Param{{Name: "Retry-After", Description: "Seconds until it is worth asking again"}}
	}
	return a
}

func exampleRefusal(r *route, s shape, status int) *refusal {
	switch status {
	case http.StatusBadRequest:
		return exampleMalformed(r.id)
	case http.StatusUnauthorized:
		return as(errToken())
	case http.StatusForbidden:
		return refusalOf(jobs.ErrForbidden)
	case http.StatusNotFound:
		switch {
		case r.may == jobs.ActRead:
			return as(errNoEvent())
		case s == selfHosted:
			return &refusal{status: status, text: "Memory with id " + exampleEvent + " not found"}
		}
		return &refusal{status: status, text: "Memory not found!"}
	case http.StatusConflict:
		return refusalOf(jobs.ErrConflict)
	case http.StatusUnsupportedMediaType:
		return &refusal{status: status, text: "Content-Type must be application/json"}
	case http.StatusUnprocessableEntity:
		return &refusal{status: status, text: "entity_type must be user, agent or run"}
	case http.StatusTooManyRequests:
		return &refusal{status: status, text: "too many calls: ask again after the seconds in Retry-After", after: time.Second}
	case http.StatusServiceUnavailable:
		return &refusal{status: status, text: "too many calls are being answered: ask again", after: time.Second}
	}
	return &refusal{status: status, text: "the service made a mistake, which is in its log"}
}

// exampleMalformed is the 400 that a route has for itself, or else that of all.
func exampleMalformed(id string) *refusal {
	switch id {
	case "mem0-delete-memory", "mem0-server-delete-memory":
		return as(errNoUUID())
	case "mem0-delete-memories":
		return as(refuse(noFilter))
	case "mem0-delete-batch":
		return as(refuse(tooMany))
	case "mem0-delete-entity":
		return as(errNoType())
	case "mem0-delete-entity-by-number":
		return as(refuse(noNumbers))
	case "mem0-server-delete-memories":
		return as(refuse(noIdentifier))
	case "mem0-server-reset":
		return as(refuse(noReset))
	}
	return as(refuse("the query must be well formed"))
}

func as(err error) *refusal { return err.(*refusal) } //nolint:errorlint,forcetypeassert // ours are never wrapped

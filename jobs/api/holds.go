package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// A Hold is a legal hold as it goes over the wire. Whom it is about is not in it.
type Hold struct {
	ID          string         `json:"id" format:"uuid" doc:"UUID version 7"`
	State       jobs.HoldState `json:"state" enum:"placing,active,ended" doc:"placing: batches that began before it are still at work, and may erase"`
	Reason      string         `json:"reason" doc:"A code" example:"litigation-2026-14"`
	PlacedBy    string         `json:"placed_by"`
	CreatedAt   time.Time      `json:"created_at"`
	PlacedAt    *time.Time     `json:"placed_at" doc:"Nothing it selects is erased from then on; null while it is being placed"`
	Until       *time.Time     `json:"until" doc:"When it ends by itself; null for until it is released"`
	EndedAt     *time.Time     `json:"ended_at"`
	EndedBy     string         `json:"ended_by" doc:"system, if its time had come; empty before"`
	EndedReason string         `json:"ended_reason" doc:"A code; empty before"`
}

// holdList is the answer of GET /v1/holds.
type holdList struct {
	Holds []Hold `json:"holds" nullable:"false" doc:"Oldest first, without those that have ended"`
}

func wireHold(h jobs.Hold) Hold {
	utc := func(t *time.Time) *time.Time {
		if t == nil {
			return nil
		}
		return new(t.UTC())
	}
	return Hold{
		ID: h.ID, State: h.State, Reason: h.Reason, PlacedBy: h.By, CreatedAt: h.CreatedAt.UTC(), PlacedAt: utc(h.PlacedAt),
		Until: utc(h.Until), EndedAt: utc(h.EndedAt), EndedBy: h.EndedBy, EndedReason: h.EndReason,
	}
}

func (s *server) holdRoutes() []route {
	return []route{
		{
			method: "POST", path: "/v1/holds", handle: s.placeHold, id: "place-hold", may: jobs.ActHold,
			summary: "Place a legal hold",
			description: "From its answer on nothing is erased that the selector selects, whichever request asks for it: such rows are reported as held. " +
				"503 with the code hold_placing if a batch that began before goes on for long: the hold is placed as soon as it has ended, and GET /v1/holds says so. " +
				"At most 100,000 ids. Malformed bodies and refused values of reason and until are 400.",
			takes: holdSchema, status: 201, answer: Hold{}, problems: []int{400, 401, 403, 404, 408, 413, 415, 422, 503},
		},
		{
			method: "GET", path: "/v1/holds", handle: s.holds, id: "list-holds", may: jobs.ActHolds,
			summary: "List the legal holds that stand, oldest first", status: 200, answer: holdList{}, problems: []int{400, 401, 403, 404, 503},
		},
		{
			method: "DELETE", path: "/v1/holds/{id}", handle: s.releaseHold, id: "release-hold", may: jobs.ActHold,
			summary:     "Release a legal hold",
			description: "Requests that only it has held go on by themselves. 409 if it has ended, or is still being placed.",
			params:      []param{{"query", "reason", "A code; released if not given", str("", 64)}},
			status:      200, answer: Hold{}, problems: []int{400, 401, 403, 404, 409, 503},
		},
	}
}

// placeHold is POST /v1/holds.
func (s *server) placeHold(w http.ResponseWriter, r *http.Request) error {
	if s.Holds == nil {
		return jobs.ErrNotFound
	}
	if err := checkBodyHeader(r.Header); err != nil {
		return err
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxBodyBytes), control: http.NewResponseController(w)}
	order, err := readHold(body)
	if err != nil {
		return err
	}
	body.done()
	h, err := s.Holds.PlaceHold(r.Context(), order, ActorOf(r))
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/holds/"+h.ID)
	return writeJSON(w, http.StatusCreated, wireHold(h))
}

// readHold reads the body of a hold.
func readHold(r io.Reader) (o jobs.HoldOrder, err error) {
	given := map[string]bool{}
	must := func(name string, read func(string) error) field {
		return field{name, func(at string) error { given[name] = true; return read(at) }}
	}
	var ids []string
	d := newDecoder(r, func(batch []string) error {
		if ids = append(ids, batch...); len(ids) > jobs.MaxHoldIDs {
			return unacceptable("selector.ids", fmt.Sprintf("must have at most %d elements: place several holds", jobs.MaxHoldIDs))
		}
		return nil
	})
	err = d.object("", []field{
		must("selector", func(at string) error { return d.selector(&o.Selector, at) }),
		must("reason", d.reason(&o.Reason)),
		{"until", d.time(&o.Until)},
	})
	switch {
	case err != nil:
		return o, err
	case !given["selector"]:
		return o, unacceptable("selector", "must be given: everything cannot be said by omission")
	case !given["reason"]:
		return o, malformed("reason", "must be given, as a code")
	}
	err = d.finish()
	o.Selector.IDs = ids
	return o, err
}

func (d *decoder) reason(to *string) func(string) error {
	return func(at string) (err error) {
		if *to, err = d.text(at); err != nil {
			return err
		}
		return jobs.CheckHoldReason(*to)
	}
}

// holds is GET /v1/holds.
func (s *server) holds(w http.ResponseWriter, r *http.Request) error {
	if s.Holds == nil {
		return jobs.ErrNotFound
	}
	if r.URL.RawQuery != "" {
		return malformed("query", "must not have parameters")
	}
	list, err := s.Holds.Holds(r.Context(), ActorOf(r))
	if err != nil {
		return err
	}
	answer := holdList{Holds: make([]Hold, len(list))}
	for i, h := range list {
		answer.Holds[i] = wireHold(h)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// releaseHold is DELETE /v1/holds/{id}.
func (s *server) releaseHold(w http.ResponseWriter, r *http.Request) error {
	if s.Holds == nil {
		return jobs.ErrNotFound
	}
	reason, err := reasonQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	id, err := requestID(r)
	if err != nil {
		return problem(http.StatusNotFound, "not_found", "there is no such hold")
	}
	h, err := s.Holds.ReleaseHold(r.Context(), id, reason, ActorOf(r))
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "there is no such hold")
	case errors.Is(err, jobs.ErrTooLate):
		return problem(http.StatusConflict, "too_late", "the hold has ended")
	case errors.Is(err, jobs.ErrPlacing):
		return problem(http.StatusConflict, codePlacing, "the hold is still being placed: ask again once it is active")
	case err != nil:
		return err
	}
	return writeJSON(w, http.StatusOK, wireHold(h))
}

// reasonQuery reads the query of a release. As in listQuery, what is not known is
// an error.
func reasonQuery(raw string) (string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", malformed("query", "must be well formed")
	}
	reason := "released"
	for name, given := range values {
		if name != "reason" || len(given) != 1 {
			return "", malformed("query", "must not have parameters other than one reason")
		}
		reason = given[0]
	}
	return reason, jobs.CheckHoldReason(reason)
}

func holdSchema() *huma.Schema {
	selector := selectorSchema()
	selector.Properties["ids"].MaxItems = new(jobs.MaxHoldIDs)
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"selector", "reason"},
		Properties: map[string]*huma.Schema{
			"selector": selector,
			"reason":   str("A code, such as litigation-2026-14; never free text", 64),
			"until":    {Type: huma.TypeString, Format: "date-time", Description: "When the hold ends by itself; until it is released if not given"},
		},
	}
}

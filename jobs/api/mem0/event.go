package mem0

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

const (
	newest  = 1000 // events are listed of so many requests
	perPage = 100
	maxPage = 200
)

// An Event is a request as the Platform tells of a deletion. It holds no identity.
type Event struct {
	ID          string        `json:"id" format:"uuid" doc:"ID of the request"`
	EventType   string        `json:"event_type" enum:"DELETE"`
	Status      string        `json:"status" enum:"PENDING,RUNNING,SUCCEEDED,FAILED" doc:"SUCCEEDED once everything was read again and is gone; FAILED if it was cancelled or rejected, or a part of it refused"`
	Payload     struct{}      `json:"payload" doc:"Always empty: nobody is named"`
	Metadata    EventMetadata `json:"metadata"`
	Results     []EventResult `json:"results" nullable:"false" doc:"One for each store"`
	CreatedAt   time.Time     `json:"created_at"`
	UpdatedAt   time.Time     `json:"updated_at"`
	StartedAt   *time.Time    `json:"started_at" doc:"When erasing began; null until then"`
	CompletedAt *time.Time    `json:"completed_at" doc:"When the request ended; null until then"`
	Latency     *float64      `json:"latency" doc:"From its beginning to its end, in milliseconds; null until then"`
	GraphStatus *string       `json:"graph_status" doc:"Always null"`
	Error       *string       `json:"error" doc:"Why it failed, or null"`
}

// EventMetadata is what Lethe says of a request besides.
type EventMetadata struct {
	Status      jobs.Status `json:"status" doc:"As in /v1/requests/{id}"`
	Origin      string      `json:"origin" doc:"Through which door it came"`
	Reason      string      `json:"reason" doc:"How far it is, or why it waits, as a code"`
	Certificate *string     `json:"certificate" doc:"Path of the certificate; null until there is one"`
}

// EventResult is what became of a request in one store. All numbers count IDs.
type EventResult struct {
	Store       string         `json:"store"`
	Kind        string         `json:"kind" example:"mem0-sqlite"`
	Evidence    store.Evidence `json:"evidence" enum:"none,erased,verified,purged"`
	Found       int            `json:"found"`
	Erased      int            `json:"erased"`
	Absent      int            `json:"absent"`
	Held        int            `json:"held"`
	Refused     int            `json:"refused"`
	Remaining   int            `json:"remaining"`
	Certificate *string        `json:"certificate" doc:"Path of the certificate; null until there is one"`
}

// Events is one page of them.
type Events struct {
	Count    int     `json:"count" doc:"How many there are, 1000 at most: older requests are in /v1/requests"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  []Event `json:"results" nullable:"false" doc:"Newest first"`
}

func errNoEvent() error {
	return &refusal{status: http.StatusNotFound, text: "Event not found or you don't have permission to access it."}
}

// event is GET /v1/event/{event_id}/.
func (d *door) event(c call) (answer, error) {
	if _, err := c.query(); err != nil {
		return answer{}, err
	}
	id := c.args[0]
	if len(id) != 36 || uuid.Validate(id) != nil || strings.ToLower(id) != id {
		return answer{}, errNoEvent() // the book need not be asked
	}
	r, err := d.book.Request(c.r.Context(), api.ActorOf(c.r), id)
	if errors.Is(err, jobs.ErrNotFound) {
		return answer{}, errNoEvent()
	}
	return answer{http.StatusOK, eventOf(r)}, err
}

// events is GET /v1/events/.
func (d *door) events(c call) (answer, error) {
	q, err := c.query("page", "page_size")
	if err != nil {
		return answer{}, err
	}
	page, err := number(q, "page", 1, newest)
	if err != nil {
		return answer{}, err
	}
	size, err := number(q, "page_size", perPage, maxPage)
	if err != nil {
		return answer{}, err
	}
	list, _, err := d.book.List(c.r.Context(), api.ActorOf(c.r), nil, newest, "")
	if err != nil {
		return answer{}, err
	}
	from := min((page-1)*size, len(list))
	to := min(from+size, len(list))
	all := Events{Count: len(list), Results: []Event{}}
	for _, r := range list[from:to] {
		all.Results = append(all.Results, eventOf(r))
	}
	link := func(page int) *string {
		return new(fmt.Sprintf("%s/v1/events/?page=%d&page_size=%d", Prefix, page, size))
	}
	if to < len(list) {
		all.Next = link(page + 1)
	}
	if from > 0 {
		all.Previous = link(page - 1)
	}
	return answer{http.StatusOK, all}, nil
}

func number(q url.Values, name string, otherwise, limit int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, refuse("%s must be a number from 1 to %d", name, limit)
	}
	return n, nil
}

// eventOf words a request as an event.
func eventOf(r jobs.Request) Event {
	e := Event{
		ID: r.ID, EventType: "DELETE", Results: []EventResult{}, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.CreatedAt.UTC(),
		Metadata: EventMetadata{Status: r.Status, Origin: r.Origin, Reason: reason(r)},
	}
	e.Status, e.Error = progress(r)
	if r.Certificate {
		e.Metadata.Certificate = new("/v1/requests/" + r.ID + "/certificate")
	}
	for _, j := range r.Jobs {
		result := EventResult{
			Store: j.Store, Kind: j.Kind, Evidence: j.Evidence, Found: j.Found, Erased: j.Erased, Absent: j.Absent,
			Held: j.Held, Refused: j.Refused, Remaining: j.Remaining, Certificate: e.Metadata.Certificate,
		}
		if result.Evidence == "" {
			result.Evidence = store.EvidenceNone
		}
		e.Results = append(e.Results, result)
		for _, t := range []*time.Time{j.PlannedAt, j.FirstErasedAt, j.ErasedAt, j.VerifiedAt, j.PurgedAt} {
			if t != nil && t.After(e.UpdatedAt) {
				e.UpdatedAt = t.UTC()
			}
		}
		if t := j.FirstErasedAt; t != nil && (e.StartedAt == nil || t.Before(*e.StartedAt)) {
			e.StartedAt = new(t.UTC())
		}
	}
	if r.CompletedAt != nil {
		e.CompletedAt = new(r.CompletedAt.UTC())
		e.UpdatedAt = *e.CompletedAt
		e.Latency = new(float64(e.CompletedAt.Sub(e.CreatedAt)) / float64(time.Millisecond))
	}
	return e
}

// progress says how far a request is in the Platform's words, and why it failed.
func progress(r jobs.Request) (status string, why *string) {
	switch {
	case gone(r):
		return "SUCCEEDED", nil
	case r.Status == jobs.Completed:
		return "FAILED", new("a part of the request was refused: its certificate says what is left and why")
	case r.Status.Ended():
		return "FAILED", new("the request was " + string(r.Status))
	case r.Status == jobs.Erasing, r.Status == jobs.Verifying, r.Status == jobs.Held:
		return "RUNNING", nil
	}
	return "PENDING", nil
}

// exampleOfEvent is one as the OpenAPI document shows it.
func exampleOfEvent() Event {
	at := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	return eventOf(jobs.Request{
		ID: exampleEvent, Status: jobs.Completed, Origin: jobs.OriginMem0, CreatedAt: at, CompletedAt: new(at.Add(80 * time.Millisecond)), Certificate: true,
		Jobs: []jobs.Job{{Store: "assistant", Kind: "mem0-sqlite", Stage: jobs.StageDone, Evidence: store.EvidencePurged, Found: 1, Erased: 1, FirstErasedAt: new(at.Add(30 * time.Millisecond))}},
	})
}

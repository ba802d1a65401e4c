package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"lethe/jobs"
)

// Page sizes of the list.
const (
	defaultPage = 100
	maxPage     = 1000
)

// requestID returns the id of the path. What is not an ID in its one spelling
// names no request, so the book need not be asked.
func requestID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if len(id) != 36 || uuid.Validate(id) != nil || strings.ToLower(id) != id {
		return "", jobs.ErrNotFound
	}
	return id, nil
}

// list is GET /v1/requests.
func (s *server) list(w http.ResponseWriter, r *http.Request) error {
	q, err := listQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	ask := s.Book.List
	if q.due != "" {
		ask = func(ctx context.Context, by jobs.Actor, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error) {
			return s.Book.ListDue(ctx, by, q.due, statuses, limit, cursor)
		}
	}
	requests, next, err := ask(r.Context(), ActorOf(r), q.statuses, q.limit, q.cursor)
	if err != nil {
		return err
	}
	answer := page{}
	for _, req := range requests {
		answer.Requests = append(answer.Requests, wireRequest(req))
	}
	if next != "" {
		answer.NextCursor = &next
	}
	return writeJSON(w, http.StatusOK, answer)
}

type query struct {
	statuses []jobs.Status
	due      jobs.Due
	limit    int
	cursor   string
}

// listQuery reads the query of the list. A parameter it does not know is an
// error: a misspelled filter would otherwise show everything.
func listQuery(raw string) (query, error) {
	q := query{limit: defaultPage}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, malformed("query", "must be well formed")
	}
	for name, given := range values {
		switch name {
		case "status":
			err = q.setStatuses(given)
		case "due":
			err = q.setDue(given)
		case "limit":
			err = q.setLimit(given)
		case "cursor":
			err = q.setCursor(given)
		default:
			err = malformed("query", "must not have parameters other than status, due, limit, cursor")
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

func (q *query) setStatuses(given []string) error {
	for _, name := range strings.Split(strings.Join(given, ","), ",") {
		st, ok := jobs.ParseStatus(name)
		switch {
		case name == "": // status= is the same as no status
		case !ok:
			return malformed("status", "must be one or more of the statuses of a request")
		case !slices.Contains(q.statuses, st):
			q.statuses = append(q.statuses, st)
		}
	}
	return nil
}

func (q *query) setLimit(given []string) (err error) {
	if given[0] == "" && len(given) == 1 {
		return nil
	}
	if q.limit, err = strconv.Atoi(given[0]); err != nil || len(given) > 1 || q.limit < 1 || q.limit > maxPage {
		return malformed("limit", fmt.Sprintf("must be one number from 1 to %d", maxPage))
	}
	return nil
}

func (q *query) setCursor(given []string) error {
	if q.cursor = given[0]; len(given) > 1 || len(q.cursor) > 512 {
		return malformed("cursor", "must be the next_cursor of an answer")
	}
	return nil
}

// one is GET /v1/requests/{id}.
func (s *server) one(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	req, err := s.Book.Request(r.Context(), ActorOf(r), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wireRequest(req))
}

// cancel is POST /v1/requests/{id}/cancel.
func (s *server) cancel(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	req, err := s.Book.Cancel(r.Context(), ActorOf(r), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wireRequest(req))
}

// subjectKey is GET /v1/requests/{id}/subject-key.
func (s *server) subjectKey(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	key, err := s.Book.SubjectKey(r.Context(), ActorOf(r), id)
	if err != nil {
		return err
	}
	return writeText(w, []byte(hex.EncodeToString(key)+"\n"))
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
	return nil
}

func writeText(w http.ResponseWriter, text []byte) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text) // a client that has gone needs no answer
	return nil
}

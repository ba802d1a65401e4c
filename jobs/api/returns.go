package api

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
	"lethe/store"
)

// Suppression says whether somebody was forgotten.
type Suppression struct {
	Suppressed bool       `json:"suppressed" doc:"Whether a completed request has erased all that this identifier selected; false also once that is so long ago that the key of its digest was destroyed"`
	ErasedAt   *time.Time `json:"erased_at" doc:"As of when nothing was left, by the newest such request; null for none"`
	Request    *string    `json:"request" doc:"That request, if the caller may see it; else null"`
}

// Replay says what a restored backup has brought back. All numbers count IDs.
type Replay struct {
	ID       string        `json:"id" doc:"As in the log; empty of a dry run"`
	Store    string        `json:"store"`
	Back     int           `json:"back" doc:"Were erased, and are there again: they are erased again"`
	Later    int           `json:"later" doc:"Are of somebody who was forgotten, and were made afterwards: they are left"`
	Undated  int           `json:"undated" doc:"Are of somebody who was forgotten, and do not say when they were made: they are left"`
	Unknown  int           `json:"unknown" doc:"Digests, and requests that only the log knows, that nothing can be compared with, because their key is not there"`
	Places   []ReplayPlace `json:"places" nullable:"false"`
	Requests []string      `json:"requests" nullable:"false" doc:"That erase them again; none of a dry run"`
}

// ReplayPlace is what has come back in one place of a store.
type ReplayPlace struct {
	Place   string `json:"place"`
	Back    int    `json:"back"`
	Later   int    `json:"later"`
	Undated int    `json:"undated"`
}

func (s *server) returnRoutes() []route {
	return []route{
		{
			method: "POST", path: "/v1/suppressions/check", handle: s.suppressed, id: "check-suppression", may: jobs.ActSuppression,
			summary: "Ask whether somebody was forgotten",
			description: "For writers that want to ask before they write. The selector has one of user_id, agent_id, app_id, run_id, and nothing else. " +
				"It is compared with keyed digests, and is not kept.",
			takes: suppressionSchema, status: 200, answer: Suppression{}, problems: []int{400, 401, 403, 404, 408, 413, 415, 422, 503},
		},
		{
			method: "POST", path: "/v1/stores/{name}/replays", handle: s.replay, id: "replay-store", may: jobs.ActReplay,
			summary: "Erase again what a restored backup has brought back",
			description: "Reads the whole store once, compares it with the digests of what was erased, and files a request for the rows that were made before they were erased. " +
				"What was made afterwards is left. With dry_run it changes nothing. 409 if the store's clock and ours differ by more than a minute, or it cannot list what is in it.",
			takes: replaySchema, bare: true, status: 200, answer: Replay{}, problems: []int{400, 401, 403, 404, 408, 409, 413, 415, 503},
		},
	}
}

func suppressionSchema() *huma.Schema {
	one := selectorSchema()
	for _, key := range []string{"ids", "metadata"} {
		delete(one.Properties, key)
	}
	one.MaxProperties, one.Description = new(1), "One identity key. Its value is exact."
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"selector"},
		Properties: map[string]*huma.Schema{"selector": one},
	}
}

func replaySchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"backup_time": {Type: huma.TypeString, Format: "date-time", Description: "When the backup was made: what was erased since then is compared. All that is known if not given"},
			"dry_run":     {Type: huma.TypeBoolean, Description: "Only say what would be erased"},
		},
	}
}

// suppressed is POST /v1/suppressions/check.
func (s *server) suppressed(w http.ResponseWriter, r *http.Request) error {
	if s.Returns == nil {
		return jobs.ErrNotFound
	}
	var sel store.Selector
	given := false
	err := s.readBody(w, r, func(d *decoder) []field {
		return []field{{"selector", func(at string) error { given = true; return d.selector(&sel, at) }}}
	})
	switch {
	case err != nil:
		return err
	case !given:
		return unacceptable("selector", "must be given")
	}
	found, err := s.Returns.Suppressed(r.Context(), ActorOf(r), sel)
	if err != nil {
		return err
	}
	answer := Suppression{}
	if found != nil {
		answer.Suppressed, answer.ErasedAt = true, timeOrNil(found.ErasedAt)
		if found.Request != "" {
			answer.Request = new(found.Request)
		}
	}
	return writeJSON(w, http.StatusOK, answer)
}

// readBody reads a small body.
func (s *server) readBody(w http.ResponseWriter, r *http.Request, fields func(*decoder) []field) error {
	if r.URL.RawQuery != "" {
		return malformed("query", "must not have parameters")
	}
	if err := checkBodyHeader(r.Header); err != nil {
		return err
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxBodyBytes), control: http.NewResponseController(w)}
	d := newDecoder(body, func([]string) error { return unacceptable("selector.ids", "must not be given") })
	err := d.object("", fields(d))
	if err == nil {
		err = d.finish()
	}
	if err == nil {
		body.done()
	}
	return err
}

// replay is POST /v1/stores/{name}/replays.
func (s *server) replay(w http.ResponseWriter, r *http.Request) error {
	if s.Returns == nil {
		return jobs.ErrNotFound
	}
	o := jobs.ReplayOrder{Store: r.PathValue("name")}
	if r.ContentLength != 0 {
		err := s.readBody(w, r, func(d *decoder) []field {
			return []field{{"backup_time", d.time(&o.BackupAt)}, {"dry_run", d.flag(&o.Dry)}}
		})
		if err != nil {
			return err
		}
	} else if r.URL.RawQuery != "" {
		return malformed("query", "must not have parameters")
	}
	found, err := s.Returns.Replay(r.Context(), ActorOf(r), o)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "there is no such store")
	case errors.Is(err, jobs.ErrUnable):
		return problem(http.StatusConflict, "store_unable", "the store cannot list what is in it, so nobody can tell what has come back: ask again for each person, if you know who they are")
	case errors.Is(err, jobs.ErrSkew):
		return problem(http.StatusConflict, "clock_skew", "the store's clock and that of the service differ by more than a minute: set them right")
	case errors.Is(err, store.ErrUnavailable):
		return &jobs.StoreDown{Store: o.Store, Err: err}
	case err != nil:
		return err
	}
	return writeJSON(w, http.StatusOK, wireReplay(found))
}

func wireReplay(r jobs.Replay) Replay {
	w := Replay{
		ID: r.ID, Store: r.Store, Back: r.Back, Later: r.Later, Undated: r.Undated, Unknown: r.Keyless,
		Places: []ReplayPlace{}, Requests: append([]string{}, r.Requests...),
	}
	for place, of := range r.Places {
		w.Places = append(w.Places, ReplayPlace{Place: place, Back: of.Back, Later: of.Later, Undated: of.Undated})
	}
	slices.SortFunc(w.Places, func(a, b ReplayPlace) int { return cmp.Compare(a.Place, b.Place) })
	return w
}

func exampleSuppression() Suppression {
	return Suppression{Suppressed: true, ErasedAt: new(exampleTime()), Request: new(exampleID)}
}

func exampleReplay() Replay {
	return Replay{
		ID: "6d1f8a52-90c3-4a55-8d0e-3c0f6f3b7a10", Store: "assistant", Back: 89, Later: 2, Requests: []string{exampleID},
		Places: []ReplayPlace{{Place: "entities", Back: 43}, {Place: "memories", Back: 38, Later: 2}, {Place: "messages", Back: 8}},
	}
}

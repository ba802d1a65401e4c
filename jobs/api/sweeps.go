package api

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// A Policy is a retention policy as it goes over the wire.
type Policy struct {
	Name   string     `json:"name"`
	Stores []string   `json:"stores" nullable:"false"`
	When   string     `json:"when" doc:"Its schedule, as it is configured" example:"every 1h"`
	Where  []string   `json:"where" nullable:"false" doc:"What it goes by: expired, older_than, orphaned, and the keys of a selector, without their values"`
	Next   *time.Time `json:"next_at" doc:"When it is due next; null for never"`
	Sweeps []Sweep    `json:"sweeps" nullable:"false" doc:"The newest, newest first"`
}

// A Sweep is one run of a policy in one store.
type Sweep struct {
	ID      string          `json:"id" format:"uuid" doc:"UUID version 7"`
	Policy  string          `json:"policy"`
	Store   string          `json:"store"`
	DueAt   time.Time       `json:"due_at"`
	RunBy   string          `json:"run_by" doc:"Who ran it by hand; empty for one that was due"`
	Missed  int             `json:"missed" doc:"Earlier times at which it was due and no service ran, which it makes up for"`
	State   jobs.SweepState `json:"state" enum:"open,filed,empty,covered,refused" doc:"open: not run yet, and tried again each minute; covered: the next one has made up for it"`
	Reason  string          `json:"reason" enum:",store-down,store-error,store-unable,clock-skew,clock-back,clock-jump,overlap" doc:"Why it could not be run when it was last tried; empty otherwise"`
	Detail  string          `json:"detail" doc:"The reason in words, with what to do"`
	AsOf    *time.Time      `json:"as_of" doc:"By the store's clock; what was selected does not change after it"`
	Found   int             `json:"found" doc:"Rows"`
	Held    int             `json:"held" doc:"IDs that legal holds forbid to erase, of a sweep that found nothing else"`
	Undated int             `json:"undated" doc:"Rows that do not say how old they are in a way that can be read: they are left"`
	Request *string         `json:"request" doc:"The ID of the request that it has filed, or null"`
	Status  jobs.Status     `json:"status,omitempty" doc:"Of that request"`
	DoneAt  *time.Time      `json:"done_at"`
}

// A SweepPlan says what a policy would erase in one store now.
type SweepPlan struct {
	Store   string        `json:"store"`
	Reason  string        `json:"reason" doc:"Why it could not be run now; empty if it could. Then nothing else is told"`
	Detail  string        `json:"detail"`
	AsOf    *time.Time    `json:"as_of"`
	Found   int           `json:"found" doc:"IDs"`
	Held    int           `json:"held" doc:"Of them, those that legal holds forbid to erase"`
	Places  []sweptPlace  `json:"places" nullable:"false"`
	Undated int           `json:"undated" doc:"Rows that do not say how old they are in a way that can be read: they are left"`
	Oldest  *time.Time    `json:"oldest" doc:"When the oldest of the rows found was made or, of expired ones, ended"`
	Newest  *time.Time    `json:"newest"`
	Beyond  []jobs.Excess `json:"beyond" nullable:"false" doc:"Why its request would wait for somebody's approval"`
}

// A sweptPlace is what of a place would be erased.
type sweptPlace struct {
	Place   string `json:"place"`
	Found   int    `json:"found"`
	Total   int    `json:"total" doc:"Rows that the place has in all; 0 if the store does not say"`
	With    string `json:"with,omitempty" doc:"The place whose rows these hang on"`
	Undated int    `json:"undated"`
}

// policyList is the answer of GET /v1/policies.
type policyList struct {
	Policies []Policy `json:"policies" nullable:"false"`
}

// SweepResult is the answer of POST /v1/policies/{name}/sweeps: one of the two, with
// one element for each store of the policy.
type SweepResult struct {
	Sweeps []Sweep     `json:"sweeps,omitempty" nullable:"false" doc:"What was run"`
	Plans  []SweepPlan `json:"plans,omitempty" nullable:"false" doc:"What would be erased, of a dry run"`
}

func (s *server) sweepRoutes() []route {
	return []route{
		{
			method: "GET", path: "/v1/policies", handle: s.policies, id: "list-policies", may: jobs.ActPolicies,
			summary: "List the retention policies with their last sweeps", status: 200, answer: policyList{}, problems: []int{400, 401, 403, 404, 503},
		},
		{
			method: "POST", path: "/v1/policies/{name}/sweeps", handle: s.sweep, id: "run-policy", may: jobs.ActSweep,
			summary: "Run a retention policy now",
			description: "In each of its stores it files one request, unless there is nothing to erase, and says which. A store in which it cannot be run has the state refused, and a reason. " +
				"A clock that is not believed by itself is believed then. With dry_run it changes nothing, and says what would be erased: 200. The body may be left out.",
			takes: sweepSchema, bare: true, status: 202, answer: SweepResult{}, also: []Answer{{Status: http.StatusOK, Shape: SweepResult{}, Examples: sweepPlanExamples()}}, problems: []int{400, 401, 403, 404, 408, 413, 415, 503},
		},
	}
}

func sweepSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"dry_run": {Type: huma.TypeBoolean, Description: "Only say what would be erased"},
		},
	}
}

// policies is GET /v1/policies.
func (s *server) policies(w http.ResponseWriter, r *http.Request) error {
	if s.Sweeps == nil {
		return jobs.ErrNotFound
	}
	if r.URL.RawQuery != "" {
		return malformed("query", "must not have parameters")
	}
	list, err := s.Sweeps.Policies(r.Context(), ActorOf(r))
	if err != nil {
		return err
	}
	answer := policyList{Policies: make([]Policy, len(list))}
	for i, p := range list {
		answer.Policies[i] = wirePolicy(p)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// sweep is POST /v1/policies/{name}/sweeps.
func (s *server) sweep(w http.ResponseWriter, r *http.Request) error {
	if s.Sweeps == nil {
		return jobs.ErrNotFound
	}
	if r.URL.RawQuery != "" {
		return malformed("query", "must not have parameters")
	}
	dry, err := readSweep(w, r)
	if err != nil {
		return err
	}
	name, answer, status := r.PathValue("name"), SweepResult{}, http.StatusAccepted
	if dry {
		var plans []jobs.SweepSight
		if plans, err = s.Sweeps.Preview(r.Context(), ActorOf(r), name); err == nil {
			answer.Plans, status = wireSights(plans), http.StatusOK
		}
	} else {
		var list []jobs.Sweep
		if list, err = s.Sweeps.Sweep(r.Context(), ActorOf(r), name); err == nil {
			answer.Sweeps = wireSweeps(list)
		}
	}
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "there is no such policy")
	case err != nil:
		return err
	}
	return writeJSON(w, status, answer)
}

// readSweep reads the body, if there is one.
func readSweep(w http.ResponseWriter, r *http.Request) (dry bool, err error) {
	if r.ContentLength == 0 {
		return false, nil
	}
	if err := checkBodyHeader(r.Header); err != nil {
		return false, err
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxBodyBytes), control: http.NewResponseController(w)}
	d := newDecoder(body, func([]string) error { return nil })
	err = d.object("", []field{{"dry_run", d.flag(&dry)}})
	if err == nil {
		err = d.finish()
	}
	if err == nil {
		body.done()
	}
	return dry, err
}

func wirePolicy(p jobs.PolicyView) Policy {
	w := Policy{Name: p.Name, Stores: p.Stores, When: p.When, Where: whereOf(p.Policy), Sweeps: wireSweeps(p.Sweeps), Next: timeOrNil(p.Next)}
	return w
}

// whereOf names what a policy goes by. Whom it is about is not told.
func whereOf(p jobs.Policy) []string {
	where := []string{}
	if p.Expired {
		where = append(where, "expired")
	}
	if p.OlderThan > 0 {
		where = append(where, "older_than "+ageText(p.OlderThan))
	}
	if p.Orphaned {
		where = append(where, "orphaned")
	}
	for _, f := range p.Who.Identity() {
		where = append(where, f.Name)
	}
	if len(p.Who.Metadata) > 0 {
		where = append(where, "metadata")
	}
	return where
}

func ageText(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return (d / 24).String()[:strings.Index((d/24).String(), "h")] + "d"
	}
	return d.String()
}

func wireSweeps(list []jobs.Sweep) []Sweep {
	out := make([]Sweep, len(list))
	for i, s := range list {
		out[i] = Sweep{
			ID: s.ID, Policy: s.Policy, Store: s.Store, DueAt: s.DueAt.UTC(), RunBy: s.By, Missed: s.Missed, State: s.State, Reason: s.Reason,
			AsOf: timeOrNil(s.AsOf), Found: s.Found, Held: s.Held, Undated: s.Undated, Status: s.Status, DoneAt: s.DoneAt,
		}
		if s.Reason != "" {
			out[i].Detail = jobs.ExplainRefusal(s.Reason)
		}
		if s.Request != "" {
			out[i].Request = new(s.Request)
		}
	}
	return out
}

func wireSights(list []jobs.SweepSight) []SweepPlan {
	out := make([]SweepPlan, len(list))
	for i, s := range list {
		p := SweepPlan{
			Store: s.Store, Reason: s.Refused, AsOf: timeOrNil(s.AsOf), Found: s.IDs, Held: s.Held,
			Oldest: timeOrNil(s.Oldest), Newest: timeOrNil(s.Newest), Beyond: slices.Concat([]jobs.Excess{}, s.Beyond), Places: []sweptPlace{},
		}
		if s.Refused != "" {
			p.Detail = jobs.ExplainRefusal(s.Refused)
		}
		rest := maps.Clone(s.Undated)
		for _, c := range s.Places {
			p.Places = append(p.Places, sweptPlace{Place: c.Place, Found: c.Found, Total: c.Total, With: c.With, Undated: rest[c.Place]})
			delete(rest, c.Place)
		}
		for _, n := range s.Undated {
			p.Undated += n
		}
		out[i] = p
	}
	return out
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

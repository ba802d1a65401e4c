package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// Deadlines are what the clock of a Request shows besides due_at. Their times
// have the offset of the regime's time zone, as due_at has: the day that they
// show is the one that counts.
type Deadlines struct {
	Overdue         bool       `json:"overdue" doc:"due_at has passed, and the request goes on"`
	ConfirmBy       *time.Time `json:"confirm_by" doc:"Until when its receipt is to be confirmed to who asked; null if the regime asks for none"`
	ConfirmedAt     *time.Time `json:"confirmed_at"`
	ConfirmOverdue  bool       `json:"confirm_overdue" doc:"confirm_by has passed without a confirmation"`
	FirstDueAt      *time.Time `json:"first_due_at" doc:"What due_at was before it was extended; null if it was not"`
	ExtendedAt      *time.Time `json:"extended_at"`
	ExtendedBy      string     `json:"extended_by" doc:"Opaque"`
	ExtensionReason string     `json:"extension_reason" doc:"A code, or empty" example:"complexity"`
	RefusedInPart   []Refused  `json:"exemptions" nullable:"false" doc:"Parts that are refused: nothing of them is erased"`
}

// A Refused is a part of a request that is refused.
type Refused struct {
	Store    string     `json:"store"`
	Place    string     `json:"place" doc:"Empty for the whole store"`
	Reason   string     `json:"reason" doc:"A code" example:"art17-3-b"`
	By       string     `json:"by" doc:"Opaque"`
	At       time.Time  `json:"at"`
	ReviewAt *time.Time `json:"review_at" doc:"When it is to be looked at again, or null"`
	IDs      int        `json:"ids" doc:"Left, when the store was last read"`
}

func wireDeadlines(r jobs.Request) Deadlines {
	utc := func(t *time.Time) *time.Time {
		if t == nil {
			return nil
		}
		return new(t.UTC())
	}
	d := Deadlines{
		Overdue: r.Overdue, ConfirmBy: r.Clock.ConfirmBy, ConfirmedAt: utc(r.Clock.ConfirmedAt), ConfirmOverdue: r.Clock.ConfirmOverdue,
		FirstDueAt: utc(r.Clock.FirstDueAt), ExtendedAt: utc(r.Clock.ExtendedAt), ExtendedBy: r.Clock.ExtendedBy, ExtensionReason: r.Clock.Reason,
	}
	if r.Clock.FirstDueAt != nil {
		d.FirstDueAt = new(r.Clock.FirstDueAt.In(r.DueAt.Location()))
	}
	for _, x := range r.Exemptions {
		d.RefusedInPart = append(d.RefusedInPart, Refused{
			Store: x.Store, Place: x.Place, Reason: x.Reason, By: x.By, At: x.At.UTC(), ReviewAt: utc(x.ReviewAt), IDs: x.IDs,
		})
	}
	return d
}

func (s *server) clockRoutes() []route {
	const byID = "/v1/requests/{id}"
	return []route{
		{
			method: "POST", path: byID + "/extend", handle: s.extend, id: "extend-request", may: jobs.ActDecide,
			summary: "Extend the period of a request",
			description: "Once, and before the first period ends; the reason is a code: complexity, number, reasonably-necessary, or one of the configuration's. " +
				"409 with the code already_extended, overdue, not_extendable or too_late.",
			takes: decisionSchema("reason", "A code, such as complexity"), status: 200, answer: Request{}, problems: []int{400, 401, 403, 404, 408, 409, 413, 415, 422, 503},
		},
		{
			method: "POST", path: byID + "/confirm", handle: s.confirm, id: "confirm-request", may: jobs.ActDecide,
			summary:     "Record that the receipt of a request was confirmed to who asked",
			description: "Lethe writes to nobody: confirm first, and then say so. 409 with the code no_confirmation, already_confirmed or too_late.",
			status:      200, answer: Request{}, problems: []int{401, 403, 404, 409, 503},
		},
		{
			method: "POST", path: byID + "/exempt", handle: s.exempt, id: "exempt-part", may: jobs.ActDecide,
			summary: "Refuse a part of a request: a store, or a place of one",
			description: "Before erasing begins. What has been planned is planned anew without it, under another plan_hash. The reason is a code: art17-3-a to -e, " +
				"ccpa-1798.105-d-1 to -8, or one of the configuration's. 409 with the code begun, already_exempt or too_late.",
			takes: exemptionSchema, status: 200, answer: Request{}, problems: []int{400, 401, 403, 404, 408, 409, 413, 415, 422, 503},
		},
	}
}

func exemptionSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"store", "reason"},
		Properties: map[string]*huma.Schema{
			"store": str("One of the request's", 64), "place": str("Of the store's data map; the whole store if not given", 64), "reason": str("A code", 64),
			"review_at": {Type: huma.TypeString, Format: "date-time", Description: "When it is to be looked at again"},
		},
	}
}

// extend is POST /v1/requests/{id}/extend.
func (s *server) extend(w http.ResponseWriter, r *http.Request) error {
	return s.decide(w, r, "reason", s.Book.Extend)
}

// confirm is POST /v1/requests/{id}/confirm.
func (s *server) confirm(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	req, err := s.Book.Confirm(r.Context(), ActorOf(r), id)
	return s.decided(w, req, err)
}

// exempt is POST /v1/requests/{id}/exempt.
func (s *server) exempt(w http.ResponseWriter, r *http.Request) error {
	var (
		x      jobs.Exemption
		review time.Time
	)
	id, err := requestID(r)
	if err != nil {
		return err
	}
	if err := checkBodyHeader(r.Header); err != nil {
		return err
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxDecisionBytes), control: http.NewResponseController(w)}
	d := newDecoder(body, nil)
	err = d.object("", []field{{"store", d.code(&x.Store)}, {"place", d.place(&x.Place)}, {"reason", d.code(&x.Reason)}, {"review_at", d.time(&review)}})
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return err
	}
	body.done()
	switch {
	case x.Store == "":
		return unacceptable("store", "must be given")
	case x.Reason == "":
		return unacceptable("reason", "must be given")
	case !review.IsZero():
		x.ReviewAt = &review
	}
	req, err := s.Book.Exempt(r.Context(), ActorOf(r), id, x)
	return s.decided(w, req, err)
}

// place reads the name of a place, whatever letters the store gives it; the
// book knows whether there is one.
func (d *decoder) place(to *string) func(string) error {
	return func(at string) (err error) {
		if *to, err = d.text(at); err == nil && (*to == "" || len(*to) > 64) {
			return malformed(at, "must be a name of 1 to 64 bytes, or left out")
		}
		return err
	}
}

func (s *server) decided(w http.ResponseWriter, req jobs.Request, err error) error {
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wireRequest(req))
}

// setDue reads the parameter due of the list.
func (q *query) setDue(given []string) error {
	due, ok := jobs.ParseDue(given[0])
	if !ok || len(given) > 1 {
		return malformed("due", "must be overdue, 1d, 3d, 7d or unconfirmed")
	}
	q.due = due
	return nil
}

// Extend extends the period of a request, once and before its end, for a reason that
// is a code. 404 if there is none, 409 with the code already_extended, overdue,
// not_extendable or too_late, 400 for a reason that is not known.
func (c *Client) Extend(ctx context.Context, id, reason string) (Request, error) {
	return c.decide(ctx, idPath(id)+"/extend", map[string]string{"reason": reason})
}

// Confirm records that the receipt of a request was confirmed to who asked. 404 if
// there is no such request, 409 with the code no_confirmation, already_confirmed or
// too_late.
func (c *Client) Confirm(ctx context.Context, id string) (Request, error) {
	answer, err := c.do(ctx, http.MethodPost, idPath(id)+"/confirm", nil, nil) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Request{}, err
	}
	return decodeAnswer[Request](answer)
}

// Exempt refuses a part of a request. Of x it sends Store, Place, Reason and
// ReviewAt. 404 if there is no such request, 409 with the code begun, already_exempt
// or too_late, 400 for a reason that is not known, 422 if there is no such part.
func (c *Client) Exempt(ctx context.Context, id string, x Refused) (Request, error) {
	body := map[string]string{"store": x.Store, "reason": x.Reason}
	if x.Place != "" {
		body["place"] = x.Place
	}
	if x.ReviewAt != nil {
		body["review_at"] = x.ReviewAt.Format(time.RFC3339)
	}
	return c.decide(ctx, idPath(id)+"/exempt", body)
}

// dueQuery is the query of a list by deadline.
func dueQuery(due jobs.Due) url.Values {
	if due == "" {
		return url.Values{}
	}
	return url.Values{"due": {string(due)}}
}

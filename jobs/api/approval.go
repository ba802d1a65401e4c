package api

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"lethe/jobs"
)

// An Approval is what a request's plan needs of a second person, as it goes over
// the wire.
type Approval struct {
	Needed bool          `json:"needed" doc:"It waits: somebody who did not file it has to look at the plan, and to approve its hash or to reject it"`
	Beyond []jobs.Excess `json:"beyond" nullable:"false" doc:"Why it has, or had, to be approved; empty if it need not be"`
	Since  *time.Time    `json:"since" doc:"Since when it waits; null if it does not"`
	By     string        `json:"by" doc:"Who approved the plan in force, an opaque ID; empty if nobody has"`
	At     *time.Time    `json:"at"`
}

func wireApproval(a jobs.Approval) Approval {
	w := Approval{Needed: a.Needed, Beyond: a.Beyond, By: a.By}
	if a.Since != nil {
		w.Since = new(a.Since.UTC())
	}
	if a.At != nil {
		w.At = new(a.At.UTC())
	}
	return w
}

// maxDecisionBytes bounds the body of an approval or a rejection.
const maxDecisionBytes = 4 << 10

func (s *server) decisionRoutes() []route {
	const byID = "/v1/requests/{id}"
	problems := []int{400, 401, 403, 404, 408, 409, 413, 415, 422, 503}
	return []route{
		{
			method: "POST", path: byID + "/approve", handle: s.approve, id: "approve-request", may: jobs.ActDecide,
			summary: "Approve the plan of a request that waits",
			description: "Takes the plan_hash of the plan that was looked at. 403 with the code self_approval for who filed it; 409 with the code " +
				"not_waiting, or plan_changed if it is another plan by now: look again. Before anything is erased the plan is counted again, " +
				"and waits again if it has drifted.",
			takes: decisionSchema("plan_hash", "Of the plan as the request shows it"), status: 200, answer: Request{}, problems: problems,
		},
		{
			method: "POST", path: byID + "/reject", handle: s.reject, id: "reject-request", may: jobs.ActDecide,
			summary: "Turn a request down",
			description: "Takes a reason, which is a code and stands in the certificate. 409 with the code begun once a batch has been begun: " +
				"cancel it then; 409 with too_late if it has ended.",
			takes: decisionSchema("reason", "A code, such as not-identified"), status: 200, answer: Request{}, problems: problems,
		},
	}
}

func decisionSchema(name, description string) func() *huma.Schema {
	return func() *huma.Schema {
		return &huma.Schema{
			Type: huma.TypeObject, AdditionalProperties: false, Required: []string{name},
			Properties: map[string]*huma.Schema{name: str(description, 64)},
		}
	}
}

// approve is POST /v1/requests/{id}/approve.
func (s *server) approve(w http.ResponseWriter, r *http.Request) error {
	return s.decide(w, r, "plan_hash", s.Book.Approve)
}

// reject is POST /v1/requests/{id}/reject.
func (s *server) reject(w http.ResponseWriter, r *http.Request) error {
	return s.decide(w, r, "reason", s.Book.Reject)
}

func (s *server) decide(w http.ResponseWriter, r *http.Request, name string, decide func(context.Context, jobs.Actor, string, string) (jobs.Request, error)) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	if err := checkBodyHeader(r.Header); err != nil {
		return err
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxDecisionBytes), control: http.NewResponseController(w)}
	value, err := readDecision(body, name)
	if err != nil {
		return err
	}
	body.done()
	req, err := decide(r.Context(), ActorOf(r), id, value)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wireRequest(req))
}

// readDecision reads a body with one key, whose value is a short text.
func readDecision(r io.Reader, name string) (value string, err error) {
	d := newDecoder(r, nil)
	given := false
	err = d.object("", []field{{name, func(at string) (err error) {
		given = true
		value, err = d.text(at)
		return err
	}}})
	switch {
	case err != nil:
		return "", err
	case !given || value == "" || len(value) > 64:
		return "", unacceptable(name, "must be given, with at most 64 bytes")
	}
	return value, d.end()
}

// Approve approves the plan with this hash, as the request shows it. 403 with the
// code self_approval for who filed it, 404 if there is no such request, 409 if it
// does not wait (not_waiting) or has another plan by now (plan_changed).
func (c *Client) Approve(ctx context.Context, id, planHash string) (Request, error) {
	return c.decide(ctx, idPath(id)+"/approve", map[string]string{"plan_hash": planHash})
}

// Reject turns a request down, for a reason that is a code of at most 64 bytes. 404
// if there is none, 409 once a batch has begun (begun: cancel it) or it has ended
// (too_late), 400 or 422 for a reason that is no code.
func (c *Client) Reject(ctx context.Context, id, reason string) (Request, error) {
	return c.decide(ctx, idPath(id)+"/reject", map[string]string{"reason": reason})
}

func (c *Client) decide(ctx context.Context, path string, body map[string]string) (Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Request{}, err
	}
	answer, err := c.do(ctx, http.MethodPost, path, strings.NewReader(string(text)), http.Header{"Content-Type": {"application/json"}}) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Request{}, err
	}
	return decodeAnswer[Request](answer)
}

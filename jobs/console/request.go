package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"lethe/jobs"
)

// A requestView is what the page of one request shows.
type requestView struct {
	jobs.Request
	Commitment string
	Key        string // the log's verifier key, "" if it is not known

	MayCancel, MayDecide bool
	Own                  bool // the visitor filed it himself
}

// requestID returns the id of the path. What is not an ID in its one spelling
// names no request.
func requestID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if len(id) != 36 || uuid.Validate(id) != nil || strings.ToLower(id) != id {
		return "", jobs.ErrNotFound
	}
	return id, nil
}

// request is GET /console/requests/{id}.
func (c *Console) request(v *visit) (answer, error) {
	id, err := requestID(v.r)
	if err != nil {
		return answer{}, err
	}
	r, err := c.Book.Request(v.ctx, v.by, id)
	if err != nil {
		return answer{}, err
	}
	view := requestView{Request: r}
	if view.Commitment, err = c.Book.Commitment(v.ctx, v.by, id); err != nil {
		return answer{}, err
	}
	if c.PublicKey != nil {
		view.Key = c.PublicKey()
	}
	view.Own = v.filed(r)
	view.MayCancel = !r.Status.Ended() && v.by.May(jobs.ActCancel)
	view.MayDecide = r.Status == jobs.AwaitingApproval && c.Decider != nil && v.by.May(jobs.ActDecide)
	title := "Request"
	if r.Ticket != "" {
		title = r.Ticket
	}
	return c.show(v, http.StatusOK, "request", title, view), nil
}

// to is where the page of a request is.
func to(id string) answer {
	return answer{status: http.StatusSeeOther, to: "/console/requests/" + id}
}

// cancel is POST /console/requests/{id}/cancel.
func (c *Console) cancel(v *visit) (answer, error) {
	return c.change(v, "cancelled", func(id string) (jobs.Request, error) { return c.Book.Cancel(v.ctx, v.by, id) })
}

// approve is POST /console/requests/{id}/approve, for the plan that was shown.
func (c *Console) approve(v *visit) (answer, error) {
	if v.form.Get("sure") != "yes" {
		return answer{}, &jobs.Invalid{Field: "sure", Problem: "must be ticked: look at the counts before you approve them"}
	}
	return c.change(v, "approved", func(id string) (jobs.Request, error) {
		return c.Decider.Approve(v.ctx, v.by, id, v.form.Get("plan_hash"))
	})
}

// reject is POST /console/requests/{id}/reject.
func (c *Console) reject(v *visit) (answer, error) {
	return c.change(v, "rejected", func(id string) (jobs.Request, error) { return c.Decider.Reject(v.ctx, v.by, id, v.form.Get("reason")) })
}

// change does something to a request and goes back to its page.
func (c *Console) change(v *visit, done string, do func(id string) (jobs.Request, error)) (answer, error) {
	id, err := requestID(v.r)
	if err != nil {
		return answer{}, err
	}
	if _, err := do(id); err != nil {
		return answer{}, err
	}
	c.say(v, done)
	return to(id), nil
}

// certificate is GET /console/requests/{id}/certificate.
func (c *Console) certificate(v *visit) (answer, error) {
	id, err := requestID(v.r)
	if err != nil {
		return answer{}, err
	}
	text, err := c.Book.Certificate(v.ctx, v.by, id)
	return answer{file: text, name: id + ".tlog-proof"}, notEmpty(text, err)
}

// receipt is GET /console/requests/{id}/receipt.
func (c *Console) receipt(v *visit) (answer, error) {
	id, err := requestID(v.r)
	if err != nil {
		return answer{}, err
	}
	text, err := c.Book.AcceptedReceipt(v.ctx, v.by, id)
	return answer{file: text, name: id + ".receipt.tlog-proof"}, notEmpty(text, err)
}

func notEmpty(file []byte, err error) error {
	if err == nil && len(file) == 0 {
		return errors.New("the proof is empty")
	}
	return err
}

package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lethe/jobs"
)

// A holdsView is what the page of holds shows.
type holdsView struct {
	Holds   []Hold
	Refused string
	Reason  string // of a form that was refused
	Until   string
}

// holds is GET /console/holds.
func (c *Console) holds(v *visit) (answer, error) { return c.holdsPage(v, http.StatusOK, holdsView{}) }

func (c *Console) holdsPage(v *visit, status int, view holdsView) (answer, error) {
	var err error
	if view.Holds, err = c.Holds.Holds(v.ctx, v.by); err != nil {
		return answer{}, err
	}
	return c.show(v, status, "holds", "Legal holds", view), nil
}

// placeHold is POST /console/holds.
func (c *Console) placeHold(v *visit) (answer, error) {
	err := c.place(v)
	if said := refusal(err); said != "" {
		view := holdsView{Refused: said, Reason: v.form.Get("reason"), Until: v.form.Get("until")}
		return c.holdsPage(v, http.StatusUnprocessableEntity, view)
	}
	done := "held"
	if errors.Is(err, jobs.ErrPlacing) {
		done, err = "placing", nil
	}
	if err != nil {
		return answer{}, err
	}
	c.say(v, done)
	return answer{status: http.StatusSeeOther, to: "/console/holds"}, nil
}

func (c *Console) place(v *visit) error {
	sel, err := readSelector(v.form)
	if err != nil {
		return err
	}
	until, err := readTime("until", v.form.Get("until"))
	if err != nil {
		return err
	}
	if !until.IsZero() && until.Before(time.Now()) {
		return &jobs.Invalid{Field: "until", Problem: "must be in the future"}
	}
	_, err = c.Holds.Place(v.ctx, v.by, sel, v.form.Get("reason"), until)
	return err
}

// releaseHold is POST /console/holds/{id}/release.
func (c *Console) releaseHold(v *visit) (answer, error) {
	id := v.r.PathValue("id")
	if uuid.Validate(id) != nil {
		return answer{}, jobs.ErrNotFound
	}
	if err := c.Holds.Release(v.ctx, v.by, id, v.form.Get("reason")); err != nil {
		return answer{}, err
	}
	c.say(v, "released")
	return answer{status: http.StatusSeeOther, to: "/console/holds"}, nil
}

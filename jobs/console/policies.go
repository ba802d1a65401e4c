package console

import (
	"net/http"

	"lethe/jobs"
)

// A policiesView is what the page of policies shows.
type policiesView struct{ Policies []jobs.PolicyView }

// policies is GET /console/policies.
func (c *Console) policies(v *visit) (answer, error) {
	list, err := c.Sweeps.Policies(v.ctx, v.by)
	if err != nil {
		return answer{}, err
	}
	return c.show(v, http.StatusOK, "policies", "Retention policies", policiesView{list}), nil
}

// sweepWords says what became of a sweep.
func sweepWords(s jobs.Sweep) string {
	text := map[jobs.SweepState]string{
		jobs.SweepOpen: "Not run yet, and tried again each minute", jobs.SweepFiled: "It has filed a request", jobs.SweepEmpty: "There was nothing to erase",
		jobs.SweepCovered: "Could not be run before the next one, which has made up for it", jobs.SweepRefused: "It could not be run",
	}[s.State]
	if s.Reason != "" {
		text += ": " + jobs.ExplainRefusal(s.Reason)
	}
	if s.Missed > 0 {
		text += "; it makes up for " + count(s.Missed, "earlier one", "earlier ones")
	}
	return text + "."
}

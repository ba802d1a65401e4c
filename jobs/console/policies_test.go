package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/console"
)

// kept are policies that are only looked at.
type kept struct{ jobs.Sweeps }

func (kept) Policies(_ context.Context, by jobs.Actor) ([]jobs.PolicyView, error) {
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	return []jobs.PolicyView{
		{Policy: jobs.Policy{Name: "old<b>", When: "every 1d"}, Next: at, Sweeps: []jobs.Sweep{
			{Store: "app", DueAt: at, State: jobs.SweepOpen, Reason: jobs.RefusedDown, Missed: 3},
			{Store: "assistant", DueAt: at, State: jobs.SweepFiled, Found: 1200, Request: openID},
		}},
		{Policy: jobs.Policy{Name: "new"}},
	}, by.Check(jobs.ActPolicies)
}

// Policies are shown to those who may see them, with what became of their sweeps.
func TestPoliciesAreShownWithTheirLastSweeps(t *testing.T) {
	c := newHouse().page(true, func(o *console.Options) { o.Sweeps = kept{} })
	for token, want := range map[string]int{"token-sam": http.StatusForbidden, "token-abe": http.StatusOK, "token-una": http.StatusOK, "token-ada": http.StatusOK} {
		b := signedIn(t, c, token)
		page := b.get("/console/policies")
		linked := strings.Contains(b.get("/").body, `href="/console/policies"`)
		if page.status != want || linked != (want == http.StatusOK) {
			t.Errorf("%s: %d, linked %v", token, page.status, linked)
		}
		if want != http.StatusOK {
			continue
		}
		for _, said := range []string{"the store is down", "it makes up for 3 earlier ones", "It has filed a request", "1,200", "It has not been run yet"} {
			if !strings.Contains(strings.ReplaceAll(page.text(), "\u202f", ","), said) && !strings.Contains(page.body, said) {
				t.Errorf("the page does not say %q", said)
			}
		}
		if strings.Contains(page.body, "<b>") {
			t.Error("a name is taken for markup")
		}
	}
	bare := newBrowser(t, newHouse().page(false))
	if a := bare.get("/console/policies"); a.status != http.StatusNotFound {
		t.Errorf("without policies: %d", a.status)
	}
}

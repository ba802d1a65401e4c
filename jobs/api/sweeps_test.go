package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// sweeping is jobs.Sweeps in memory.
type sweeping struct {
	ran, previewed []string
	fail           error
}

func (s *sweeping) Policies(context.Context, jobs.Actor) ([]jobs.PolicyView, error) {
	p := jobs.Policy{Name: "old", Stores: []string{"app"}, When: "every 1d", OlderThan: 90 * 24 * time.Hour, Who: store.Selector{AgentID: "SECRET-bot"}}
	return []jobs.PolicyView{{Policy: p, Sweeps: []jobs.Sweep{{ID: "0193a000-0000-7000-8000-000000000001", Policy: "old", Store: "app", State: jobs.SweepOpen, Reason: jobs.RefusedDown}}}}, s.fail
}

func (s *sweeping) Preview(_ context.Context, _ jobs.Actor, name string) ([]jobs.SweepSight, error) {
	s.previewed = append(s.previewed, name)
	return []jobs.SweepSight{{
		Store: "app", IDs: 3, Places: []jobs.PlaceCount{{Place: "chat", Found: 3, Total: 9}}, Undated: map[string]int{"chat": 2},
		Oldest: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Newest: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
	}}, s.fail
}

func (s *sweeping) Sweep(_ context.Context, _ jobs.Actor, name string) ([]jobs.Sweep, error) {
	s.ran = append(s.ran, name)
	return []jobs.Sweep{{ID: "0193a000-0000-7000-8000-000000000001", Policy: name, Store: "app", State: jobs.SweepFiled, Found: 3, Request: "r"}}, s.fail
}

func serveSweeps(t *testing.T, s jobs.Sweeps) (ask func(method, path, body string) (int, string), client *api.Client) {
	t.Helper()
	handler := api.New(api.Options{Book: newMemory(), Planner: newMemory(), Sweeps: s, Listen: "127.0.0.1:8080"})
	client, err := api.NewClient("http://127.0.0.1:8080", "", roundTrip(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result(), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8080"+path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}, client
}

// A body that cannot be read runs nothing: least of all a dry run that is misspelt.
func TestASweepIsAskedForStrictly(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		``: 202, `{}`: 202, `{"dry_run":false}`: 202, `{"dry_run":true}`: 200, `{"dryrun":true}`: 400, `{"dry-run":true}`: 400, `{"dry_run":"true"}`: 400,
		`{"dry_run":1}`: 400, `{"dry_run":true,"dry_run":false}`: 400, `{"dry_run":true} {}`: 400, `[]`: 400, `{"dry_run":null}`: 400, `{"DRY_RUN":true}`: 400,
	} {
		s := &sweeping{}
		ask, _ := serveSweeps(t, s)
		status, text := ask("POST", "/v1/policies/old/sweeps", body)
		if status != want || len(s.ran) != map[bool]int{true: 1}[want == 202] || len(s.previewed) != map[bool]int{true: 1}[want == 200] {
			t.Errorf("%s: %d, ran %v, previewed %v: %s", body, status, s.ran, s.previewed, text)
		}
	}
	s := &sweeping{}
	ask, _ := serveSweeps(t, s)
	if status, _ := ask("POST", "/v1/policies/old/sweeps?dry_run=true", ""); status != 400 || len(s.ran) > 0 {
		t.Errorf("as a parameter: %d, ran %v", status, s.ran)
	}
}

func TestPoliciesAreToldWithoutWhomTheyAreAbout(t *testing.T) {
	t.Parallel()
	s := &sweeping{}
	ask, client := serveSweeps(t, s)
	status, text := ask("GET", "/v1/policies", "")
	if status != 200 || strings.Contains(text, "SECRET") || !strings.Contains(text, `"where":["older_than 90d","agent_id"]`) ||
		!strings.Contains(text, `"detail":"the store is down`) {
		t.Errorf("%d %s", status, text)
	}
	list, err := client.Policies(t.Context())
	if err != nil || len(list) != 1 || list[0].Sweeps[0].Reason != jobs.RefusedDown {
		t.Errorf("%+v, %v", list, err)
	}
	dry, err := client.RunPolicy(t.Context(), "old", true)
	if err != nil || len(dry.Plans) != 1 || dry.Plans[0].Undated != 2 || dry.Plans[0].Places[0].Undated != 2 || dry.Plans[0].Oldest.Year() != 2026 || dry.Plans[0].Newest.Month() != 2 {
		t.Errorf("%+v, %v", dry, err)
	}
	real, err := client.RunPolicy(t.Context(), "old", false)
	if err != nil || len(real.Sweeps) != 1 || *real.Sweeps[0].Request != "r" || len(s.ran) != 1 {
		t.Errorf("%+v, %v", real, err)
	}
	s.fail = fmt.Errorf("%w: none", jobs.ErrNotFound)
	_, err = client.RunPolicy(t.Context(), "young", false)
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != 404 || p.Detail != "there is no such policy" {
		t.Errorf("no such policy: %v", err)
	}
	ask, _ = serveSweeps(t, nil)
	if status, _ := ask("GET", "/v1/policies", ""); status != 404 {
		t.Errorf("without policies: %d", status)
	}
}

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

// returning is jobs.Returns in memory. Alice was forgotten.
type returning struct {
	asked  []store.Selector
	orders []jobs.ReplayOrder
	fail   error
}

func (r *returning) Suppressed(_ context.Context, _ jobs.Actor, sel store.Selector) (*jobs.Suppressed, error) {
	r.asked = append(r.asked, sel)
	if _, alone := jobs.Identity(sel); !alone {
		return nil, &store.FieldError{Field: "selector", Problem: "must have one"}
	}
	if sel.UserID != "SECRET-alice" {
		return nil, r.fail
	}
	return &jobs.Suppressed{Request: "0193a000-0000-7000-8000-000000000001", ErasedAt: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}, r.fail
}

func (r *returning) Replay(_ context.Context, _ jobs.Actor, o jobs.ReplayOrder) (jobs.Replay, error) {
	r.orders = append(r.orders, o)
	return jobs.Replay{Store: o.Store, Return: jobs.Return{Back: 3, Later: 2}, Places: map[string]jobs.Return{"memories": {Back: 3, Later: 2}}, Requests: []string{"r"}}, r.fail
}

func serveReturns(t *testing.T, r jobs.Returns) (ask func(method, path, body string) (int, string), client *api.Client) {
	t.Helper()
	handler := api.New(api.Options{Book: newMemory(), Planner: newMemory(), Returns: r, Listen: "127.0.0.1:8080"})
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

// A question that cannot be read is not asked, and no answer repeats it.
func TestAskingForASuppressionIsStrict(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`{"selector":{"user_id":"SECRET-alice"}}`: 200, `{"selector":{"run_id":"SECRET"}}`: 200,
		``: 400, `{}`: 422, `{"selector":{}}`: 422, `{"selector":{"user_id":""}}`: 422, `{"selector":{"user_id":"*"}}`: 422, `{"selector":{"ids":["SECRET"]}}`: 422,
		`{"selector":{"user_id":"SECRET","run_id":"SECRET"}}`: 422, `{"selector":{"user_id":"SECRET"},"x":1}`: 400, `{"selector":{"user_id":1}}`: 400,
		`{"selector":{"metadata":{"k":"SECRET"}}}`: 422, `{"selector":{"user_id":"SECRET"}} {}`: 400, `["SECRET"]`: 400,
	} {
		r := &returning{}
		ask, _ := serveReturns(t, r)
		status, text := ask("POST", "/v1/suppressions/check", body)
		if status != want || strings.Contains(text, "SECRET") {
			t.Errorf("%s: %d, want %d: %s", body, status, want, text)
		}
	}
	ask, client := serveReturns(t, &returning{})
	if status, _ := ask("POST", "/v1/suppressions/check?user_id=SECRET", `{"selector":{"user_id":"a"}}`); status != 400 {
		t.Errorf("a query: %d", status)
	}
	if s, err := client.Suppressed(t.Context(), store.Selector{UserID: "SECRET-alice"}); err != nil || !s.Suppressed || s.Request == nil || s.ErasedAt.Year() != 2026 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := client.Suppressed(t.Context(), store.Selector{UserID: "bob"}); err != nil || s.Suppressed || s.Request != nil || s.ErasedAt != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// A replay that is misspelt changes nothing, and what keeps one from being done is
// said.
func TestAReplayIsAskedForStrictly(t *testing.T) {
	t.Parallel()
	const path = "/v1/stores/assistant/replays"
	for body, want := range map[string]int{
		``: 200, `{}`: 200, `{"dry_run":true}`: 200, `{"backup_time":"2026-11-20T03:00:00Z"}`: 200,
		`{"dryrun":true}`: 400, `{"backup_time":"yesterday"}`: 400, `{"backup_time":1}`: 400, `{"dry_run":true,"dry_run":false}`: 400, `[]`: 400,
	} {
		r := &returning{}
		ask, _ := serveReturns(t, r)
		if status, text := ask("POST", path, body); status != want || (want != 200) != (len(r.orders) == 0) {
			t.Errorf("%s: %d, want %d, %d asked: %s", body, status, want, len(r.orders), text)
		}
	}
	for _, c := range []struct {
		err  error
		want int
		code string
	}{
		{jobs.ErrNotFound, 404, "no such store"},
		{fmt.Errorf("list: %w", jobs.ErrUnable), 409, "store_unable"},
		{fmt.Errorf("list: %w", jobs.ErrSkew), 409, "clock_skew"},
		{fmt.Errorf("list: %w", store.ErrUnavailable), 503, "store_down"},
		{&jobs.Invalid{Field: "backup_time", Problem: "must not be in the future"}, 400, "backup_time"},
		{errors.New("disk"), 503, "unavailable"},
	} {
		ask, _ := serveReturns(t, &returning{fail: c.err})
		if status, text := ask("POST", path, `{}`); status != c.want || !strings.Contains(text, c.code) {
			t.Errorf("%v: %d %s, want %d %s", c.err, status, text, c.want, c.code)
		}
	}
	r := &returning{}
	_, client := serveReturns(t, r)
	at := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	found, err := client.Replay(t.Context(), "assistant", at, true)
	if err != nil || found.Back != 3 || found.Later != 2 || len(found.Places) != 1 || len(found.Requests) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	if o := r.orders[0]; !o.Dry || !o.BackupAt.Equal(at) || o.Store != "assistant" {
		t.Errorf("asked for %+v", o)
	}
}

package api_test

import (
	"context"
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

// holding is jobs.Holds in memory.
type holding struct {
	orders   []jobs.HoldOrder
	by       []jobs.Actor
	released []string
	fail     error
}

func (h *holding) PlaceHold(_ context.Context, o jobs.HoldOrder, by jobs.Actor) (jobs.Hold, error) {
	h.orders, h.by = append(h.orders, o), append(h.by, by)
	return jobs.Hold{ID: "0193a000-0000-7000-8000-000000000001", State: jobs.HoldActive, Reason: o.Reason, By: by.ID}, h.fail
}

func (h *holding) Holds(context.Context, jobs.Actor) ([]jobs.Hold, error) {
	return []jobs.Hold{{ID: "0193a000-0000-7000-8000-000000000001", State: jobs.HoldPlacing}}, h.fail
}

func (h *holding) ReleaseHold(_ context.Context, id, reason string, _ jobs.Actor) (jobs.Hold, error) {
	h.released = append(h.released, id+" "+reason)
	return jobs.Hold{ID: id, State: jobs.HoldEnded}, h.fail
}

func serveHolds(t *testing.T, h *holding) (ask func(method, path, body string) (int, string), client *api.Client) {
	t.Helper()
	handler := api.New(api.Options{Book: newMemory(), Planner: newMemory(), Holds: h, Listen: "127.0.0.1:8080"})
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

// What cannot be meant places no hold, and is not repeated.
func TestAHoldIsReadStrictly(t *testing.T) {
	t.Parallel()
	const whom = "SECRET-alice"
	many := `"` + strings.Repeat(`x","`, jobs.MaxHoldIDs) + `x"`
	for name, tt := range map[string]struct {
		body   string
		status int
		field  string
	}{
		"no selector":        {`{"reason":"audit"}`, 422, "selector"},
		"empty selector":     {`{"selector":{},"reason":"audit"}`, 422, "selector"},
		"wildcard":           {`{"selector":{"user_id":"*"},"reason":"audit"}`, 422, "selector.user_id"},
		"blank":              {`{"selector":{"user_id":" "},"reason":"audit"}`, 422, "selector.user_id"},
		"both ways":          {`{"selector":{"ids":["1"],"user_id":"` + whom + `"},"reason":"audit"}`, 422, "selector"},
		"too many ids":       {`{"selector":{"ids":[` + many + `]},"reason":"audit"}`, 422, "selector.ids"},
		"no reason":          {`{"selector":{"user_id":"` + whom + `"}}`, 400, "reason"},
		"free text":          {`{"selector":{"user_id":"` + whom + `"},"reason":"SECRET-alice v. Acme"}`, 400, "reason"},
		"empty reason":       {`{"selector":{"user_id":"` + whom + `"},"reason":""}`, 400, "reason"},
		"unknown key":        {`{"selector":{"user_id":"` + whom + `"},"reason":"audit","stores":["a"]}`, 400, "stores"},
		"twice":              {`{"selector":{"user_id":"` + whom + `"},"reason":"audit","reason":"b"}`, 400, "reason"},
		"until is no time":   {`{"selector":{"user_id":"` + whom + `"},"reason":"audit","until":"` + whom + `"}`, 400, "until"},
		"something after":    {`{"selector":{"user_id":"` + whom + `"},"reason":"audit"} {}`, 400, "body"},
		"nothing":            {``, 400, "body"},
		"reason is a number": {`{"selector":{"user_id":"` + whom + `"},"reason":7}`, 400, "reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &holding{}
			ask, _ := serveHolds(t, h)
			status, text := ask("POST", "/v1/holds", tt.body)
			if status != tt.status || !strings.Contains(text, `"field":"`+tt.field+`"`) || strings.Contains(text, "SECRET") || len(h.orders) != 0 {
				t.Errorf("%d %s, %d placed; want %d about %s", status, text, len(h.orders), tt.status, tt.field)
			}
		})
	}
}

// Whom a hold is about is in no answer; who placed it is.
func TestAHoldIsPlacedListedAndReleased(t *testing.T) {
	t.Parallel()
	h := &holding{}
	ask, client := serveHolds(t, h)
	until := time.Date(2036, 1, 31, 0, 0, 0, 0, time.UTC)
	placed, err := client.PlaceHold(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}}, "litigation-14", until)
	if err != nil || placed.PlacedBy != "open" || placed.State != jobs.HoldActive {
		t.Fatalf("%+v, %v", placed, err)
	}
	if o := h.orders[0]; o.Selector.UserID != "alice" || o.Reason != "litigation-14" || !o.Until.Equal(until) || h.by[0] != jobs.ActorOpen {
		t.Errorf("ordered by %v, until %s, for %s", h.by[0], o.Until, o.Reason)
	}
	status, text := ask("POST", "/v1/holds", `{"selector":{"ids":["a","b"]},"reason":"audit"}`)
	if status != 201 || strings.Contains(text, "selector") || len(h.orders[1].Selector.IDs) != 2 || !h.orders[1].Until.IsZero() {
		t.Errorf("%d %s", status, text)
	}
	if list, err := client.Holds(t.Context()); err != nil || len(list) != 1 || list[0].State != jobs.HoldPlacing {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := client.ReleaseHold(t.Context(), placed.ID, "settled"); err != nil {
		t.Error(err)
	}
	if status, _ := ask("DELETE", "/v1/holds/"+placed.ID, ""); status != 200 {
		t.Errorf("released without a reason: %d", status)
	}
	if got := strings.Join(h.released, ", "); got != placed.ID+" settled, "+placed.ID+" released" {
		t.Errorf("released %s", got)
	}
	for path, want := range map[string]int{
		placed.ID + "?reason=Free%20text": 400, placed.ID + "?why=x": 400, placed.ID + "?reason=a&reason=b": 400, "nobody": 404, strings.ToUpper(placed.ID): 404,
	} {
		if status, text := ask("DELETE", "/v1/holds/"+path, ""); status != want {
			t.Errorf("DELETE %s: %d %s, want %d", path, status, text, want)
		}
	}
	if status, _ := ask("GET", "/v1/holds?user_id=alice", ""); status != 400 {
		t.Errorf("a list with a query: %d", status)
	}
}

// Each answer of the book has one of the API, with what to do.
func TestWhatIsAnsweredOfHolds(t *testing.T) {
	t.Parallel()
	h := &holding{}
	ask, _ := serveHolds(t, h)
	for _, tt := range []struct {
		fail   error
		method string
		status int
		code   string
	}{
		{jobs.ErrPlacing, "POST", 503, "hold_placing"},
		{jobs.ErrPlacing, "DELETE", 409, "hold_placing"},
		{jobs.ErrTooLate, "DELETE", 409, "too_late"},
		{jobs.ErrNotFound, "DELETE", 404, "not_found"},
		{jobs.ErrForbidden, "POST", 403, "forbidden"},
		{&jobs.Invalid{Field: "until", Problem: "must be in the future"}, "POST", 400, "malformed"},
	} {
		h.fail = fmt.Errorf("x: %w", tt.fail)
		path := "/v1/holds"
		if tt.method == "DELETE" {
			path += "/0193a000-0000-7000-8000-000000000001"
		}
		status, text := ask(tt.method, path, `{"selector":{"user_id":"alice"},"reason":"audit"}`)
		if status != tt.status || !strings.Contains(text, `"code":"`+tt.code+`"`) {
			t.Errorf("%s: %s %d %s", tt.fail, tt.method, status, text)
		}
	}
}

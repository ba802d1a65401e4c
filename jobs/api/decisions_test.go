package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
	"lethe/jobs/api"
)

func TestDecisionsReachTheBookAndComeBack(t *testing.T) {
	h := open(t)
	h.file(t)
	c := h.client
	id := h.book.requests[0].ID
	review := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	if r, err := c.Extend(t.Context(), id, "complexity"); err != nil || r.ExtensionReason != "complexity" || r.ExtendedBy != "open" {
		t.Errorf("extended: %+v, %v", r.Deadlines, err)
	}
	if r, err := c.Confirm(t.Context(), id); err != nil || r.ConfirmedAt == nil {
		t.Errorf("confirmed: %+v, %v", r.Deadlines, err)
	}
	r, err := c.Exempt(t.Context(), id, api.Refused{Store: "app", Place: "Invoices", Reason: "art17-3-b", ReviewAt: &review})
	want := []api.Refused{{Store: "app", Place: "Invoices", Reason: "art17-3-b", By: "open", ReviewAt: &review}}
	if d := cmp.Diff(want, r.RefusedInPart); d != "" || err != nil {
		t.Errorf("exempted: -want +got\n%s%v", d, err)
	}
	for range c.ListDue(t.Context(), jobs.DueIn3) {
		continue
	}
	if h.book.due != jobs.DueIn3 {
		t.Errorf("the book was asked for %q", h.book.due)
	}
	h.book.not = &jobs.NotNow{Code: "begun", Problem: "erasing has begun"}
	var p *api.Problem
	if _, err := c.Confirm(t.Context(), id); !errors.As(err, &p) || p.Status != http.StatusConflict || p.Code != "begun" || p.Detail != "erasing has begun" {
		t.Errorf("err = %v, want a 409 that says why", err)
	}
}

func TestDecisionsAreCodesAndNothingElse(t *testing.T) {
	h := open(t)
	h.file(t)
	path := "/v1/requests/" + h.book.requests[0].ID
	for _, row := range []struct{ path, body string }{
		{"/extend", ``},
		{"/extend", `{}`},
		{"/extend", `{"reason":"they wrote john@example.com"}`},
		{"/extend", `{"reason":7}`},
		{"/extend", `{"reason":"complexity","reason":"number"}`},
		{"/extend", `{"reason":"complexity","by":"john"}`},
		{"/extend", `{"Reason":"complexity"}`},
		{"/extend", `{"reason":"complexity"} {}`},
		{"/exempt", `{"store":"app"}`},
		{"/exempt", `{"reason":"art17-3-b"}`},
		{"/exempt", `{"store":"app","reason":"John Doe"}`},
		{"/exempt", `{"store":"app","reason":"art17-3-b","place":""}`},
		{"/exempt", `{"store":"app","reason":"art17-3-b","review_at":"john"}`},
		{"/exempt", `{"store":"app","reason":"art17-3-b","note":"john"}`},
	} {
		w := h.ask("POST", path+row.path, strings.NewReader(row.body))
		if w.Code != http.StatusBadRequest && w.Code != http.StatusUnprocessableEntity || strings.Contains(strings.ToLower(w.Body.String()), "john") {
			t.Errorf("%s %s: %d %s", row.path, row.body, w.Code, w.Body)
		}
	}
	if r := h.book.requests[0]; r.Clock.Reason != "" || len(r.Exemptions) != 0 {
		t.Errorf("something was decided: %+v", r)
	}
	for _, due := range []string{"john", "2d", "overdue,1d", ""} {
		if w := h.ask("GET", "/v1/requests?due="+due, nil); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "john") {
			t.Errorf("due=%s: %d %s", due, w.Code, w.Body)
		}
	}
}

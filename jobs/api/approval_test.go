package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

func TestADecisionIsTheBooksWithWhoMadeIt(t *testing.T) {
	h := open(t)
	r, _, err := h.client.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}})
	if err != nil {
		t.Fatal(err)
	}
	const hash = "sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	if _, err := h.client.Approve(t.Context(), r.ID, hash); err != nil || h.book.decided != "approve "+hash+" by open" {
		t.Errorf("approve: %q, %v", h.book.decided, err)
	}
	if _, err := h.client.Reject(t.Context(), r.ID, "not-identified"); err != nil || h.book.decided != "reject not-identified by open" {
		t.Errorf("reject: %q, %v", h.book.decided, err)
	}
}

func TestADecisionThatCannotBeReadReachesNoBook(t *testing.T) {
	h := open(t)
	r, _, err := h.client.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("hunter2", 10)
	for body, status := range map[string]int{
		``:                                     400,
		`[]`:                                   400,
		`{}`:                                   422,
		`{"plan_hash":null}`:                   400,
		`{"plan_hash":1}`:                      400,
		`{"plan_hash":""}`:                     422,
		`{"plan_hash":"` + long + `"}`:         422,
		`{"Plan_Hash":"x"}`:                    400,
		`{"plan_hash":"x","reason":"hunter2"}`: 400,
		`{"plan_hash":"x","plan_hash":"hunter2"}`:                 400,
		`{"plan_hash":"x"} {}`:                                    400,
		`{"plan_hash":"` + strings.Repeat("hunter2", 1000) + `"}`: 413,
	} {
		w := h.ask("POST", "/v1/requests/"+r.ID+"/approve", strings.NewReader(body))
		if w.Code != status || strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%.40s: %d, want %d: %s", body, w.Code, status, w.Body)
		}
	}
	if h.book.decided != "" {
		t.Errorf("decided: %s", h.book.decided)
	}
}

func TestWhatIsWrongWithADecisionHasACode(t *testing.T) {
	h := open(t)
	r, _, err := h.client.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}})
	if err != nil {
		t.Fatal(err)
	}
	for code, row := range map[string]struct {
		err    error
		status int
	}{
		"self_approval": {jobs.ErrSelfApproval, http.StatusForbidden},
		"forbidden":     {jobs.ErrForbidden, http.StatusForbidden},
		"not_waiting":   {jobs.ErrNotWaiting, http.StatusConflict},
		"plan_changed":  {jobs.ErrPlanChanged, http.StatusConflict},
		"begun":         {jobs.ErrBegun, http.StatusConflict},
		"too_late":      {jobs.ErrTooLate, http.StatusConflict},
		"not_found":     {jobs.ErrNotFound, http.StatusNotFound},
	} {
		h.book.fail = fmt.Errorf("approve plan: %w", row.err)
		_, err := h.client.Approve(t.Context(), r.ID, "x")
		if p, ok := errors.AsType[*api.Problem](err); !ok || p.Code != code || p.Status != row.status {
			t.Errorf("%s: %v", code, err)
		}
	}
	w := h.ask("GET", "/v1/openapi.yaml", nil)
	if !strings.Contains(w.Body.String(), "approve-request") {
		t.Error("the document does not have it")
	}
}

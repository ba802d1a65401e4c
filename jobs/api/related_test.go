package api_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"lethe/jobs/api"
	"lethe/store"
)

// TestRelatedIsCarried from the client to the book and back, for a name and for a
// list of IDs, for a plan and for a request; and it is part of the body that an
// idempotency key stands for.
func TestRelatedIsCarried(t *testing.T) {
	h := open(t)
	for _, related := range []bool{true, false} {
		for name, s := range map[string]api.Submission{
			"a name":      {Selector: store.Selector{UserID: "alice"}},
			"an ID":       {Selector: store.Selector{IDs: []string{"m1"}}},
			"list of IDs": {IDs: func(yield func(string, error) bool) { yield("m1", nil) }},
		} {
			s.Related = related
			var body bytes.Buffer
			if err := s.Encode(&body); err != nil || strings.Contains(body.String(), `"related":true`) != related {
				t.Errorf("%s: body %s, error %v", name, &body, err)
			}
			r, _, err := h.client.Submit(t.Context(), s)
			if err != nil || r.Related != related {
				t.Errorf("%s: the answer says related %t, want %t; error %v", name, r.Related, related, err)
			}
			plan, err := h.client.Plan(t.Context(), s)
			if err != nil || plan.Stores[0].Related != 2 {
				t.Errorf("%s: the plan says %+v, error %v", name, plan.Stores, err)
			}
			for _, got := range h.book.submitted[len(h.book.submitted)-2:] {
				if got.Related != related || got.Selector.Related {
					t.Errorf("%s: the book is told related %t, its selector %t; want %t, false", name, got.Related, got.Selector.Related, related)
				}
			}
		}
	}
	once := api.Submission{Selector: store.Selector{UserID: "alice"}, Related: true, IdempotencyKey: "once"}
	if _, _, err := h.client.Submit(t.Context(), once); err != nil {
		t.Fatal(err)
	}
	once.Related = false
	_, _, err := h.client.Submit(t.Context(), once)
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != http.StatusConflict {
		t.Errorf("under the same key: %v, want 409", err)
	}
}

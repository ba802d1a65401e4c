package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// file files a request for alice and returns its ID.
func (h *house) file(t *testing.T) string {
	t.Helper()
	r, _, err := h.client.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}, Stores: []string{"app", "assistant"}})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func TestSubmitCarriesEverything(t *testing.T) {
	h := open(t)
	number, err := store.NumberValue("9007199254740993")
	if err != nil {
		t.Fatal(err)
	}
	asked := api.Submission{
		Selector: store.Selector{
			UserID: "alice", AgentID: "bot", AppID: "shop", RunID: "r1",
			Metadata: map[string]store.Value{"tier": store.StringValue("1"), "n": number, "vip": store.BoolValue(true)},
		},
		Stores: []string{"app"}, Ticket: "PRIV-123", Regime: "ccpa", Ground: "art17-1-b",
		ReceivedAt: time.Date(2026, 11, 20, 10, 0, 0, 500, time.FixedZone("", 3600)), Grace: 90 * time.Minute,
		IdempotencyKey: "key 1",
	}
	r, replayed, err := h.client.Submit(t.Context(), asked)
	if err != nil || replayed {
		t.Fatalf("submit: %v, replayed %v", err, replayed)
	}
	var body bytes.Buffer
	if err := asked.Encode(&body); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(body.Bytes())
	want := jobs.Submission{
		By:     jobs.ActorOpen,
		Stores: asked.Stores, Ticket: asked.Ticket, Regime: asked.Regime, Ground: asked.Ground,
		ReceivedAt: asked.ReceivedAt.UTC(), Grace: asked.Grace, Origin: jobs.OriginCLI,
		IdempotencyKey: "key 1", BodyDigest: digest[:],
	}
	got := h.book.submitted[0]
	if !equal(got.Selector, asked.Selector) {
		t.Error("the selector has changed on the way")
	}
	got.Selector = store.Selector{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("submission (-want +got):\n%s", diff)
	}
	if r.Ticket != "PRIV-123" || r.CompletedAt != nil || r.Certificate != nil || r.Stores[0].Evidence != store.EvidenceNone {
		t.Errorf("answer = %+v", r)
	}

	again, replayed, err := h.client.Submit(t.Context(), asked)
	if err != nil || !replayed || again.ID != r.ID {
		t.Errorf("again: %v, replayed %v, %s; want %s", err, replayed, again.ID, r.ID)
	}
	asked.Ticket = "PRIV-124"
	_, _, err = h.client.Submit(t.Context(), asked)
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != http.StatusConflict {
		t.Errorf("other body: %v, want 409", err)
	}
}

func equal(a, b store.Selector) bool {
	if len(a.Metadata) != len(b.Metadata) || !slices.Equal(a.IDs, b.IDs) || !slices.Equal(a.Identity(), b.Identity()) {
		return false
	}
	for k, v := range a.Metadata {
		if w, ok := b.Metadata[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func TestRawAnswerOfSubmitIsTheContract(t *testing.T) {
	h := open(t)
	body := `{"selector":{"user_id":"alice"},"received_at":"2026-11-20T09:00:00Z","stores":["app"],"grace":"0s"}` + " \n "
	answer := post(t, h.server.URL+"/v1/requests", body)
	got := readAll(t, answer.Body)
	const id = "0193a000-0000-7000-8000-000000000001"
	want := `{"id":"` + id + `","status":"received","origin":"api","filed_by":"open","related":false,"ticket":"","regime":"","ground":"",` +
		`"received_at":"2026-11-20T09:00:00Z","due_at":"2026-12-20T10:00:00+01:00","created_at":"2027-01-15T08:00:00Z",` +
		`"grace_until":null,"completed_at":null,"plan_hash":"",` +
		`"approval":{"needed":false,"beyond":[],"since":null,"by":"","at":null},"stores":[{"store":"app","kind":"memory","stage":"planning",` +
		`"evidence":"none","requested":0,"found":0,"erased":0,"absent":0,"held":0,"refused":0,"exempt":0,"remaining":0,` +
		`"unattributable":0,"kept":0,"related":0,"batches_total":0,"batches_done":0,"round":0,"places":[],"note":""}],` +
		`"certificate":null,"superseded_by":null,"receipt":"/v1/requests/` + id + `/receipt","outlived_at":null,"overdue":false,"confirm_by":null,"confirmed_at":null,"confirm_overdue":false,` +
		`"first_due_at":null,"extended_at":null,"extended_by":"","extension_reason":"","exemptions":[],"receipt_text":"c2sp.org/tlog-proof@v1\nreceipt of ` + id + `\n"}` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if answer.StatusCode != 202 || answer.Header.Get("Location") != "/v1/requests/"+id || answer.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("answer %d with %v", answer.StatusCode, answer.Header)
	}
	digest := sha256.Sum256([]byte(body))
	if !bytes.Equal(h.book.submitted[0].BodyDigest, digest[:]) {
		t.Error("the digest is not of all bytes of the body")
	}
}

func TestClientAsksEverythingElse(t *testing.T) {
	h := open(t, func(o *api.Options) {
		o.Ready = func(context.Context) []string { return []string{"queue down"} }
	})
	ctx, id := t.Context(), h.file(t)
	text := func(b []byte, err error) string {
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	status := func(err error) int {
		p, _ := errors.AsType[*api.Problem](err)
		if p == nil {
			return 0
		}
		return p.Status
	}
	if got := text(h.client.Receipt(ctx, id)); got != fileHead("receipt")+"receipt of "+id+"\n" {
		t.Errorf("receipt = %q", got)
	}
	if _, err := h.client.Certificate(ctx, id); status(err) != 409 {
		t.Errorf("certificate before its time: %v, want 409", err)
	}
	sum := sha256.Sum256([]byte(id))
	if got := text(h.client.SubjectKey(ctx, id)); got != string(sum[:]) {
		t.Error("another subject key")
	}
	r, err := h.client.Cancel(ctx, id)
	if err != nil || r.Status != jobs.Cancelled || r.CompletedAt == nil || *r.Certificate != "/v1/requests/"+id+"/certificate" {
		t.Errorf("cancel: %v, %+v", err, r)
	}
	if _, err := h.client.Cancel(ctx, id); status(err) != 409 {
		t.Errorf("cancel again: %v, want 409", err)
	}
	if _, err := h.client.SubjectKey(ctx, id); status(err) != 410 {
		t.Errorf("destroyed key: %v, want 410", err)
	}
	if got := text(h.client.Certificate(ctx, id)); got != fileHead("certificate")+"certificate of "+id+"\n" {
		t.Errorf("certificate = %q", got)
	}
	if again, err := h.client.Request(ctx, id); err != nil || !cmp.Equal(again, r) {
		t.Errorf("request: %v\n%s", err, cmp.Diff(r, again))
	}
	before := h.book.count()
	for _, odd := range []string{"nobody", "../requests", "a/b", strings.ToUpper(id), "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), ""} {
		if _, err := h.client.Certificate(ctx, odd); status(err) != 404 {
			t.Errorf("certificate of %q: %v, want 404", odd, err)
		}
	}
	if h.book.count() > before {
		t.Error("the book was asked for what is no ID")
	}
	if _, err := h.client.Certificate(ctx, "0193a000-0000-7000-8000-000000000009"); status(err) != 404 {
		t.Errorf("certificate of nobody: %v, want 404", err)
	}
	if key, err := h.client.Key(ctx); err != nil || key != fakeKey {
		t.Errorf("key = %q, %v", key, err)
	}
	if got := text(h.client.Checkpoint(ctx)); !strings.HasSuffix(got, "— log /log/checkpoint\n") {
		t.Errorf("checkpoint = %q", got)
	}
	if state, err := h.client.Ready(ctx); err != nil || state.Ready || !slices.Equal(state.Reasons, []string{"queue down"}) {
		t.Errorf("ready = %v, %v", state, err)
	}
	plan, err := h.client.Plan(ctx, api.Submission{Selector: store.Selector{RunID: "r"}})
	if err != nil || plan.Stores[0].Places[1].With != "memories" {
		t.Errorf("plan = %+v, %v", plan, err)
	}
}

func TestListGivesAllPages(t *testing.T) {
	h := open(t)
	for range 2500 {
		h.file(t)
	}
	for i, r := range h.book.requests {
		if i%2 == 0 {
			r.Status = jobs.Erasing
		}
	}
	for statuses, want := range map[string]int{"": 2500, "erasing": 1250, "erasing held": 1250, "held": 0} {
		var asked []jobs.Status
		for _, s := range strings.Fields(statuses) {
			asked = append(asked, jobs.Status(s))
		}
		seen := map[string]bool{}
		for r, err := range h.client.List(t.Context(), asked...) {
			if err != nil {
				t.Fatal(err)
			}
			seen[r.ID] = true
		}
		if len(seen) != want {
			t.Errorf("list %q gave %d, want %d", statuses, len(seen), want)
		}
	}
}

func TestListQueries(t *testing.T) {
	h := open(t)
	h.file(t)
	for query, want := range map[string]int{
		"": 200, "?status=&limit=&cursor=": 200, "?status=received,held&status=completed": 200, "?limit=1000": 200,
		"?limit=0": 400, "?limit=1001": 400, "?limit=x": 400, "?limit=1&limit=2": 400, "?status=" + canary: 400,
		"?statis=held": 400, "?cursor=" + canary: 400, "?cursor=" + strings.Repeat("a", 513): 400, "?user_id=" + canary: 400, "?%zz": 400,
	} {
		answer, err := http.Get(h.server.URL + "/v1/requests" + query)
		if err != nil {
			t.Fatal(err)
		}
		if text := readAll(t, answer.Body); answer.StatusCode != want || repeats(text) {
			t.Errorf("%s: %d, want %d: %s", query, answer.StatusCode, want, text)
		}
	}
	if repeats(h.log.String()) {
		t.Errorf("the log repeats a value:\n%s", h.log)
	}
}

func TestClientNeverPutsTheSelectorIntoAURL(t *testing.T) {
	var seen []string
	spy := roundTrip(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.URL.String())
		_, _ = io.Copy(io.Discard, r.Body)
		return nil, errors.New("down")
	})
	c, err := api.NewClient("https://lethe", "token", spy)
	if err != nil {
		t.Fatal(err)
	}
	s := api.Submission{Selector: store.Selector{UserID: canary}, IdempotencyKey: "k"}
	_, _, err = c.Submit(t.Context(), s)
	_, err2 := c.Plan(t.Context(), s)
	if err == nil || err2 == nil || repeats(err.Error()+err2.Error()+strings.Join(seen, " ")) {
		t.Errorf("%v, %v, %v", err, err2, seen)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClientTakesOnlyServersItCanUse(t *testing.T) {
	for _, bad := range []string{"", "lethe:8080", "ftp://lethe", "http://", "http://a?b", "http://u:" + canary + "@lethe", ":" + canary} {
		if _, err := api.NewClient(bad, "", nil); err == nil || repeats(err.Error()) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestClientFollowsNoRedirect: it would carry the token and the selector away.
func TestClientFollowsNoRedirect(t *testing.T) {
	var asked []string
	away := roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host)
		return &http.Response{
			StatusCode: http.StatusTemporaryRedirect, Status: "307 Temporary Redirect", Body: http.NoBody, Request: r,
			Header: http.Header{"Location": {"http://elsewhere/"}},
		}, nil
	})
	c, err := api.NewClient("https://lethe", "token", away)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: canary}})
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != 307 || !slices.Equal(asked, []string{"lethe"}) {
		t.Errorf("err = %v, asked %v", err, asked)
	}
}

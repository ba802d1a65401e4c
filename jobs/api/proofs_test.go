package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// statusOf returns the status of the Problem in err, 0 if there is none.
func statusOf(err error) int {
	p, _ := errors.AsType[*api.Problem](err)
	if p == nil {
		return 0
	}
	return p.Status
}

func TestTheAnswerToAFilingHasItsReceipt(t *testing.T) {
	h := open(t)
	s := api.Submission{Selector: store.Selector{UserID: "alice"}, IdempotencyKey: "once"}
	for _, again := range []bool{false, true} {
		r, replayed, err := h.client.Submit(t.Context(), s)
		if err != nil || replayed != again {
			t.Fatalf("replayed %v, %v", replayed, err)
		}
		if r.ReceiptText == nil || *r.ReceiptText != fileHead("receipt")+"receipt of "+r.ID+"\n" {
			t.Errorf("replayed %v: receipt = %v", again, r.ReceiptText)
		}
	}
}

// The request is durable: without its receipt the answer is 202 all the same.
func TestAFilingStandsWithoutItsReceipt(t *testing.T) {
	h := open(t)
	h.book.uncut = errors.New("log is slow")
	answer := post(t, h.server.URL+"/v1/requests", `{"selector":{"user_id":"`+canary+`"}}`)
	text := readAll(t, answer.Body)
	if answer.StatusCode != http.StatusAccepted || !strings.Contains(text, `"receipt_text":null`) {
		t.Errorf("%d: %s", answer.StatusCode, text)
	}
	if log := h.log.String(); !strings.Contains(log, "receipt not cut") || !strings.Contains(log, "log is slow") || repeats(log) {
		t.Errorf("the log says:\n%s", log)
	}
}

func TestFilesCanBeAskedForUnderTheNewestHead(t *testing.T) {
	h := open(t)
	ctx, id := t.Context(), h.file(t)
	if got, err := h.client.Reissued(ctx, id, true); err != nil || string(got) != fileHead("")+"newest true of "+id+"\n" {
		t.Errorf("receipt = %q, %v", got, err)
	}
	if _, err := h.client.Reissued(ctx, id, false); statusOf(err) != 409 {
		t.Errorf("certificate before its time: %v, want 409", err)
	}
	if _, err := h.client.Cancel(ctx, id); err != nil {
		t.Fatal(err)
	}
	if got, err := h.client.Reissued(ctx, id, false); err != nil || string(got) != fileHead("")+"newest false of "+id+"\n" {
		t.Errorf("certificate = %q, %v", got, err)
	}
	before := h.book.count()
	for _, file := range []string{"certificate", "receipt"} {
		for _, query := range []string{
			"head=oldest", "head=", "head", "head=newest&head=newest", "head=Newest", "head=newest&x=1", "Head=newest",
			"head=newest;x", "%zz", "x=" + canary, "head=" + canary,
		} {
			answer, err := http.Get(h.server.URL + "/v1/requests/" + id + "/" + file + "?" + query)
			if err != nil {
				t.Fatal(err)
			}
			if text := readAll(t, answer.Body); answer.StatusCode != 400 || repeats(text) {
				t.Errorf("%s?%s: %d: %s", file, query, answer.StatusCode, text)
			}
		}
	}
	if h.book.count() > before {
		t.Error("the book was asked")
	}
}

func TestAMemoryIsProvedToWhoHasItsID(t *testing.T) {
	h := open(t)
	ctx, id := t.Context(), h.file(t)
	if _, err := h.client.MemoryProof(ctx, id, canary); statusOf(err) != 409 {
		t.Errorf("before the end: %v, want 409", err)
	}
	if _, err := h.client.Cancel(ctx, id); err != nil {
		t.Fatal(err)
	}
	if got, err := h.client.MemoryProof(ctx, id, canary); err != nil || string(got) != fileHead("proof")+"proof of "+id+"\n" || h.book.provedID != canary {
		t.Errorf("proof = %q, %v", got, err)
	}
	odd := "canary \"q\"\\é\u2028"
	if _, err := h.client.MemoryProof(ctx, id, odd); statusOf(err) != 404 || h.book.provedID != odd || repeats(err.Error()) {
		t.Errorf("an ID without a receipt: %v, want 404", err)
	}
	if _, err := h.client.MemoryProof(ctx, "0193a000-0000-7000-8000-000000000009", canary); statusOf(err) != 404 {
		t.Errorf("of no request: %v, want 404", err)
	}
	for _, id := range []string{"\xff" + canary, "*", " ", ""} {
		if _, err := h.client.MemoryProof(ctx, "0193a000-0000-7000-8000-000000000001", id); statusOf(err) != 422 || repeats(err.Error()) {
			t.Errorf("a bad ID: %v, want 422", err)
		}
	}
	h.book.fail = jobs.ErrGone
	if _, err := h.client.MemoryProof(ctx, id, canary); statusOf(err) != 410 {
		t.Errorf("destroyed key: %v, want 410", err)
	}
	h.book.fail = errors.New("database is locked")
	if _, err := h.client.MemoryProof(ctx, id, canary); statusOf(err) != 503 {
		t.Errorf("ledger away: %v, want 503", err)
	}
	if repeats(h.log.String()) {
		t.Errorf("the log repeats the ID:\n%s", h.log)
	}
}

func TestBadBodiesOfMemoryProofsAreRefusedWithoutBeingRepeated(t *testing.T) {
	h := open(t)
	id := h.file(t)
	before := h.book.count()
	const c = canary
	for _, b := range []badBody{
		{"empty body", ``, 400, "body"},
		{"not JSON", c, 400, "body"},
		{"null", `null`, 400, "body"},
		{"array", `["` + c + `"]`, 400, "body"},
		{"string", `"` + c + `"`, 400, "body"},
		{"cut short", `{"memory_id":"` + c, 400, "memory_id"},
		{"cut after value", `{"memory_id":"` + c + `"`, 400, "body"},
		{"number", `{"memory_id":9007199254740993}`, 400, "memory_id"},
		{"null value", `{"memory_id":null}`, 400, "memory_id"},
		{"list", `{"memory_id":["` + c + `"]}`, 400, "memory_id"},
		{"twice", `{"memory_id":"a","memory_id":"` + c + `"}`, 400, "memory_id"},
		{"case variant", `{"Memory_ID":"` + c + `"}`, 400, "memory_id"},
		{"camel case", `{"memoryId":"` + c + `"}`, 400, "memory_id"},
		{"unknown key", `{"memory_id":"` + c + `","` + c + `":1}`, 400, "body"},
		{"second document", `{"memory_id":"` + c + `"}{}`, 400, "body"},
		{"trailing word", `{"memory_id":"` + c + `"} ` + c, 400, "body"},
		{"invalid UTF-8", "{\"memory_id\":\"" + c + "\xff\"}", 400, "memory_id"},
		{"lone surrogate", `{"memory_id":"` + c + `\ud800"}`, 400, "memory_id"},
		{"nothing given", `{}`, 422, "memory_id"},
		{"blank", `{"memory_id":" \t"}`, 422, "memory_id"},
		{"wildcard", `{"memory_id":"*"}`, 422, "memory_id"},
		{"control", `{"memory_id":"` + c + `\u0000"}`, 422, "memory_id"},
		{"too long", `{"memory_id":"` + strings.Repeat(c, 30) + `"}`, 422, "memory_id"},
		{"too large", `{"memory_id":"` + strings.Repeat(c, 5000) + `"}`, 413, ""},
	} {
		answer := post(t, h.server.URL+"/v1/requests/"+id+"/memory-proof", b.body)
		text := readAll(t, answer.Body)
		var p api.Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Errorf("%s: not a problem: %s", b.name, text)
			continue
		}
		if answer.StatusCode != b.status || repeats(text) || b.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != b.field) {
			t.Errorf("%s: %d: %s", b.name, answer.StatusCode, text)
		}
	}
	for name, change := range map[string]func(http.Header){
		"a form":     func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") },
		"compressed": func(h http.Header) { h.Set("Content-Encoding", "gzip") },
	} {
		r, err := http.NewRequest(http.MethodPost, h.server.URL+"/v1/requests/"+id+"/memory-proof", strings.NewReader(`{"memory_id":"`+c+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		change(r.Header)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if text := readAll(t, answer.Body); answer.StatusCode != 415 || repeats(text) {
			t.Errorf("%s: %d: %s", name, answer.StatusCode, text)
		}
	}
	if h.book.count() > before || repeats(h.log.String()) {
		t.Errorf("the book was asked, or the log repeats the ID:\n%s", h.log)
	}
}

// Asking again does not help, so nobody is told to.
func TestALogThatPeopleMustLookAtIsNoOutage(t *testing.T) {
	h := open(t)
	id := h.file(t)
	for err, code := range map[error]string{jobs.ErrRefused: "log_refused", jobs.ErrBroken: "log_broken"} {
		h.book.fail = fmt.Errorf("x: %w", err)
		answer, err := http.Get(h.server.URL + "/v1/requests/" + id + "/certificate")
		if err != nil {
			t.Fatal(err)
		}
		var p api.Problem
		if err := json.Unmarshal([]byte(readAll(t, answer.Body)), &p); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != 503 || p.Code != code || answer.Header.Get("Retry-After") != "" {
			t.Errorf("status %d, code %s, Retry-After %q, want 503, %s and none", answer.StatusCode, p.Code, answer.Header.Get("Retry-After"), code)
		}
	}
}

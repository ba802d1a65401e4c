package api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// canary stands in every bad body where a value stands. It must not come back.
const canary = "canary.7f3a@example.com"

type badBody struct {
	name, body string
	status     int
	field      string
}

// badBodies are bodies with one thing wrong in each.
func badBodies() []badBody {
	const c = canary
	sel := func(s string) string { return `{"selector":` + s + `}` }
	with := func(s string) string { return `{"selector":{"user_id":"` + c + `"},` + s + `}` }
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	return []badBody{
		{"empty body", ``, 400, "body"},
		{"blank body", " \n\t", 400, "body"},
		{"not JSON", c, 400, "body"},
		{"byte order mark", "\ufeff" + sel(`{"user_id":"`+c+`"}`), 400, "body"},
		{"null", `null`, 400, "body"},
		{"array", `["` + c + `"]`, 400, "body"},
		{"string", `"` + c + `"`, 400, "body"},
		{"number", `1`, 400, "body"},
		{"cut short", `{"selector":{"user_id":"` + c, 400, "selector.user_id"},
		{"cut after value", `{"selector":{"user_id":"` + c + `"`, 400, "selector"},
		{"cut after selector", `{"selector":{"user_id":"` + c + `"}`, 400, "body"},
		{"trailing comma", with(`"stores":["app"],`), 400, "body"},
		{"comment", with(`/* ` + c + ` */"grace":"0s"`), 400, "body"},
		{"single quotes", `{'selector':{'user_id':'` + c + `'}}`, 400, "body"},
		{"bare key", `{selector:{"user_id":"` + c + `"}}`, 400, "body"},
		{"second document", sel(`{"user_id":"`+c+`"}`) + sel(`{"user_id":"`+c+`"}`), 400, "body"},
		{"trailing word", sel(`{"user_id":"`+c+`"}`) + " " + c, 400, "body"},
		{"trailing brace", sel(`{"user_id":"`+c+`"}`) + "}", 400, "body"},
		{"invalid UTF-8", sel("{\"user_id\":\"" + c + "\xff\"}"), 400, "selector.user_id"},
		{"lone surrogate", sel(`{"user_id":"` + c + `\ud800"}`), 400, "selector.user_id"},
		{"raw control character", sel("{\"user_id\":\"" + c + "\x01\"}"), 400, "selector.user_id"},
		{"bad escape", sel(`{"user_id":"` + c + `\q"}`), 400, "selector.user_id"},
		{"slip of the pen", with(`"grase":"` + c + `"`), 400, "grase"},
		{"slip of the pen in selector", sel(`{"user":"` + c + `"}`), 400, "selector.user"},
		{"unknown key", with(`"` + c + `":1`), 400, "body"},
		{"unknown key that is a value", `{"` + c + `":"x"}`, 400, "body"},
		{"unknown key in selector", sel(`{"user_id":"` + c + `","` + c + `":"x"}`), 400, "selector"},
		{"case variant", sel(`{"User_ID":"` + c + `"}`), 400, "selector.user_id"},
		{"case variant beside the real one", sel(`{"user_id":"` + c + `","USER_ID":""}`), 400, "selector.user_id"},
		{"long s", sel(`{"u\u017fer_id":"` + c + `"}`), 400, "selector.user_id"},
		{"camel case", sel(`{"userId":"` + c + `"}`), 400, "selector.user_id"},
		{"case variant of selector", `{"Selector":{"user_id":"` + c + `"}}`, 400, "selector"},
		{"camel case time", with(`"receivedAt":"` + c + `"`), 400, "received_at"},
		{"empty key", with(`"":"` + c + `"`), 400, "body"},
		{"duplicate selector", `{"selector":{"user_id":"` + c + `"},"selector":{"user_id":"b"}}`, 400, "selector"},
		{"duplicate user_id", sel(`{"user_id":"a","user_id":"` + c + `"}`), 400, "selector.user_id"},
		{"duplicate by escape", sel(`{"user_id":"a","user\u005fid":"` + c + `"}`), 400, "selector.user_id"},
		{"duplicate ids", sel(`{"ids":["a"],"ids":["` + c + `"]}`), 400, "selector.ids"},
		{"duplicate metadata key", sel(`{"metadata":{"` + c + `":1,"` + c + `":2}}`), 400, "selector.metadata"},
		{"duplicate grace", with(`"grace":"0s","grace":"1s"`), 400, "grace"},
		{"duplicate unknown-looking", with(`"stores":["app"],"stores":["` + c + `"]`), 400, "stores"},
		{"selector null", sel(`null`), 400, "selector"},
		{"selector string", sel(`"` + c + `"`), 400, "selector"},
		{"selector array", sel(`["` + c + `"]`), 400, "selector"},
		{"user_id number", sel(`{"user_id":9007199254740993}`), 400, "selector.user_id"},
		{"user_id null", sel(`{"user_id":null,"agent_id":"` + c + `"}`), 400, "selector.user_id"},
		{"user_id bool", sel(`{"user_id":true}`), 400, "selector.user_id"},
		{"user_id array", sel(`{"user_id":["` + c + `"]}`), 400, "selector.user_id"},
		{"user_id object", sel(`{"user_id":{"eq":"` + c + `"}}`), 400, "selector.user_id"},
		{"agent_id number", sel(`{"agent_id":1}`), 400, "selector.agent_id"},
		{"app_id number", sel(`{"app_id":1}`), 400, "selector.app_id"},
		{"run_id number", sel(`{"run_id":1}`), 400, "selector.run_id"},
		{"ids string", sel(`{"ids":"` + c + `"}`), 400, "selector.ids"},
		{"ids null", sel(`{"ids":null}`), 400, "selector.ids"},
		{"ids number inside", sel(`{"ids":["` + c + `",42]}`), 400, "selector.ids"},
		{"ids null inside", sel(`{"ids":["` + c + `",null]}`), 400, "selector.ids"},
		{"ids nested", sel(`{"ids":[["` + c + `"]]}`), 400, "selector.ids"},
		{"ids cut short", `{"selector":{"ids":["` + c + `"`, 400, "selector.ids"},
		{"metadata null", sel(`{"metadata":null}`), 400, "selector.metadata"},
		{"metadata array", sel(`{"metadata":["` + c + `"]}`), 400, "selector.metadata"},
		{"metadata null value", sel(`{"metadata":{"` + c + `":null}}`), 400, "selector.metadata"},
		{"metadata object value", sel(`{"metadata":{"k":{"` + c + `":1}}}`), 400, "selector.metadata"},
		{"metadata array value", sel(`{"metadata":{"k":["` + c + `"]}}`), 400, "selector.metadata"},
		{"metadata not a number", sel(`{"metadata":{"` + c + `":NaN}}`), 400, "selector.metadata"},
		{"deep nesting", strings.Repeat(`{"selector":`, 5000) + c, 400, "selector.selector"},
		{"deep array", sel(`{"ids":` + strings.Repeat("[", 20000)), 400, "selector.ids"},
		{"stores string", with(`"stores":"` + c + `"`), 400, "stores"},
		{"stores null", with(`"stores":null`), 400, "stores"},
		{"stores number inside", with(`"stores":[1]`), 400, "stores"},
		{"related number", with(`"related":1`), 400, "related"},
		{"related null", with(`"related":null`), 400, "related"},
		{"related string", with(`"related":"` + c + `"`), 400, "related"},
		{"related twice", with(`"related":true,"related":false`), 400, "related"},
		{"related in the selector", sel(`{"user_id":"` + c + `","related":true}`), 400, "selector.related"},
		{"ticket number", with(`"ticket":1`), 400, "ticket"},
		{"ticket null", with(`"ticket":null`), 400, "ticket"},
		{"regime number", with(`"regime":1`), 400, "regime"},
		{"regime not a code", with(`"regime":"GDPR ` + c + `"`), 400, "regime"},
		{"regime empty", with(`"regime":""`), 400, "regime"},
		{"ground not a code", with(`"ground":"` + c + `"`), 400, "ground"},
		{"ground too long", with(`"ground":"` + strings.Repeat("a", 65) + `"`), 400, "ground"},
		{"received_at not a time", with(`"received_at":"` + c + `"`), 400, "received_at"},
		{"received_at without zone", with(`"received_at":"2026-11-20T09:00:00"`), 400, "received_at"},
		{"received_at date only", with(`"received_at":"2026-11-20"`), 400, "received_at"},
		{"received_at year 1", with(`"received_at":"0001-01-01T00:00:00Z"`), 400, "received_at"},
		{"received_at number", with(`"received_at":1763629200`), 400, "received_at"},
		{"grace number", with(`"grace":0`), 400, "grace"},
		{"grace not a duration", with(`"grace":"` + c + `"`), 400, "grace"},
		{"grace negative", with(`"grace":"-1s"`), 400, "grace"},
		{"grace too large", with(`"grace":"99999999999h"`), 400, "grace"},

		{"no selector", `{}`, 422, "selector"},
		{"no selector but stores", `{"stores":["app"]}`, 422, "selector"},
		{"empty selector", sel(`{}`), 422, "selector"},
		{"user_id empty", sel(`{"user_id":""}`), 422, "selector.user_id"},
		{"user_id empty beside another", sel(`{"user_id":"","agent_id":"` + c + `"}`), 422, "selector.user_id"},
		{"user_id blank", sel(`{"user_id":" \t"}`), 422, "selector.user_id"},
		{"user_id zero width", sel(`{"user_id":"\u200b"}`), 422, "selector.user_id"},
		{"user_id wildcard", sel(`{"user_id":"*"}`), 422, "selector.user_id"},
		{"user_id percent", sel(`{"user_id":"%"}`), 422, "selector.user_id"},
		{"user_id control", sel(`{"user_id":"` + c + `\u0000"}`), 422, "selector.user_id"},
		{"user_id line end", sel(`{"user_id":"` + c + `\r\nX: y"}`), 422, "selector.user_id"},
		{"user_id too long", sel(`{"user_id":"` + strings.Repeat(c, 30) + `"}`), 422, "selector.user_id"},
		{"run_id wildcard", sel(`{"user_id":"` + c + `","run_id":"**"}`), 422, "selector.run_id"},
		{"ids empty", sel(`{"ids":[]}`), 422, "selector.ids"},
		{"ids blank inside", sel(`{"ids":["` + c + `",""]}`), 422, "selector.ids"},
		{"ids wildcard inside", sel(`{"ids":["` + c + `","*"]}`), 422, "selector.ids"},
		{"ids too long inside", sel(`{"ids":["` + strings.Repeat(c, 30) + `"]}`), 422, "selector.ids"},
		{"ids and user_id", sel(`{"ids":["` + c + `"],"user_id":"` + c + `"}`), 422, "selector"},
		{"metadata and ids", sel(`{"metadata":{"k":"` + c + `"},"ids":["` + c + `"]}`), 422, "selector"},
		{"metadata empty", sel(`{"metadata":{}}`), 422, "selector.metadata"},
		{"metadata empty beside another", sel(`{"user_id":"` + c + `","metadata":{}}`), 422, "selector.metadata"},
		{"metadata blank key", sel(`{"metadata":{" ":"` + c + `"}}`), 422, "selector.metadata key"},
		{"metadata blank value", sel(`{"metadata":{"` + c + `":""}}`), 422, "selector.metadata"},
		{"metadata wildcard value", sel(`{"metadata":{"` + c + `":"%"}}`), 422, "selector.metadata"},
		{"metadata number too large", sel(`{"metadata":{"` + c + `":1e999}}`), 422, "selector.metadata"},
		{"metadata too many keys", sel(`{"metadata":{` + many(33, `"`+c+`%d":1`) + `}}`), 422, "selector.metadata"},
		{"stores empty", with(`"stores":[]`), 422, "stores"},
		{"stores unknown", with(`"stores":["` + c + `"]`), 422, "stores"},
		{"stores twice", with(`"stores":["app","app"]`), 422, "stores"},
		{"ticket with line end", with(`"ticket":"` + c + `\nline"`), 422, "ticket"},
		{"ticket too long", with(`"ticket":"` + strings.Repeat(c, 10) + `"`), 422, "ticket"},
	}
}

func TestBadBodiesAreRefusedWithoutBeingRepeated(t *testing.T) {
	h := open(t)
	bodies := badBodies()
	if len(bodies) < 60 {
		t.Fatalf("only %d bad bodies", len(bodies))
	}
	for _, path := range []string{"/v1/requests", "/v1/plans"} {
		for _, b := range bodies {
			t.Run(path[4:]+"/"+b.name, func(t *testing.T) {
				answer := post(t, h.server.URL+path, b.body)
				text := readAll(t, answer.Body)
				var p api.Problem
				if err := json.Unmarshal([]byte(text), &p); err != nil {
					t.Fatalf("not a problem: %v: %s", err, text)
				}
				if answer.StatusCode != b.status || p.Status != b.status {
					t.Errorf("status = %d, %d in the body, want %d: %s", answer.StatusCode, p.Status, b.status, text)
				}
				if got := answer.Header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("content type = %q", got)
				}
				if len(p.Errors) != 1 || p.Errors[0].Field != b.field || p.Errors[0].Message == "" {
					t.Errorf("errors = %v, want one of field %q", p.Errors, b.field)
				}
				if p.Type == "" || p.Title == "" || p.Detail == "" {
					t.Errorf("problem is not whole: %s", text)
				}
				if repeats(text) {
					t.Errorf("the answer repeats the value: %s", text)
				}
			})
		}
	}
	if n := h.book.count(); n > 0 {
		t.Errorf("the book was called %d times", n)
	}
	if repeats(h.log.String()) {
		t.Errorf("the log repeats a value:\n%s", h.log)
	}
}

// repeats reports whether text has any piece of the canary.
func repeats(text string) bool {
	return strings.Contains(text, "canary") || strings.Contains(text, "7f3a") || strings.Contains(text, "9007199254740993")
}

func TestReadSelectorRefusesLikeTheServer(t *testing.T) {
	for _, b := range badBodies() {
		inner, ok := strings.CutPrefix(b.body, `{"selector":`)
		if !ok || !strings.HasPrefix(b.field, "selector.") || !strings.HasSuffix(inner, "}}") {
			continue
		}
		_, err := api.ReadSelector(strings.NewReader(strings.TrimSuffix(inner, "}")), nil)
		p, ok := errors.AsType[*api.Problem](err)
		if !ok || p.Status != b.status || p.Errors[0].Field != b.field {
			t.Errorf("%s: %v, want %d %s", b.name, err, b.status, b.field)
		}
		if err != nil && repeats(err.Error()) {
			t.Errorf("%s: the error repeats the value: %v", b.name, err)
		}
	}
}

func TestReadSelectorReturnsTheReadersError(t *testing.T) {
	broken := errors.New("disk")
	_, err := api.ReadSelector(io.MultiReader(strings.NewReader(`{"user_id":`), failing{broken}), nil)
	if !errors.Is(err, broken) {
		t.Errorf("err = %v, want the reader's", err)
	}
	_, err = api.ReadSelector(strings.NewReader(`{"ids":["a"]}`), func([]string) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("err = %v, want that of ids", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestErrorsOfTheBookHaveOneStatusEach(t *testing.T) {
	h := openOddly(t)
	id := h.file(t)
	tests := []struct {
		err    error
		status int
		field  string
	}{
		{fmt.Errorf("x: %w", jobs.ErrNotFound), 404, ""},
		{fmt.Errorf("x: %w", jobs.ErrConflict), 409, ""},
		{fmt.Errorf("x: %w", jobs.ErrTooLate), 409, ""},
		{fmt.Errorf("x: %w", jobs.ErrGone), 410, ""},
		{fmt.Errorf("x: %w", &jobs.Invalid{Field: "grace", Problem: "is too long"}), 400, "grace"},
		{fmt.Errorf("x: %w", &jobs.Invalid{Field: "regime", Problem: "is not known"}), 400, "regime"},
		{fmt.Errorf("x: %w", &jobs.Invalid{Field: "stores", Problem: "are not there"}), 422, "stores"},
		{fmt.Errorf("x: %w", &store.FieldError{Field: "selector.app_id", Problem: "is not kept"}), 422, "selector.app_id"},
		{fmt.Errorf("x: %w", store.ErrSelector), 422, ""},
		{errors.New("database is locked"), 503, ""},
	}
	for _, tt := range tests {
		h.book.fail = tt.err
		answer, err := http.Get(h.server.URL + "/v1/requests/" + id)
		if err != nil {
			t.Fatal(err)
		}
		var p api.Problem
		if err := json.Unmarshal([]byte(readAll(t, answer.Body)), &p); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != tt.status || p.Status != tt.status || (len(p.Errors) > 0) != (tt.field != "") {
			t.Errorf("%v: status %d (%v), want %d", tt.err, answer.StatusCode, p.Errors, tt.status)
		}
		if (answer.Header.Get("Retry-After") != "") != (tt.status == 503) {
			t.Errorf("%v: Retry-After = %q", tt.err, answer.Header.Get("Retry-After"))
		}
		if strings.Contains(p.Detail, "locked") {
			t.Errorf("the answer tells the ledger's text: %s", p.Detail)
		}
	}
	if !strings.Contains(h.log.String(), "database is locked") {
		t.Error("the log does not say why a request was not answered")
	}
}

func post(t *testing.T, url, body string) *http.Response {
	t.Helper()
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func readAll(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

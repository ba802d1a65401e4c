package api_test

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"lethe/jobs"
	"lethe/jobs/api"
)

// people are tokens in memory. What is not known has expired or been revoked: a
// gate does not say.
type people struct {
	mu     sync.Mutex
	by     map[string]jobs.Actor
	open   bool
	fail   error
	broken error // of what is asked of tokens themselves
}

func (p *people) Actor(_ context.Context, token string) (jobs.Actor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return jobs.Actor{}, p.fail
	}
	if token == "" && p.open {
		return jobs.ActorOpen, nil
	}
	if a, ok := p.by[token]; ok {
		return a, nil
	}
	return jobs.Actor{}, jobs.ErrUnknownToken
}

func (p *people) CreateToken(_ context.Context, by jobs.Actor, o jobs.TokenOrder) (jobs.Token, string, error) {
	return jobs.Token{ID: "tok-1", Name: o.Name, Role: o.Role, CreatedBy: by.ID}, secretOf("new"), cmp.Or(p.broken, o.Check())
}

func (p *people) Tokens(context.Context, jobs.Actor) ([]jobs.Token, error) {
	return []jobs.Token{{ID: "tok-1", Role: jobs.RoleAuditor}}, p.broken
}

func (p *people) RevokeToken(_ context.Context, _ jobs.Actor, id string) (jobs.Token, error) {
	if id != "tok-1" {
		return jobs.Token{}, jobs.ErrNotFound
	}
	return jobs.Token{ID: id, Role: jobs.RoleAuditor}, p.broken
}

// secretOf is a token in its form.
func secretOf(who string) string {
	return jobs.TokenPrefix + strings.Repeat("0", 64-2*len(who)) + hex.EncodeToString([]byte(who))
}

// closed is a house whose door is closed: one token a role.
func closed(t *testing.T, listen string) (*house, *people) {
	t.Helper()
	p := &people{by: map[string]jobs.Actor{}}
	for _, role := range jobs.Roles() {
		p.by[secretOf(string(role))] = jobs.Actor{ID: "tok-" + string(role), Role: role}
	}
	return open(t, func(o *api.Options) { o.Tokens, o.Listen, o.Hosts = p, listen, []string{"example.com"} }), p
}

// matrix is who may do what, as the README has it and not as the code does.
func matrix() map[string]string {
	return map[string]string{
		"GET /healthz": "everybody", "GET /readyz": "everybody", "GET /v1/openapi.yaml": "everybody",
		"GET /log/checkpoint": "everybody", "GET /log/tile/{path...}": "everybody", "GET /log/key": "everybody", "GET /log/keys": "everybody",
		"POST /v1/requests": "submitter admin", "POST /v1/plans": "submitter admin", "POST /v1/requests/{id}/cancel": "submitter admin",
		"GET /v1/requests": "submitter approver auditor admin", "GET /v1/requests/{id}": "submitter approver auditor admin",
		"GET /v1/requests/{id}/events": "submitter approver auditor admin", "GET /v1/requests/{id}/certificate": "submitter approver auditor admin",
		"GET /v1/requests/{id}/receipt": "submitter approver auditor admin", "GET /v1/requests/{id}/subject-key": "submitter approver auditor admin",
		"POST /v1/requests/{id}/memory-proof": "submitter approver auditor admin",
		"POST /v1/requests/{id}/approve":      "approver admin", "POST /v1/requests/{id}/reject": "approver admin", "POST /v1/requests/{id}/extend": "approver admin",
		"POST /v1/requests/{id}/confirm": "approver admin", "POST /v1/requests/{id}/exempt": "approver admin",
		"GET /v1/holds": "approver auditor admin", "POST /v1/holds": "approver admin", "DELETE /v1/holds/{id}": "approver admin",
		"POST /v1/stores/{name}/replays": "admin", "POST /v1/suppressions/check": "submitter approver auditor admin",
		"GET /v1/policies": "approver auditor admin", "POST /v1/policies/{name}/sweeps": "admin",
		"GET /v1/doctor": "auditor admin", "GET /v1/backup": "admin",
		"GET /v1/tokens": "admin", "POST /v1/tokens": "admin", "DELETE /v1/tokens/{id}": "admin",
	}
}

// call makes a call that is well formed, for something that is not there.
func call(h *house, route string, header ...string) (status int, body string, answer http.Header) {
	method, path, _ := strings.Cut(route, " ")
	path = strings.NewReplacer("{id}", "0193a000-0000-7000-8000-999999999999", "{path...}", "0/000").Replace(path)
	var text io.Reader = http.NoBody
	switch {
	case strings.HasSuffix(path, "/memory-proof"):
		text = strings.NewReader(`{"memory_id":"m"}`)
	case strings.HasSuffix(path, "/approve"):
		text = strings.NewReader(`{"plan_hash":"h"}`)
	case strings.HasSuffix(path, "/reject"):
		text = strings.NewReader(`{"reason":"r"}`)
	case path == "/v1/tokens" && method == http.MethodPost:
		text = strings.NewReader(`{"name":"n","role":"auditor","expires":"1h"}`)
	case method == http.MethodPost:
		text = strings.NewReader(goodBody)
	}
	w := h.ask(method, path, text, append([]string{"Content-Type", "application/json"}, header...)...)
	return w.Code, w.Body.String(), w.Header()
}

func TestEveryRouteIsForTheRolesOfTheTable(t *testing.T) {
	h, _ := closed(t, ":8080")
	want := matrix()
	for _, route := range api.Routes() {
		allowed, listed := want[route]
		if !listed {
			t.Errorf("%s is in no row of the table", route)
			continue
		}
		for _, role := range append(jobs.Roles(), "none", "expired or revoked") {
			var header []string
			if role != "none" {
				header = []string{"Authorization", "Bearer " + secretOf(string(role))}
				if role == "expired or revoked" {
					header[1] = "Bearer " + secretOf("gone")
				}
			}
			status, body, answer := call(h, route, header...)
			known := strings.Contains("submitter approver auditor admin", string(role))
			challenged := answer.Get("WWW-Authenticate") != ""
			switch {
			case allowed == "everybody" || strings.Contains(allowed, string(role)):
				if status == 401 || status == 403 || status >= 500 || challenged {
					t.Errorf("%s by %s: %d, want it let in: %s", route, role, status, body)
				}
			case known && (status != 403 || !strings.Contains(body, `"forbidden"`) || challenged):
				t.Errorf("%s by %s: %d, want 403: %s", route, role, status, body)
			case !known && (status != 401 || !challenged):
				t.Errorf("%s by %s: %d, want 401 with a challenge: %s", route, role, status, body)
			}
		}
	}
	if n := len(h.book.submitted); n != 2*len([]string{"requests", "plans"}) {
		t.Errorf("%d submissions came through, want those of submitter and admin", n)
	}
	if len(want) != len(api.Routes()) {
		t.Errorf("the table has %d rows, and there are %d routes", len(want), len(api.Routes()))
	}
}

// A route that says nothing of what it is for lets nobody in.
func TestNoActIsForNobody(t *testing.T) {
	for route, act := range api.Acts() {
		if act == "" {
			t.Errorf("%s says nothing of who may call it", route)
		}
	}
	for _, role := range jobs.Roles() {
		if a := (jobs.Actor{ID: "t", Role: role}); a.May("") || a.May("new") {
			t.Errorf("a %s may do what nothing is known of", role)
		}
	}
	if (jobs.Actor{Role: jobs.RoleAdmin}).May(jobs.ActRead) {
		t.Error("an actor without an ID may read")
	}
}

func TestAuthorizationIsReadStrictly(t *testing.T) {
	h, _ := closed(t, "127.0.0.1:8080")
	const route = "GET /v1/requests"
	good := secretOf("admin")
	for name, header := range map[string][]string{
		"no scheme": {"Authorization", good}, "Basic": {"Authorization", "Basic " + good}, "empty": {"Authorization", ""}, "no token": {"Authorization", "Bearer "},
		"two spaces": {"Authorization", "Bearer  " + good}, "a list": {"Authorization", "Bearer " + good + ", Bearer " + good}, "more": {"Authorization", "Bearer " + good + " x"},
		"twice": {"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, "twice, one empty": {"Authorization", "Bearer " + good, "Authorization", ""},
		"a tab": {"Authorization", "Bearer\t" + good}, "capitals": {"Authorization", "Bearer " + strings.ToUpper(good)}, "cut": {"Authorization", "Bearer " + good[:69]},
		"another header": {"X-Authorization", "Bearer " + good}, "a cookie": {"Cookie", "token=" + good}, "forged": {"Authorization", "Bearer " + secretOf("gone")},
	} {
		status, body, _ := call(h, route, header...)
		if status != 401 || strings.Contains(body, good[10:]) {
			t.Errorf("%s: %d, want 401: %s", name, status, body)
		}
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER "} {
		if status, body, _ := call(h, route, "Authorization", scheme+good); status != 200 {
			t.Errorf("%q: %d %s", scheme, status, body)
		}
	}
	if strings.Contains(h.log.String(), jobs.TokenPrefix) {
		t.Errorf("a token stands in the log of the service: %s", h.log)
	}
}

// A URL stands in the logs of proxies, so a token that comes in one must be of no
// use, also where none is needed.
func TestATokenInAURLIsRefused(t *testing.T) {
	h, _ := closed(t, "127.0.0.1:8080")
	good := secretOf("admin")
	for _, target := range []string{
		"/v1/requests?access_token=" + good, "/v1/requests?token=x", "/v1/requests?Access_Token=" + good, "/v1/requests?status=" + good,
		"/v1/requests?" + good, "/healthz?access_token=" + good, "/log/checkpoint?a=b&x=" + good, "/v1/requests?status=%6cethe_" + strings.TrimPrefix(good, "lethe_"),
	} {
		w := h.ask("GET", target, http.NoBody, "Authorization", "Bearer "+good)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "token_in_url") || strings.Contains(w.Body.String(), good) {
			t.Errorf("%s: %d %s", target[:20], w.Code, w.Body)
		}
	}
}

// Without a token somebody is let in only on loopback, only before the first
// token, and only if he does not come through a proxy.
func TestTheOpenDoorIsForThisMachineAlone(t *testing.T) {
	for name, row := range map[string]struct {
		listen string
		header []string
		in     bool
	}{
		"loopback": {"127.0.0.1:8080", nil, true}, "loopback of version 6": {"[::1]:8080", nil, true}, "localhost": {"localhost:8080", nil, true},
		"every address": {":8080", nil, false}, "every address, said": {"0.0.0.0:8080", nil, false}, "an address": {"192.0.2.1:8080", nil, false},
		"a name": {"lethe.example:80", nil, false}, "nothing known": {"", nil, false},
		"forwarded": {"127.0.0.1:8080", []string{"X-Forwarded-For", "192.0.2.9"}, false}, "forwarded, the standard's": {"127.0.0.1:8080", []string{"Forwarded", "for=192.0.2.9"}, false},
		"real IP": {"127.0.0.1:8080", []string{"X-Real-IP", "192.0.2.9"}, false}, "via": {"127.0.0.1:8080", []string{"Via", "1.1 proxy"}, false},
		"a token that is none": {"127.0.0.1:8080", []string{"Authorization", "Bearer x"}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/requests", nil)
		if row.header != nil {
			r.Header.Set(row.header[0], row.header[1])
		}
		p := &people{open: true}
		if a, err := api.Authenticate(r, p, row.listen); (err == nil) != row.in || row.in && a != jobs.ActorOpen || !row.in && !errors.Is(err, jobs.ErrUnknownToken) {
			t.Errorf("%s: %+v, %v, want in: %v", name, a, err, row.in)
		}
		p.open = false
		if a, err := api.Authenticate(r, p, row.listen); !errors.Is(err, jobs.ErrUnknownToken) || a != (jobs.Actor{}) {
			t.Errorf("%s, once there is a token: %+v, %v", name, a, err)
		}
	}
}

// A ledger that does not answer lets nobody in, and is no reason to make another
// token.
func TestALedgerThatDoesNotAnswerLetsNobodyIn(t *testing.T) {
	h, p := closed(t, "127.0.0.1:8080")
	p.fail = errors.New("disk")
	for _, header := range [][]string{nil, {"Authorization", "Bearer " + secretOf("admin")}} {
		status, body, answer := call(h, "GET /v1/requests", header...)
		if status != 503 || answer.Get("Retry-After") == "" || strings.Contains(body, "disk") {
			t.Errorf("%d %s", status, body)
		}
	}
	if h.book.count() != 0 {
		t.Error("the book was asked")
	}
}

func TestReadyzTellsStrangersNoMoreThanYesOrNo(t *testing.T) {
	p := &people{by: map[string]jobs.Actor{secretOf("auditor"): {ID: "tok-a", Role: jobs.RoleAuditor}}}
	for listen, told := range map[string]bool{"127.0.0.1:8080": true, ":8080": false} {
		h := open(t, func(o *api.Options) {
			o.Tokens, o.Listen, o.Hosts = p, listen, []string{"example.com"}
			o.Ready = func(context.Context) []string { return []string{"the queue does not answer"} }
			o.States = func() []api.StoreState { return []api.StoreState{{Store: "assistant", State: api.StoreDown}} }
		})
		for _, row := range []struct {
			told   bool
			header []string
		}{
			{told, nil},
			{false, []string{"X-Forwarded-For", "192.0.2.9"}},
			{told, []string{"Authorization", "Bearer " + secretOf("gone")}},
			{true, []string{"Authorization", "Bearer " + secretOf("auditor")}},
		} {
			w := h.ask("GET", "/readyz", http.NoBody, row.header...)
			got := strings.Contains(w.Body.String(), "queue") && strings.Contains(w.Body.String(), "assistant")
			if w.Code != 503 || got != row.told || !strings.Contains(w.Body.String(), `"ready":false`) {
				t.Errorf("%s %.30q: %d, told %v, want %v: %s", listen, row.header, w.Code, got, row.told, w.Body)
			}
		}
	}
}

// Metrics are whose who has the right token, but on loopback.
func TestWhoMayReadMetrics(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "lethe_up 1\n") })
	h, p := closed(t, ":8080")
	for listen, want := range map[string]map[string]int{
		":8080":          {"": 401, "submitter": 403, "approver": 403, "auditor": 200, "admin": 200, "gone": 401},
		"127.0.0.1:8080": {"": 200, "submitter": 200, "gone": 200},
	} {
		h.server.Config.Handler = api.Guarded(metrics, jobs.ActMetrics, api.Options{Tokens: p, Listen: listen, Hosts: []string{"example.com"}})
		for role, status := range want {
			var header []string
			if role != "" {
				header = []string{"Authorization", "Bearer " + secretOf(role)}
			}
			if w := h.ask("GET", "/metrics", http.NoBody, header...); w.Code != status {
				t.Errorf("%s by %q: %d, want %d", listen, role, w.Code, status)
			}
		}
	}
	h.server.Config.Handler = api.Guarded(metrics, jobs.ActOpen, api.Options{Tokens: p, Listen: ":8080"})
	if w := h.ask("GET", "/metrics", http.NoBody); w.Code != 200 {
		t.Errorf("metrics that are open: %d", w.Code)
	}
}

// A token that is revoked ends what it has opened.
func TestAStreamEndsWithItsToken(t *testing.T) {
	h, p := closed(t, "127.0.0.1:8080")
	w := h.ask("POST", "/v1/requests", strings.NewReader(goodBody), "Authorization", "Bearer "+secretOf("admin"), "Content-Type", "application/json")
	if w.Code != 202 {
		t.Fatal(w.Code, w.Body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL+"/v1/requests/"+h.book.requests[0].ID+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secretOf("auditor"))
	answer, err := h.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := answer.Body.Read(make([]byte, 10)); err != nil || answer.StatusCode != 200 {
		t.Fatal(answer.StatusCode, err)
	}
	p.mu.Lock()
	clear(p.by)
	p.mu.Unlock()
	if _, err := io.ReadAll(answer.Body); err != nil { // ends, or the test does not
		t.Fatal(err)
	}
}

func TestTokensOverTheWire(t *testing.T) {
	h := open(t, func(o *api.Options) {
		o.Tokens, o.Listen, o.Hosts = &people{open: true}, "127.0.0.1:8080", []string{"example.com"}
	})
	made, err := h.client.CreateToken(t.Context(), api.TokenOrder{Name: "n", Role: jobs.RoleAuditor})
	if err != nil || made.Secret != secretOf("new") || made.CreatedBy != "open" || made.Role != jobs.RoleAuditor {
		t.Errorf("%+v, %v", made.Token, err)
	}
	for body, want := range map[string]int{
		`{"name":"n"}`: 400, `{"role":"admin"}`: 422, `{"name":"n","role":"root"}`: 400, `{"name":"n","role":"admin","x":1}`: 400, `{"name":"` + canary + `\n","role":"admin"}`: 422,
		`{"name":"n","role":"admin","role":"admin"}`: 400, `{"name":"n","role":"admin","expires":"-1h"}`: 400, `{"name":"n","role":"admin","expires":"9999999h"}`: 400, `[]`: 400, `{"name":"n","role":"admin"} {}`: 400,
	} {
		w := h.ask("POST", "/v1/tokens", strings.NewReader(body))
		if w.Code != want || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%s: %d, want %d: %s", body, w.Code, want, w.Body)
		}
	}
	if list, err := h.client.Tokens(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := h.client.RevokeToken(t.Context(), "tok-1"); err != nil {
		t.Error(err)
	}
	if p, ok := errors.AsType[*api.Problem](func() error { _, err := h.client.RevokeToken(t.Context(), "../requests"); return err }()); !ok || p.Status != 404 {
		t.Errorf("%v, want 404", p)
	}
}

func TestAClientSendsNoTokenInTheClear(t *testing.T) {
	for server, ok := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://localhost": true, "http://[::1]:1": true, "https://lethe.example": true, "HTTP://LOCALHOST": true,
		"http://lethe.example": false, "http://localhost.evil.example": false, "http://192.0.2.1": false, "http://127.0.0.1.evil.example": false,
	} {
		_, err := api.NewClient(server, secretOf("admin"), nil)
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), secretOf("admin")) {
			t.Errorf("%s: %v", server, err)
		}
		if _, err := api.NewClient(server, "", nil); err != nil {
			t.Errorf("%s without a token: %v", server, err)
		}
	}
}

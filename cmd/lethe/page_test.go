package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store/mem0"
)

// A visitor looks at the page of a running service.
type visitor struct {
	t      *testing.T
	url    string
	client *http.Client
}

func (r *running) visitor(t *testing.T) visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{t, r.s.URL(), &http.Client{Jar: jar, Timeout: patience}}
}

// see returns the status and the text of a page.
func (v visitor) see(method, path string, form url.Values) (status int, page string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	a, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

// send sends a form of the page at from, with what is hidden in it.
func (v visitor) send(from, path string, form url.Values) (int, string) {
	v.t.Helper()
	_, page := v.see("GET", from, nil)
	return v.see("POST", path, with(form, page, "form"))
}

func with(form url.Values, page string, hidden ...string) url.Values {
	for _, name := range hidden {
		if m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page); m != nil {
			form.Set(name, m[1])
		}
	}
	return form
}

func TestAPersonIsForgottenThroughThePage(t *testing.T) {
	dir := t.TempDir()
	c := newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "m1", UserID: "nora-canary", Text: "likes tea"}, mem0.Memory{ID: "m2", UserID: "abe", Text: "likes coffee"})
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", c)), nil)
	v := r.visitor(t)
	if status, page := v.see("GET", "/", nil); status != http.StatusOK || !strings.Contains(page, "No request is open.") || !strings.Contains(page, "This service is open.") {
		t.Fatalf("at first: %d %s", status, page)
	}
	_, plan := v.send("/console/new", "/console/plan", url.Values{"user_id": {"nora-canary"}, "store": {"assistant"}, "regime": {"gdpr"}, "ticket": {"PRIV-9"}})
	if !strings.Contains(plan, "1 memory in 1 store") || strings.Contains(plan, "nora") {
		t.Fatalf("plan: %s", plan)
	}
	_, page := v.see("POST", "/console/file", with(url.Values{"sure": {"yes"}}, plan, "form", "draft"))
	id := regexp.MustCompile(`/console/requests/([0-9a-f-]{36})/events`).FindStringSubmatch(page)
	if id == nil {
		t.Fatalf("filed: %s", page)
	}
	done := r.completed(id[1])
	_, page = v.see("GET", "/console/requests/"+id[1], nil)
	for _, want := range []string{">Completed<", "ended in time", "PRIV-9", done.Subject, done.PlanHash, r.s.ledger.Log().Verifier()} {
		if !strings.Contains(strings.ReplaceAll(page, "&#43;", "+"), want) {
			t.Errorf("the page does not say %q: %s", want, page)
		}
	}
	if status, text := v.see("GET", "/console/requests/"+id[1]+"/certificate", nil); status != 200 || !strings.HasPrefix(text, "c2sp.org/tlog-proof@v1\n") {
		t.Errorf("certificate: %d %.60s", status, text)
	}
	if status, page := v.see("GET", "/console/log", nil); status != 200 || !strings.Contains(page, "lethe.example/log") {
		t.Errorf("log: %d %s", status, page)
	}
}

func TestASecondPersonApprovesOnThePage(t *testing.T) {
	dir := t.TempDir()
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{UserID: "nora"})))
	c.Approval = approvalAlways
	r := start(t, c, nil)
	people := map[jobs.Role]visitor{}
	for _, role := range []jobs.Role{jobs.RoleSubmitter, jobs.RoleApprover} {
		_, secret, err := r.s.ledger.CreateToken(t.Context(), jobs.ActorLocal, jobs.TokenOrder{Name: string(role), Role: role, Life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		people[role] = r.visitor(t)
		if status, page := people[role].send("/console/sign-in", "/console/sign-in", url.Values{"token": {secret}}); status != http.StatusOK {
			t.Fatalf("sign in: %d %s", status, page)
		}
	}
	sam, abe := people[jobs.RoleSubmitter], people[jobs.RoleApprover]
	_, plan := sam.send("/console/new", "/console/plan", url.Values{"user_id": {"nora"}, "store": {"assistant"}, "regime": {"gdpr"}})
	if !strings.Contains(plan, "A second person will have to approve it") {
		t.Errorf("plan: %s", plan)
	}
	_, page := sam.see("POST", "/console/file", with(url.Values{"sure": {"yes"}}, plan, "form", "draft"))
	path := strings.TrimSuffix(regexp.MustCompile(`/console/requests/[0-9a-f-]{36}/events`).FindString(page), "/events")
	page = sam.until(path, ">Waits for approval<")
	if strings.Contains(page, path+"/approve") || !strings.Contains(page, "Every plan has to be approved here.") {
		t.Errorf("who filed it sees: %s", page)
	}
	_, page = abe.see("GET", path, nil)
	if status, page := abe.see("POST", path+"/approve", with(url.Values{"sure": {"yes"}}, page, "form", "plan_hash")); status != http.StatusOK || !strings.Contains(page, "You approved the plan.") {
		t.Fatalf("approve: %d %s", status, page)
	}
	sam.until(path, ">Completed<")
	if n := r.kinds()["erasure.approved/v1"]; n != 1 {
		t.Errorf("the log has %d approvals", n)
	}
}

// until looks at a page until it says something.
func (v visitor) until(path, want string) (page string) {
	v.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, page = v.see("GET", path, nil); strings.Contains(page, want) {
			return page
		}
	}
	v.t.Fatalf("%s does not say %s: %s", path, want, page)
	return ""
}

func TestAPIRoutesTakeNoCookieAndThePageAsksForAToken(t *testing.T) {
	dir := t.TempDir()
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", newMem0(t, filepath.Join(dir, "mem0")))), nil)
	var secrets []string
	var tokens []jobs.Token
	for _, role := range []jobs.Role{jobs.RoleAdmin, jobs.RoleSubmitter} {
		token, secret, err := r.s.ledger.CreateToken(t.Context(), jobs.ActorLocal, jobs.TokenOrder{Name: string(role), Role: role, Life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		secrets, tokens = append(secrets, secret), append(tokens, token)
	}
	v := r.visitor(t)
	if _, page := v.see("GET", "/", nil); !strings.Contains(page, "<h1>Sign in</h1>") {
		t.Fatalf("without a token: %s", page)
	}
	if status, page := v.send("/console/sign-in", "/console/sign-in", url.Values{"token": {secrets[0]}}); status != 200 || !strings.Contains(page, tokens[0].ID) {
		t.Fatalf("sign in: %d %s", status, page)
	}
	for _, path := range []string{"/v1/requests", "/v1/requests/" + tokens[0].ID} {
		if status, answer := v.see("GET", path, nil); status != http.StatusUnauthorized {
			t.Errorf("%s with the session's cookie: %d %s", path, status, answer)
		}
	}
	if _, err := r.s.ledger.RevokeToken(t.Context(), jobs.ActorLocal, tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, page := v.see("GET", "/", nil); !strings.Contains(page, "<h1>Sign in</h1>") {
		t.Errorf("with a revoked token: %s", page)
	}
}

func TestSigningInThroughAProviderStandsInTheConfiguration(t *testing.T) {
	const good = `oidc:
  issuer: https://sso.example/realms/staff
  client_id: lethe
  client_secret_file: oidc.secret
  redirect_url: https://lethe.example/console/sign-in/oidc/callback
  roles: {team: submitter, leads: approver}
`
	path := writeConfig(t, good)
	c, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.OIDC.open(); err == nil || strings.Contains(err.Error(), "sso.example") {
		t.Errorf("without the secret's file: %v", err)
	}
	secret := filepath.Join(filepath.Dir(path), "oidc.secret")
	for text, ok := range map[string]bool{"": false, " \n": false, "hunter2\n": true} {
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := c.OIDC.open()
		if (err == nil) != ok {
			t.Errorf("secret %q: %v", text, err)
		} else if ok && (o.ClientSecret != "hunter2" || o.RolesClaim != "groups" || cmp.Diff(o.Roles, map[string]jobs.Role{"team": "submitter", "leads": "approver"}) != "") {
			t.Errorf("%+v", o)
		}
	}
	if !c.reachedByHTTPS() {
		t.Error("cookies would not be Secure behind a proxy that speaks TLS")
	}
	for _, tt := range []struct{ from, to, want string }{
		{"https://sso.example/realms/staff", "http://hunter2.example", "oidc.issuer: must be an https URL"},
		{"https://sso.example/realms/staff", "https://user:hunter2@sso.example", "oidc.issuer: must be"},
		{"client_id: lethe", "client_id: \"\"", "oidc.client_id: must be"},
		{"  client_secret_file: oidc.secret\n", "", "oidc.client_secret_file: must be"},
		{"client_secret_file: oidc.secret", "client_secret: hunter2", "is not a key that lethe knows"},
		{"/oidc/callback", "/hunter2", "oidc.redirect_url: must be an https URL that ends in /console/sign-in/oidc/callback"},
		{"https://lethe.example/", "http://lethe.example/", "oidc.redirect_url: must be"},
		{"{team: submitter, leads: approver}", "{team: hunter2}", "oidc.roles: must give submitter, approver, auditor or admin"},
		{"{team: submitter, leads: approver}", "{}", "oidc.roles: must give a role"},
		{"client_id: lethe", "client_id: lethe\n  scopes: [\"a b\"]", "oidc.scopes: must be"},
	} {
		text := strings.Replace(good, tt.from, tt.to, 1)
		if _, err := Load(writeConfig(t, text), Overrides{}); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "lethe.yaml:") {
			t.Errorf("%q for %q: %v, want %s", tt.to, tt.from, err, tt.want)
		}
	}
	local := strings.NewReplacer("https://sso.example", "http://127.0.0.1:9", "https://lethe.example", "http://localhost:8080").Replace(good)
	if _, err := Load(writeConfig(t, local), Overrides{}); err != nil {
		t.Errorf("a provider on this machine: %v", err)
	}
}

// Guessing tokens on the page is slowed down as it is on the API, and the right
// token is let in again after a while.
func TestGuessingOnThePageIsSlowedDown(t *testing.T) {
	t.Parallel()
	pass := 0
	page := api.Limited(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { pass++ }),
		api.Options{Rate: api.NewMeter(1000, 1000), Refusals: api.NewMeter(0.001, 20)}, signsIn)
	try := func(method, path string) int {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Error("429 does not say when to come back")
		}
		return w.Code
	}
	for range 100 {
		try(http.MethodPost, "/console/sign-in")
	}
	if pass != 20 {
		t.Errorf("%d of 100 guesses were looked at, want 20", pass)
	}
	if code := try(http.MethodGet, "/console/sign-in"); code != http.StatusOK {
		t.Errorf("the page itself answers %d", code)
	}
}

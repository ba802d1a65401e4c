package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// newToken makes a token through the command line, on the ledger itself, and
// returns the file that it is kept in.
func newToken(t testing.TB, data string, role jobs.Role) (path, token string) {
	t.Helper()
	var out, talk bytes.Buffer
	if code := run(t.Context(), []string{"token", "create", "--role", string(role), "--name", "a " + string(role), "--data", data}, nil, &out, &talk); code != 0 {
		t.Fatalf("status %d: %s", code, &talk)
	}
	token = strings.TrimSuffix(out.String(), "\n")
	if !jobs.LooksLikeToken(token) || strings.Contains(talk.String(), token) {
		t.Fatalf("the answer is not the token alone: %d bytes", out.Len())
	}
	path = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, token
}

// asks is a client of the service with a token.
func (r *running) asks(token string) *api.Client {
	r.t.Helper()
	c, err := api.NewClient(r.s.URL(), token, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// wantRefused wants an answer of that status.
func wantRefused(t testing.TB, what string, err error, status int) {
	t.Helper()
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != status {
		t.Errorf("%s: err = %v, want %d", what, err, status)
	}
}

func TestTheFirstTokenClosesTheDoorAtOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var logs bytes.Buffer
	mem := configured("memories", newMem0(t, filepath.Join(t.TempDir(), "m")))
	r := startLogging(t, configFor(data, queueEmbedded, mem), nil, slog.New(slog.NewJSONHandler(&logs, nil)))
	ctx := t.Context()
	first, _, err := r.client.Submit(ctx, api.Submission{Selector: store.Selector{UserID: "u1"}})
	if err != nil {
		t.Fatal(err)
	}
	_, admin := newToken(t, data, jobs.RoleAdmin) // while the service runs
	_, err = r.client.Request(ctx, first.ID)
	wantRefused(t, "without a token", err, http.StatusUnauthorized)
	if _, err := r.asks(admin).Request(ctx, first.ID); err != nil {
		t.Errorf("the admin: %v", err)
	}
	made, err := r.asks(admin).CreateToken(ctx, api.TokenOrder{Name: "n", Role: jobs.RoleAuditor, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.asks(made.Secret).Request(ctx, first.ID); err != nil {
		t.Errorf("the auditor: %v", err)
	}
	var talk bytes.Buffer
	if code := run(ctx, []string{"token", "revoke", made.ID, "--data", data}, nil, io.Discard, &talk); code != 0 {
		t.Fatalf("status %d: %s", code, &talk)
	}
	_, err = r.asks(made.Secret).Request(ctx, first.ID)
	wantRefused(t, "revoked by a command", err, http.StatusUnauthorized)
	if code := run(ctx, []string{"token", "revoke", "tok-none", "--data", data}, nil, io.Discard, io.Discard); code != exitNotFound {
		t.Errorf("status %d for a token that is not there, want %d", code, exitNotFound)
	}
	var list bytes.Buffer
	if code := run(ctx, []string{"token", "list", "--data", data}, nil, &list, io.Discard); code != 0 || !strings.Contains(list.String(), "revoked") || strings.Contains(list.String(), jobs.TokenPrefix) {
		t.Errorf("status %d\n%s", code, &list)
	}
	r.stop()
	if !strings.Contains(logs.String(), "OPEN: there are no tokens") {
		t.Errorf("an open service does not say so:\n%s", &logs)
	}
	if strings.Contains(logs.String(), jobs.TokenPrefix) {
		t.Errorf("a token stands in the logs:\n%s", &logs)
	}
}

// For a submitter, a request that is another's and one that is not there are one
// answer, byte for byte, on every route that is about a request.
func TestAForeignIDAnswersLikeAnAbsentOne(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	_, hers := newToken(t, data, jobs.RoleSubmitter)
	_, his := newToken(t, data, jobs.RoleSubmitter)
	_, auditor := newToken(t, data, jobs.RoleAuditor)
	c := configFor(data, queueEmbedded, configured("memories", newMem0(t, filepath.Join(t.TempDir(), "m"))))
	c.LogOrigin = "" // the first token has made the log's key
	r := start(t, c, nil)
	filed, _, err := r.asks(hers).Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "u1"}, Grace: time.Hour, IdempotencyKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token, route, id string) (int, string) {
		method, target, _ := strings.Cut(strings.ReplaceAll(route, "{id}", id), " ")
		req, err := http.NewRequestWithContext(t.Context(), method, r.s.URL()+target, strings.NewReader(`{"memory_id":"m"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var body []byte
		if answer.StatusCode != http.StatusOK { // a stream has no end
			body, _ = io.ReadAll(answer.Body)
		}
		answer.Header.Del("Date")
		return answer.StatusCode, strings.Join(append([]string{string(body)}, headers(answer.Header)...), "\n")
	}
	for _, route := range perRequest(t, r) {
		status, foreign := ask(his, route, filed.ID)
		none, absent := ask(his, route, uuid.Must(uuid.NewV7()).String())
		want, others := http.StatusNotFound, path.Base(route)
		if strings.HasPrefix(route, "POST ") && others != "cancel" && others != "memory-proof" { // an approver's, whatever is there
			want = http.StatusForbidden
		}
		if d := cmp.Diff(absent, foreign); status != want || none != status || d != "" {
			t.Errorf("%s: %d and %d, want %d (-absent +foreign):\n%s", route, none, status, want, d)
		}
		if others == "cancel" || want == http.StatusForbidden {
			continue
		}
		for who, token := range map[string]string{"she": hers, "an auditor": auditor} {
			if status, body := ask(token, route, filed.ID); status == http.StatusNotFound && !strings.Contains(body, "receipt of this memory") || status == http.StatusForbidden {
				t.Errorf("%s by %s: %d %s", route, who, status, body)
			}
		}
	}
	for range r.asks(his).List(t.Context()) {
		t.Error("his list has hers")
	}
	other, replayed, err := r.asks(his).Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "u2"}, Grace: time.Hour, IdempotencyKey: "k"})
	if err != nil || replayed || other.ID == filed.ID {
		t.Errorf("her idempotency key is his: %v, %v", replayed, err)
	}
	_, err = r.asks(auditor).Cancel(t.Context(), filed.ID)
	wantRefused(t, "an auditor cancels", err, http.StatusForbidden)
	if _, err := r.asks(hers).Cancel(t.Context(), filed.ID); err != nil {
		t.Errorf("she cancels: %v", err)
	}
}

// perRequest reads out of the service's own document which routes are about one
// request: whoever adds one has it tested here.
func perRequest(t testing.TB, r *running) (routes []string) {
	t.Helper()
	answer, err := http.Get(r.s.URL() + "/v1/openapi.yaml") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.NewDecoder(answer.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			if strings.HasPrefix(path, "/v1/requests/{id}") {
				routes = append(routes, strings.ToUpper(method)+" "+path)
			}
		}
	}
	if len(routes) < 7 {
		t.Fatalf("%v", routes)
	}
	return routes
}

func headers(h http.Header) (lines []string) {
	var b bytes.Buffer
	_ = h.Write(&b) // sorted
	return strings.Split(b.String(), "\r\n")
}

func TestAnAddressOfTheNetworkNeedsALiveAdmin(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := configFor(data, queueEmbedded, configured("memories", newMem0(t, filepath.Join(t.TempDir(), "m"))))
	c.Listen, c.TLS = "0.0.0.0:0", &TLSConfig{Off: tlsBehindProxy}
	c.LogOrigin = ""
	try := func() error {
		s, err := openService(t.Context(), c, slog.New(slog.DiscardHandler))
		if err == nil {
			err = errors.Join(s.listener.Close(), s.Close())
		}
		return err
	}
	if err := try(); !errors.Is(err, errNoAdmin) {
		t.Errorf("without tokens: %v", err)
	}
	newToken(t, data, jobs.RoleSubmitter)
	if err := try(); !errors.Is(err, errNoAdmin) {
		t.Errorf("without an admin's: %v", err)
	}
	newToken(t, data, jobs.RoleAdmin)
	if err := try(); err != nil {
		t.Errorf("with an admin's: %v", err)
	}
	desk, err := openTokens(t.Context(), &source{data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close()
	tokens, err := desk.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range tokens {
		if _, err := desk.RevokeToken(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(); !errors.Is(err, errNoAdmin) {
		t.Errorf("with the admin's revoked: %v", err)
	}
}

func TestATokenFileIsForItsOwnerAlone(t *testing.T) {
	path, token := newToken(t, filepath.Join(t.TempDir(), "data"), jobs.RoleAuditor)
	if got, err := readToken(path); err != nil || got != token {
		t.Fatalf("%v", err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o644: false, 0o604: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := readToken(path)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "hunter2", token + "\n" + token, token[:69], "Bearer " + token} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readToken(path); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("a file that holds no token: %v", err)
		}
	}
}

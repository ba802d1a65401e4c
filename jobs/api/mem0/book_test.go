package mem0_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/api/mem0"
)

const (
	known   = "0193a000-0000-4000-8000-00000000000a" // a memory that there is
	unknown = "0193a000-0000-4000-8000-00000000000b"
	canary  = "kanari"
)

// A memory is a Book in memory. What is filed becomes, on the
// next look, what then makes of it.
type memory struct {
	mu       sync.Mutex
	filed    []jobs.Submission
	requests []jobs.Request // in the order filed
	then     func(*jobs.Request)
	down     bool // the store is
	broken   bool // so is what asks it
	gone     bool // the memory that there is was erased
	looks    int
}

func (m *memory) Submit(ctx context.Context, s jobs.Submission) (jobs.Request, bool, error) {
	if r, found, err := m.Filed(ctx, s); found || err != nil {
		return r, found, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := s.By.Check(jobs.ActFile); err != nil {
		return jobs.Request{}, false, err
	}
	r := jobs.Request{
		ID: fmt.Sprintf("0193a000-0000-7000-8000-%012d", len(m.requests)+1), Status: jobs.Received, Origin: s.Origin, FiledBy: s.By.ID,
		Related: s.Related, Jobs: []jobs.Job{{Store: "assistant", Stage: jobs.StagePlanning}},
	}
	m.filed, m.requests = append(m.filed, s), append(m.requests, r)
	return r, false, nil
}

func (m *memory) Filed(_ context.Context, s jobs.Submission) (jobs.Request, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, old := range m.filed {
		if s.IdempotencyKey != "" && old.IdempotencyKey == s.IdempotencyKey {
			if string(old.BodyDigest) != string(s.BodyDigest) {
				return jobs.Request{}, false, fmt.Errorf("submit: %w", jobs.ErrConflict)
			}
			return m.requests[i], true, nil
		}
	}
	return jobs.Request{}, false, nil
}

func (m *memory) Request(_ context.Context, by jobs.Actor, id string) (jobs.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	for i := range m.requests {
		r := &m.requests[i]
		if r.ID != id || !by.Sees(r.FiledBy) {
			continue
		}
		if m.then != nil {
			m.then(r)
		}
		return *r, nil
	}
	return jobs.Request{}, fmt.Errorf("request: %w", jobs.ErrNotFound)
}

func (m *memory) List(_ context.Context, by jobs.Actor, _ []jobs.Status, limit int, _ string) (list []jobs.Request, _ string, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.requests) - 1; i >= 0 && len(list) < limit; i-- {
		if by.Sees(m.requests[i].FiledBy) {
			list = append(list, m.requests[i])
		}
	}
	return list, "", nil
}

func (m *memory) Any(_ context.Context, s jobs.Submission) (bool, error) {
	if m.down {
		return false, fmt.Errorf("survey: %w", &jobs.StoreDown{Store: "assistant", Err: errors.New("no route")})
	}
	if m.broken {
		panic("kanari")
	}
	return slices.Contains(s.Selector.IDs, known) && !m.gone, nil
}

// verified is a request that is erased and verified, and waits to be purged.
func verified(r *jobs.Request) {
	r.Status = jobs.Verifying
	r.Jobs[0].Stage, r.Jobs[0].Requested, r.Jobs[0].Found, r.Jobs[0].Erased = jobs.StagePurging, 1, 1, 1
}

// gate knows four people, whose tokens are their roles.
type gate struct{ others }

type others interface{ jobs.Tokens }

func (gate) Actor(_ context.Context, token string) (jobs.Actor, error) {
	for _, role := range jobs.Roles() {
		if token == string(role) {
			return jobs.Actor{ID: "tok-" + token, Role: role}, nil
		}
	}
	if token == "other" {
		return jobs.Actor{ID: "tok-other", Role: jobs.RoleSubmitter}, nil
	}
	return jobs.Actor{}, jobs.ErrUnknownToken
}

// A house is the door over a memory, with a log.
type house struct {
	*memory
	t    testing.TB
	door http.Handler
}

func open(t testing.TB, options ...func(*api.Options)) *house {
	t.Helper()
	m := &memory{then: verified}
	h := &house{memory: m, t: t}
	o := api.Options{Tokens: gate{}, Listen: "127.0.0.1:0"}
	for _, option := range options {
		option(&o)
	}
	h.door = mem0.New(m, o)
	return h
}

// ask makes a call as the submitter, unless the header says otherwise.
func (h *house) ask(what, body string, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	method, target, _ := strings.Cut(what, " ")
	r := httptest.NewRequestWithContext(h.t.Context(), method, target, nil)
	if body != "" {
		r = httptest.NewRequestWithContext(h.t.Context(), method, target, strings.NewReader(body))
	}
	r.Host = "127.0.0.1"
	r.Header.Set("Authorization", "Token submitter")
	if len(header) > 0 {
		r.Header.Del("Authorization")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] != "" {
			r.Header.Add(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	return w
}

// wants asks and compares status and body, of which {event} is the last event.
func (h *house) wants(what, body string, status int, text string, header ...string) {
	h.t.Helper()
	w := h.ask(what, body, header...)
	if n := len(h.requests); n > 0 {
		text = strings.ReplaceAll(text, "{event}", h.requests[n-1].ID)
	}
	if got := strings.TrimSpace(w.Body.String()); w.Code != status || got != text {
		h.t.Errorf("%s: %d %s\nwant %d %s", what, w.Code, got, status, text)
	}
	if strings.Contains(strings.ToLower(w.Body.String()), canary) {
		h.t.Errorf("%s: the answer repeats what was sent", what)
	}
}

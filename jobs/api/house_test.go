package api_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// A house is a server with its book, its log and a client.
type house struct {
	book   *memory
	server *httptest.Server
	client *api.Client
	log    *safeBuffer
}

func open(t *testing.T, change ...func(*api.Options)) *house {
	t.Helper()
	return openBehind(t, func(h http.Handler) http.Handler { return watched(t, h) }, change...)
}

// openOddly is open for a book that fails as none does, so that what it is asked
// may be answered as it is not documented.
func openOddly(t *testing.T, change ...func(*api.Options)) *house {
	t.Helper()
	return openBehind(t, func(h http.Handler) http.Handler { return h }, change...)
}

func openBehind(t *testing.T, front func(http.Handler) http.Handler, change ...func(*api.Options)) *house {
	t.Helper()
	h := &house{book: newMemory(), log: &safeBuffer{}}
	o := api.Options{
		Book: h.book, Planner: h.book, Stores: []string{"assistant", "app"}, PublicKey: func() string { return fakeKey },
		Logger: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		LogHandler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			publish(w, r.URL.Path)
		}),
		Poll: 5 * time.Millisecond,
	}
	for _, c := range change {
		c(&o)
	}
	h.server = httptest.NewUnstartedServer(front(api.New(o)))
	h.server.Config.ErrorLog = slog.NewLogLogger(o.Logger.Handler(), slog.LevelError)
	h.server.Start()
	t.Cleanup(h.server.Close)
	var err error
	if h.client, err = api.NewClient(h.server.URL, "", h.server.Client().Transport); err != nil {
		t.Fatal(err)
	}
	return h
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (m *memory) Approve(_ context.Context, by jobs.Actor, id, planHash string) (jobs.Request, error) {
	return m.decide(id, "approve "+planHash, by)
}

func (m *memory) Reject(_ context.Context, by jobs.Actor, id, reason string) (jobs.Request, error) {
	return m.decide(id, "reject "+reason, by)
}

func (m *memory) decide(id, what string, by jobs.Actor) (jobs.Request, error) {
	leave, err := m.enter()
	defer leave()
	r, missing := m.find(id)
	if err = errors.Join(err, missing); err != nil {
		return jobs.Request{}, err
	}
	m.decided = what + " by " + by.ID
	return *r, nil
}

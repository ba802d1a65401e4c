package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lethe/audit/keyfile"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A clock moves on by a millisecond whenever it is read, and further when a
// test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { return c.add(time.Millisecond) }

func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// A house is a real ledger with real keys and a real log, and no queue: tests
// carry the rings themselves.
type house struct {
	t        *testing.T
	dir      string
	clock    *clock
	keys     *keyring.Keyring
	key      *keyfile.Key
	ledger   *ledger.Ledger
	intake   *jobs.Intake
	logs     *bytes.Buffer // written by one handler, which locks
	logger   *slog.Logger
	registry *prometheus.Registry
	windows  map[string]int
}

func newHouse(t *testing.T, stores ...string) *house {
	t.Helper()
	return newHouseAt(t, "", stores...)
}

// newHouseAt has its ledger at an address of PostgreSQL.
func newHouseAt(t *testing.T, url string, stores ...string) *house {
	t.Helper()
	h := &house{
		t: t, dir: t.TempDir(), logs: &bytes.Buffer{}, registry: prometheus.NewRegistry(), windows: map[string]int{},
		clock: &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
	}
	h.logger = slog.New(slog.NewJSONHandler(h.logs, nil))
	var err error
	if h.keys, err = keyring.Open(filepath.Join(h.dir, "keys")); err != nil {
		t.Fatal(err)
	}
	if h.key, err = keyfile.Open(filepath.Join(h.dir, "log.key"), "lethe.example/log"); err != nil {
		t.Fatal(err)
	}
	h.ledger, err = ledger.Open(t.Context(), ledger.Options{Dir: h.dir, URL: url, Keys: h.keys, Origin: h.key.Origin, Signer: h.key.Signer, Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	if url != "" { // what it commits is logged beside
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = h.ledger.Sequence(ctx)
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	var names []jobs.StoreName
	for _, s := range stores {
		names = append(names, jobs.StoreName{Name: s, Kind: "memory"})
		h.windows[s] = 8
	}
	h.intake = &jobs.Intake{Ledger: h.ledger, Keys: h.keys, Stores: names, KeepKey: time.Hour, Now: h.clock.Now}
	return h
}

// eraser makes a new process, as it were, over the stores.
func (h *house) eraser(stores ...*worker.Store) *worker.Eraser {
	byName := map[string]*worker.Store{}
	for _, s := range stores {
		byName[s.Name] = s
	}
	return &worker.Eraser{
		Ledger: h.ledger, Stores: byName, Subject: h.keys.Subject, Owner: "test", KeepKey: time.Hour,
		Now: h.clock.Now, Logger: h.logger,
	}
}

// measured adds metrics to an eraser.
func (h *house) measured(e *worker.Eraser) *worker.Eraser {
	var names []string
	for n := range e.Stores {
		names = append(names, n)
	}
	e.Metrics = worker.NewMetrics(h.registry, names)
	return e
}

// kept wraps a store as the configuration would.
func kept(name string, s store.Store) *worker.Store {
	return &worker.Store{Store: s, Name: name, Kind: "memory", Concurrency: 1}
}

// people gives each user n memories.
func people(n int, users ...string) []storetest.Record {
	var all []storetest.Record
	for _, u := range users {
		for i := range n {
			all = append(all, storetest.Record{ID: fmt.Sprintf("%s-%04d", u, i), UserID: u, Text: fmt.Sprintf("text %d of %s", i, u)})
		}
	}
	return all
}

func (h *house) submit(s jobs.Submission) string {
	h.t.Helper()
	s.Origin = jobs.OriginAPI
	r, _, err := h.intake.Submit(h.t.Context(), s)
	if err != nil {
		h.t.Fatal(err)
	}
	return r.ID
}

// forget asks to forget a user in every store.
func (h *house) forget(user string) string {
	h.t.Helper()
	return h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: user}})
}

// forgetIDs asks to forget explicit IDs.
func (h *house) forgetIDs(ids ...string) string {
	h.t.Helper()
	st, err := h.intake.Stage(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for len(ids) > 0 {
		n := min(len(ids), store.MaxBatch)
		if err := st.Add(h.t.Context(), ids[:n]); err != nil {
			h.t.Fatal(err)
		}
		ids = ids[n:]
	}
	id := h.submit(jobs.Submission{By: jobs.ActorLocal, Staged: st})
	if err := st.Discard(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return id
}

// rings takes what is ready, without a queue.
func (h *house) rings() []jobs.Ring {
	h.t.Helper()
	rings, err := h.ledger.Enqueue(h.t.Context(), h.windows)
	if err != nil {
		h.t.Fatal(err)
	}
	return rings
}

// ring returns the only ring that is ready.
func (h *house) ring() jobs.Ring {
	h.t.Helper()
	rings := h.rings()
	if len(rings) != 1 {
		h.t.Fatalf("%d rings are ready, want 1", len(rings))
	}
	return rings[0]
}

// handle answers one ring, and wants no error.
func (h *house) handle(e *worker.Eraser, r jobs.Ring) {
	h.t.Helper()
	if err := e.Handle(h.t.Context(), r); err != nil {
		h.t.Fatal(err)
	}
}

// turn answers all that is ready and reports whether anything was.
func (h *house) turn(e *worker.Eraser) bool {
	h.t.Helper()
	rings := h.rings()
	for _, r := range rings {
		h.handle(e, r)
	}
	return len(rings) > 0
}

// until takes turns until done, letting time pass and the reconciler look
// when nothing is ready.
func (h *house) until(e *worker.Eraser, what string, done func() bool) {
	h.t.Helper()
	for range 400 {
		if done() {
			return
		}
		if !h.turn(e) {
			h.clock.add(time.Minute)
			h.reconcile()
		}
	}
	h.t.Fatalf("never: %s", what)
}

// reconcile does what jobs.Reconciler does, without a queue to ask.
func (h *house) reconcile() {
	h.t.Helper()
	if _, err := h.ledger.Expired(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	ids, err := h.ledger.Stopped(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, id := range ids {
		if err := h.intake.EndStopped(h.t.Context(), id); err != nil {
			h.t.Fatal(err)
		}
	}
}

// restart makes all ready again that a process and its queue have left.
func (h *house) restart() {
	h.t.Helper()
	if _, err := h.ledger.Abandoned(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.ledger.Forgotten(h.t.Context(), nil); err != nil {
		h.t.Fatal(err)
	}
}

// finish takes turns until the request has ended.
func (h *house) finish(e *worker.Eraser, id string) jobs.Request {
	h.t.Helper()
	h.until(e, "the request ends", func() bool { return h.request(id).Status.Ended() })
	return h.request(id)
}

func (h *house) request(id string) jobs.Request {
	h.t.Helper()
	r, err := h.intake.Request(h.t.Context(), jobs.ActorLocal, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// statement verifies a request's certificate and returns what it says.
func (h *house) statement(id string) *proof.Result {
	h.t.Helper()
	text, err := h.intake.Certificate(h.t.Context(), jobs.ActorLocal, id)
	if err != nil {
		h.t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(h.key.Verifier))
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := proof.Verify(text, keys)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// completed is the statement of a request that must have been completed.
func (h *house) completed(id string) *proof.Completed {
	h.t.Helper()
	e, ok := h.statement(id).Entry.(*proof.Completed)
	if !ok {
		h.t.Fatalf("the certificate is a %s", h.statement(id).Entry.Kind())
	}
	return e
}

// counts says what a certificate says of one store.
func counts(s proof.StoreProof) string {
	return fmt.Sprintf("requested %d found %d erased %d absent %d batches %d rounds %d %s", s.Requested, s.Found, s.Erased, s.Absent, s.Batches, s.Rounds, s.Evidence)
}

func (h *house) wantCounts(id string, want ...string) {
	h.t.Helper()
	for i, s := range h.completed(id).Stores {
		if got := counts(s); got != want[i] {
			h.t.Errorf("certificate, store %s: %s\nwant %s", s.Name, got, want[i])
		}
	}
}

// wantNoCertificate fails if the request has ended in any way.
func (h *house) wantNoCertificate(id string) {
	h.t.Helper()
	if r := h.request(id); r.Status.Ended() || r.Certificate {
		h.t.Errorf("status %s, certificate %t; want neither an end nor a certificate", r.Status, r.Certificate)
	}
}

// rows are all rows of a store in memory.
func rows(t *testing.T, m *storetest.Memory) map[string]string {
	t.Helper()
	all, err := storetest.MemoryFixture{Memory: m}.Rows(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *house) logSize() int64 {
	h.t.Helper()
	n, err := h.ledger.Log().Size(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lethe/jobs/api"
	"lethe/jobs/queue/queuetest"
	"lethe/store"
	"lethe/store/mem0"
	"lethe/worker"
)

// A busyHouse is a service that has all that a dashboard shows: two stores, a
// policy, a real Redis, and people who go on asking to be forgotten.
type busyHouse struct {
	t       testing.TB
	dir     string // all that it keeps
	r       *running
	redis   *queuetest.Server
	mem     mem0.SQLiteConfig // of the store assistant
	old     mem0.SQLiteConfig // of the store archive, written by the real Mem0
	suspect atomic.Bool       // whether the next batch of archive can still be read
	notify  string            // where status changes are told
	deaf    atomic.Bool       // whether whoever is told does not take it
	people  int               // remembered so far
}

func newBusyHouse(t testing.TB) *busyHouse {
	t.Helper()
	dir := t.TempDir()
	h := &busyHouse{t: t, dir: dir, redis: queuetest.Redis(t), mem: newMem0(t, filepath.Join(dir, "mem0")), old: realMem0(t, filepath.Join(dir, "old"))}
	c := configFor(filepath.Join(dir, "data"), h.redis.URL(), configured("assistant", h.mem), configured("archive", h.old))
	p := expired()
	p.Stores, p.Every = []string{"archive"}, new(Duration(time.Hour))
	c.Policies = []PolicyConfig{p}
	c.Anchors = []AnchorConfig{{File: filepath.Join(dir, "other.head")}}
	c.Webhooks = h.receiver(dir)
	h.r = startWith(t, c, slog.New(slog.DiscardHandler), func(s *service) {
		quick(s)
		for _, st := range s.stores {
			if st.Name == "archive" {
				st.Store = doubtfulStore{st.Store.(*worker.Link), &h.suspect}
			}
		}
	})
	return h
}

// receiver serves whoever is told of status changes.
func (h *busyHouse) receiver(dir string) *WebhooksConfig {
	h.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if h.deaf.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	h.t.Cleanup(server.Close)
	h.notify = server.URL
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(webhookSecret+"\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	port, _ := strconv.Atoi(server.URL[strings.LastIndex(server.URL, ":")+1:])
	return &WebhooksConfig{SecretFile: secret, AllowHosts: []string{"http://127.0.0.1"}, AllowPrivate: true, Ports: []int{port}}
}

// A doubtfulStore is one of whose erased IDs one can still be read, once it is
// suspect.
type doubtfulStore struct {
	*worker.Link
	suspect *atomic.Bool
}

func (d doubtfulStore) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	left, err := d.Link.Remaining(ctx, ids)
	if err == nil && len(ids) > 0 && d.suspect.CompareAndSwap(true, false) {
		left = append(left, ids[0])
	}
	return left, err
}

// remember writes n memories of someone new, and returns who that is.
func (h *busyHouse) remember(n int) string {
	h.t.Helper()
	h.people++
	who := fmt.Sprintf("person-%d", h.people)
	all := make([]mem0.Memory, n)
	for i := range all {
		all[i] = mem0.Memory{UserID: who, Text: fmt.Sprintf("likes tea %d", i)}
	}
	write(h.t, h.mem, all...)
	return who
}

// forgotten is one request from its filing to its certificate.
func (h *busyHouse) forgotten(memories int) {
	h.t.Helper()
	h.r.completed(h.r.submit(api.Submission{Selector: store.Selector{UserID: h.remember(memories)}, Stores: []string{"assistant"}, NotifyURL: h.notify}))
}

// faults lets happen what the dashboards are looked at for: a hold that forbids,
// a verification that fails, a policy's sweep, and a store that goes and comes
// back, which p must have seen.
func (h *busyHouse) faults(p *promServer) {
	h.t.Helper()
	held := h.remember(3)
	if _, err := h.r.client.PlaceHold(h.t.Context(), api.Submission{Selector: store.Selector{UserID: held}}, "litigation-1", time.Time{}); err != nil {
		h.t.Fatal(err)
	}
	h.r.forget(held, "assistant")
	h.r.completed(h.r.sweep("expired"))
	h.suspect.Store(true)
	h.r.forget("alice", "archive")
	waitFor(h.t, "the verification fails", func() bool { return !h.suspect.Load() })
	h.down(p)
}

// down takes the store assistant away until p has seen that.
func (h *busyHouse) down(p *promServer) {
	h.t.Helper()
	up := func(value float64) func() bool {
		return func() bool {
			s := p.query(`lethe_store_up{store="assistant"}`)
			return len(s) == 1 && s[0].value == value
		}
	}
	away := h.mem.Vectors + ".away"
	if err := os.Rename(h.mem.Vectors, away); err != nil {
		h.t.Fatal(err)
	}
	waitFor(h.t, "the store is down", up(0))
	if err := os.Rename(away, h.mem.Vectors); err != nil {
		h.t.Fatal(err)
	}
	waitFor(h.t, "the store is back", up(1))
}

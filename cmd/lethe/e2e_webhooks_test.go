package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/webhook"
	"lethe/store"
	"lethe/store/mem0"
)

// A receptionist is a receiver that checks signatures, and can be away.
type receptionist struct {
	mu      sync.Mutex
	away    bool
	refused int
	bodies  []string // by the first time they came
	ids     []string
	bad     []string
	ended   chan bool
}

func (r *receptionist) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(req.Body)
	id, at := req.Header.Get("webhook-id"), req.Header.Get("webhook-timestamp")
	secrets, _ := webhook.ParseSecrets(webhookSecret)
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil || secrets.Sign(id, time.Unix(sec, 0), body) != req.Header.Get("webhook-signature") || time.Since(time.Unix(sec, 0)).Abs() > 5*time.Minute {
		r.bad = append(r.bad, id)
	}
	if r.away {
		r.refused++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if !slices.Contains(r.ids, id) {
		r.ids, r.bodies = append(r.ids, id), append(r.bodies, string(body))
		if strings.Contains(string(body), `"status":"completed"`) {
			close(r.ended)
		}
	}
}

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestStatusChangesAreToldAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	at := &receptionist{away: true, ended: make(chan bool)}
	server := httptest.NewServer(at)
	defer server.Close()
	port, _ := strconv.Atoi(server.URL[strings.LastIndex(server.URL, ":")+1:])
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(webhookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "m1", UserID: "alice", Text: "likes tea"})))
	c.Webhooks = &WebhooksConfig{SecretFile: secret, AllowHosts: []string{"http://127.0.0.1"}, AllowPrivate: true, Ports: []int{port}}
	var logs bytes.Buffer
	var lock sync.Mutex
	logger := slog.New(slog.NewJSONHandler(writerFunc(func(p []byte) (int, error) {
		lock.Lock()
		defer lock.Unlock()
		return logs.Write(p)
	}), nil))
	r := startLogging(t, c, nil, logger)
	s := api.Submission{Selector: store.Selector{UserID: "alice"}, NotifyURL: server.URL + "/hook?token=hunter2"}
	id := r.submit(s)
	if err := waitCompleted(t.Context(), r.client, id); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		at.mu.Lock()
		refused := at.refused
		at.mu.Unlock()
		if refused > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the receiver was never asked")
		}
	}
	r.stop() // with all of it still to be told
	at.mu.Lock()
	at.away = false
	at.mu.Unlock()
	r = startLogging(t, c, nil, logger)
	select {
	case <-at.ended:
	case <-time.After(patience):
		t.Fatal("the end was not told after a restart")
	}
	r.stop()
	var statuses []string
	for i, body := range at.bodies {
		var b struct {
			ID   string
			Data struct {
				Request, Status string
				Seq             int
			}
		}
		if err := json.Unmarshal([]byte(body), &b); err != nil || b.ID != at.ids[i] || b.Data.Request != id || b.Data.Seq != i+1 || strings.Contains(body, "alice") {
			t.Errorf("told %s, %v", body, err)
		}
		statuses = append(statuses, b.Data.Status)
	}
	if want := []string{"received", "planning", "erasing", "verifying", "completed"}; !slices.Equal(statuses, want) {
		t.Errorf("told %v, want %v", statuses, want)
	}
	if len(at.bad) > 0 {
		t.Errorf("signatures of %v do not verify", at.bad)
	}
	if strings.Contains(logs.String(), "hunter") {
		t.Error("the URL stands in the logs")
	}
	for path, b := range bytesUnder(t, filepath.Join(dir, "data")) {
		if bytes.Contains(b, []byte("hunter")) {
			t.Errorf("the URL stands in %s", path)
		}
	}
}

func TestANotifyURLIsRefusedUnlessWebhooksAreConfigured(t *testing.T) {
	r := start(t, configFor(t.TempDir(), queueEmbedded, configured("assistant", newMem0(t, t.TempDir()))), nil)
	_, _, err := r.client.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}, NotifyURL: "https://hunter.example/"})
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != 400 || len(p.Errors) != 1 || p.Errors[0].Field != "notify_url" || strings.Contains(p.Error(), "hunter") ||
		!strings.Contains(p.Error(), "webhooks.secret_file") {
		t.Errorf("err = %v, want a 400 of notify_url that says what to do", err)
	}
	if list, _, err := r.s.intake.List(t.Context(), jobs.ActorLocal, []jobs.Status{}, 10, ""); err != nil || len(list) != 0 {
		t.Errorf("%d requests, %v", len(list), err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

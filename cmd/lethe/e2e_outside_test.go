package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit/keyfile"
	"lethe/audit/proof"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0"
)

// watcher returns the verifier key of a witness that nobody runs.
func watcher(t testing.TB) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return proof.CosignerKey("w.example", public)
}

// watchedBy runs lethe witness for a log until the test ends, and returns its
// key and where it is asked.
func watchedBy(t *testing.T, log, name string) (key, url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	ctx, stop := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"witness", "--listen", addr, "--state", filepath.Join(t.TempDir(), "w"), "--name", name, "--log", log}, nil, stdout, &stderr)
		stdout.Close()
	}()
	t.Cleanup(func() {
		stop()
		if s := <-status; s != exitDone {
			t.Errorf("the witness ends with %d: %s", s, &stderr)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the witness says no key: %v", err)
	}
	return strings.TrimSpace(line), "http://" + addr
}

// A drawer is an anchor's server. It can be out of order.
type drawer struct {
	mu     sync.Mutex
	head   []byte
	broken atomic.Bool
}

func (d *drawer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.broken.Load():
		w.WriteHeader(http.StatusBadGateway)
	case r.Method == http.MethodPut:
		d.head, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	case d.head == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = w.Write(d.head)
	}
}

func (d *drawer) kept() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return string(d.head)
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// The whole of it: heads go to an anchor and two witnesses, and a certificate
// satisfies a policy that asks for both.
func TestACertificateGetsTheCosignaturesThatAPolicyAsksFor(t *testing.T) {
	dir := t.TempDir()
	key, err := keyfile.Open(filepath.Join(makeDir(t, dir, "data"), logKeyFile), "lethe.example/log")
	if err != nil {
		t.Fatal(err)
	}
	k1, url1 := watchedBy(t, key.Verifier, "one.example/w")
	k2, url2 := watchedBy(t, key.Verifier, "two.example/w")
	text := fmt.Sprintf("log %s\nwitness one %s %s\nwitness two %s %s\ngroup both all one two\nquorum both\n", key.Verifier, k1, url1, k2, url2)
	policyFile := filepath.Join(dir, "policy")
	if err := os.WriteFile(policyFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	anchor := &drawer{}
	server := httptest.NewServer(anchor)
	defer server.Close()
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("mem0", newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "a", UserID: "alice", Text: "tea"})))
	c.Anchors, c.Witnesses = []AnchorConfig{{Put: Secret(server.URL + "/head?sig=hunter2")}}, policyFile
	r := start(t, c, nil)
	id := r.forget("alice")
	r.completed(id)

	policy, err := proof.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "both witnesses have cosigned", func() bool {
		cert, err := r.client.Certificate(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		result, err := proof.Verify(cert, policy)
		if err != nil {
			t.Fatal(err)
		}
		met, _ := result.Witnessed()
		return met
	})
	waitFor(t, "the anchor has the head", func() bool { return strings.Contains(anchor.kept(), "\n2\n") })
	answer, err := http.Get(r.s.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	for _, want := range []string{"lethe_log_refused 0", `lethe_log_published_size{kind="witness",name="two.example/w"} 2`, `lethe_log_publish_up{kind="anchor",name="127.0.0.1:`} {
		if err != nil || !strings.Contains(string(metrics), want) {
			t.Errorf("metrics lack %s: %v", want, err)
		}
	}
	if strings.Contains(string(metrics), "hunter2") {
		t.Error("metrics hold a secret")
	}
}

func makeDir(t testing.TB, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// An anchor that does not answer at the start holds up new requests, and no
// longer than it does not answer.
func TestTheServiceGoesOnWhenItsAnchorAnswers(t *testing.T) {
	dir := t.TempDir()
	anchor := &drawer{}
	server := httptest.NewServer(anchor)
	defer server.Close()
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("mem0", newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "a", UserID: "alice", Text: "tea"})))
	c.Anchors = []AnchorConfig{{Put: Secret(server.URL)}}
	r := start(t, c, nil)
	first := r.forget("alice")
	r.completed(first)
	r.stop()
	anchor.broken.Store(true)
	r = startWith(t, c, slog.New(slog.DiscardHandler), func(s *service) { s.guardEvery = 50 * time.Millisecond })
	if _, _, err := r.client.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "bob"}}); exitStatus(err) != exitError || !strings.Contains(err.Error(), "the log refuses") {
		t.Errorf("submitting: %v", err)
	}
	if _, err := r.client.Certificate(t.Context(), first); err != nil {
		t.Errorf("reading: %v", err)
	}
	if reasons := r.s.ready(t.Context()); len(reasons) != 1 || !strings.Contains(reasons[0], "an anchor cannot be read") {
		t.Errorf("not ready because of %q", reasons)
	}
	anchor.broken.Store(false)
	waitFor(t, "the service is ready", func() bool { return len(r.s.ready(t.Context())) == 0 })
	r.completed(r.forget("bob"))
}

package main

import (
	"crypto/ed25519"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/agent"

	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0"
)

// sshAgent serves keys with those comments until it is stopped.
func sshAgent(t testing.TB, socket string, ring agent.Agent) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, conn) // ends with the connection
			_ = conn.Close()
		}
	}()
	return func() { l.Close(); <-done }
}

func agentRing(t testing.TB, comments ...string) agent.Agent {
	t.Helper()
	ring := agent.NewKeyring()
	for _, c := range comments {
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: private, Comment: c}); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

func TestTheLogsKeyStaysInItsAgent(t *testing.T) {
	dir, err := os.MkdirTemp("", "agent") // short, as the address of a socket must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	ring := agentRing(t, "log-2026", "log-2027")
	stop := sshAgent(t, socket, ring)
	c := configFor(t.TempDir(), queueEmbedded, configured("app", newMem0(t, t.TempDir(), mem0.Memory{ID: "m1", UserID: "alice", Text: "tea"})))
	c.LogKeyAgent = &AgentConfig{Socket: socket, Key: "log-2026"}
	r := start(t, c, nil)
	r.completed(r.forget("alice"))
	old := r.s.ledger.Log().Verifier()
	r.stop()
	stop()

	// While the agent is away the service starts, is read and takes nothing in.
	begun := time.Now()
	r = start(t, c, nil)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("the start took %s", took)
	}
	if _, err := r.client.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}
	submission := api.Submission{Selector: store.Selector{UserID: "bob"}}
	if _, _, err := r.client.Submit(t.Context(), submission); err == nil {
		t.Error("a request is taken in and not signed")
	}
	stop = sshAgent(t, socket, ring)
	t.Cleanup(func() { stop() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, _, err = r.client.Submit(t.Context(), submission); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Fatalf("the agent is back: %v", err)
	}

	// It is rotated to another key of the agent while the service runs.
	f := c.keyFile()
	if err := writeOverlap(f, 0); err != nil {
		t.Fatal(err)
	}
	next, err := f.MakeNext("log-2027")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); r.s.ledger.Log().Verifier() != next.Verifier; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not rotated")
		}
	}
	r.completed(r.forget("carol"))
	keys, err := r.client.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := string(keys)
	if key, err := r.client.Key(t.Context()); err != nil || key != next.Verifier || list[:len(old)] != old {
		t.Errorf("key %s, %v; keys\n%s", key, err, list)
	}
}

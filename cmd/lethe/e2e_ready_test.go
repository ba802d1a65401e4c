package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit/audittest"
	"lethe/store/mem0"
)

// readyz waits until /readyz has the status and says all of what it is to say.
func (m *member) readyz(status int, says ...string) {
	m.t.Helper()
	var last string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, got := m.get("/readyz")
		last = text
		ok := got == status
		for _, s := range says {
			ok = ok && strings.Contains(text, s)
		}
		if ok {
			return
		}
	}
	m.t.Fatalf("readyz never was %d and said %q, but %s", status, says, last)
}

// What is the matter stands on /readyz, each for itself and together: the queue,
// the ledger, a store, which keeps it ready, and the role.
func TestReadyzSaysWhatIsTheMatter(t *testing.T) {
	t.Parallel()
	server := audittest.Start(t)
	c := newClusterAt(t, server.DSN("lethe", "postgres"))
	m := c.join(roleWorker)
	m.readyz(http.StatusOK, `"ready":true,"reasons":[]`, `"store":"server","state":"up"`, `"roles":["worker"]`)
	c.redis.Kill()
	m.readyz(http.StatusServiceUnavailable, `"reasons":["`+reasonQueue+`"]`)
	server.Down()
	m.readyz(http.StatusServiceUnavailable, reasonQueue, reasonLedger)
	c.redis.Restart()
	m.readyz(http.StatusServiceUnavailable, `"reasons":["`+reasonLedger+`"]`)
	server.Restart(t)
	m.readyz(http.StatusOK, `"ready":true,"reasons":[]`)
	c.store.MustExec(`DROP TABLE memories`)
	m.readyz(http.StatusOK, `"ready":true,"reasons":[]`, `"store":"server","state":"down","reason":"`)
	m.stop()
}

// A process that was told to end says so first, and serves on for drain_delay.
func TestAStopIsAnnouncedBeforeTheDoorCloses(t *testing.T) {
	t.Parallel()
	mem := newMem0(t, filepath.Join(t.TempDir(), "m"), mem0.Memory{ID: "a1", UserID: "alice", Text: "tea"}, mem0.Memory{ID: "b1", UserID: "bob", Text: "tea"})
	config := configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, configured("assistant", mem))
	config.DrainDelay = Duration(time.Hour)
	r := start(t, config, nil)
	r.get("/readyz", http.StatusOK)
	r.cancel()
	for end := time.Now().Add(patience); !r.s.stopping.Load() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if text := r.get("/readyz", http.StatusServiceUnavailable); !strings.Contains(text, `"reasons":["`+reasonStopping+`"]`) {
		t.Errorf("readyz says %s", text)
	}
	if s := r.completed(r.forget("alice")).Stores[0]; s.Erased != 1 { // whom the load balancer still sends
		t.Errorf("the certificate says %s", said(s))
	}
	r.s.cut() // as the hour's end would
	r.stop()
}

// A second one that nobody waits for: the delay is over by itself.
func TestTheDelayOfAStopEnds(t *testing.T) {
	t.Parallel()
	mem := newMem0(t, filepath.Join(t.TempDir(), "m"))
	config := configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, configured("assistant", mem))
	config.DrainDelay = Duration(100 * time.Millisecond)
	start(t, config, nil).stop()
}

// A client that has connected and asked nothing does not hold up a stop.
func TestOnTheDoorstepNobodyIsWaitedFor(t *testing.T) {
	var d doorstep
	quiet, far := net.Pipe()
	asking, _ := net.Pipe()
	d.state(quiet, http.StateNew)
	d.state(asking, http.StateNew)
	d.state(asking, http.StateActive)
	d.sweep()
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("it is still connected")
	}
	_ = asking.SetDeadline(time.Now().Add(-time.Second))
	if _, err := asking.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "closed") {
		t.Errorf("one that asks was cut off: %v", err)
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit/audittest"
	"lethe/jobs/queue/queuetest"
)

// begun waits until something is erased.
func begun(t *testing.T, members ...*member) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		for _, m := range members {
			if m.erased() > 0 {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatal("nothing is erased")
		}
	}
}

// The Redis that the sentinels have named dies while a request is erased, with
// what it was told last. What is done is done once, and a request that is filed
// meanwhile is taken in.
func TestAFailOverOfRedisLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	w := queuetest.Sentinels(t, []string{"--requirepass", "hunter22", "--masterauth", "hunter22"},
		"sentinel auth-pass "+queuetest.MasterName+" hunter22", "requirepass hunter33", "sentinel sentinel-pass hunter33")
	c := newClusterOn(t, audittest.Schema(t), "queue: "+w.URL()+"\nqueue_password_file: password\nqueue_sentinel: {password_file: sentinel}\n")
	for name, text := range map[string]string{"password": "hunter22", "sentinel": "hunter33"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(c.config), name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const rows = 20_000
	c.remember("alice", rows)
	c.remember("bob", 100)
	w.Settled("AUTH hunter22", "AUTH hunter33")
	a, b := c.join(allRoles), c.join(allRoles)
	id := a.forget("alice")
	begun(t, a, b)
	w.Master.Kill()
	bob := b.forget("bob")
	if s := b.completed(id).Stores[0]; s.Found != rows || s.Erased != rows || s.Absent != 0 || s.Batches != rows/1000 {
		t.Errorf("the certificate says %s in %d batches", said(s), s.Batches)
	}
	if s := a.completed(bob).Stores[0]; s.Erased != 100 || s.Batches != 1 {
		t.Errorf("the certificate says %s in %d batches", said(s), s.Batches)
	}
	if n := a.erased() + b.erased(); n != rows+100 || c.memories("alice")+c.memories("bob") != 0 {
		t.Errorf("%d rows were erased, and %d are left", n, c.memories("alice")+c.memories("bob"))
	}
	for _, m := range []*member{a, b} {
		m.stop()
		if strings.Contains(m.said(), "hunter") || !strings.Contains(m.said(), "redis has another master") {
			t.Errorf("it said:\n%s", m.said())
		}
		for line := range strings.Lines(m.said()) {
			if line[0] != '{' {
				t.Errorf("a line that is no JSON: %s", line)
			}
		}
	}
	if text := c.checked(); !strings.Contains(text, "4 entries") {
		t.Errorf("log check: %s", text)
	}
}

// Where keys are spread over three servers, requests run as they do with one, and
// servers that have forgotten all are noticed.
func TestRequestsRunOnARedisCluster(t *testing.T) {
	t.Parallel()
	redis := queuetest.NewCluster(t, 3)
	c := newClusterOn(t, audittest.Schema(t), "queue: "+redis.URL()+"\n")
	c.remember("alice", 5000)
	a, b := c.join(allRoles), c.join(allRoles)
	id := a.forget("alice")
	begun(t, a, b)
	for _, node := range redis.Nodes {
		node.Flush()
	}
	if s := b.completed(id).Stores[0]; s.Erased != 5000 || s.Batches != 5 {
		t.Errorf("the certificate says %s in %d batches", said(s), s.Batches)
	}
	if n := a.erased() + b.erased(); n != 5000 {
		t.Errorf("%d rows were erased", n)
	}
	for _, m := range []*member{a, b} {
		if text, status := m.get("/readyz"); status != 200 {
			t.Errorf("readyz says %d %s", status, text)
		}
		m.stop()
		if strings.Contains(m.said(), "CROSSSLOT") || strings.Contains(m.said(), "MOVED") {
			t.Errorf("it said:\n%s", m.said())
		}
	}
}

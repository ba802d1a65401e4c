package main

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lethe/audit/audittest"
	"lethe/jobs/api"
	"lethe/store"
)

// shareRows is how many rows two processes share. LETHE_SHARE_ROWS says more.
func shareRows(t testing.TB) int {
	n, err := strconv.Atoi(os.Getenv("LETHE_SHARE_ROWS"))
	if err != nil {
		return 20_000
	}
	t.Logf("%d rows", n)
	return n
}

func TestTwoProcessesShareAnErasure(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	rows := shareRows(t)
	c.remember("alice", rows)
	c.remember("bob", 100)
	a, b := c.join(allRoles), c.join(allRoles)
	began := time.Now()
	id := a.forget("alice")
	done := b.completed(id)
	took := time.Since(began)
	if s := done.Stores[0]; s.Found != rows || s.Erased != rows || s.Evidence != "verified" {
		t.Errorf("the certificate says %s", said(s))
	}
	if n := c.memories("alice"); n != 0 || c.memories("bob") != 100 {
		t.Errorf("%d memories of alice, %d of bob", n, c.memories("bob"))
	}
	byA, byB := a.erased(), b.erased()
	t.Logf("%d rows in %s (%.0f a second): one process erased %d (%d %%), the other %d (%d %%)",
		rows, took.Round(10*time.Millisecond), float64(rows)/took.Seconds(), byA, 100*byA/rows, byB, 100*byB/rows)
	if byA+byB != rows || byA == 0 || byB == 0 {
		t.Errorf("one process erased %d and the other %d of %d", byA, byB, rows)
	}
	a.stop()
	if id := b.forget("bob"); b.completed(id).Stores[0].Erased != 100 { // and one is enough
		t.Error("bob was not erased")
	}
	if text := c.checked(); !strings.Contains(text, "4 entries") {
		t.Errorf("log check: %s", text)
	}
	b.stop()
}

// A process that dies midway leaves batches that are claimed, and the log's next
// entries to be signed: the other one takes over both.
func TestTheOtherProcessFinishesWhatAKilledOneBegan(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const rows = 30_000
	c.remember("alice", rows)
	a := c.join(allRoles)
	id := a.forget("alice") // the log is a's from here on
	b := c.join(allRoles)
	for end := time.Now().Add(patience); a.erased() == 0; {
		if time.Now().After(end) {
			t.Fatal("nothing is erased")
		}
	}
	a.kill()
	if b.completed(id).Stores[0].Erased != rows || c.memories("alice") != 0 {
		t.Error("alice was not erased")
	}
	if text := c.checked(); !strings.Contains(text, "2 entries") {
		t.Errorf("log check: %s", text)
	}
}

// Of two processes one carries the rotation of the log's key out. The other must
// not go on with the old key, nor without the new one.
func TestEveryProcessSignsWithTheKeyThatOneHasAnnounced(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.remember("alice", 10)
	c.remember("bob", 10)
	a, b := c.join(allRoles), c.join(allRoles)
	a.completed(a.forget("alice"))
	old := c.lethe("keys")
	b.signal(syscall.SIGSTOP) // so that it sees nothing of the new key before it is in force
	text := c.lethe("keys", "rotate", "--overlap", "0s")
	for end := time.Now().Add(patience); c.lethe("keys") == old && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	if now := c.lethe("keys"); now != text || now == old {
		t.Errorf("rotated from %q to %q, and the key is %q", old, text, now)
	}
	a.completed(a.forget("bob"))
	a.kill()
	b.signal(syscall.SIGCONT)
	b.completed(b.forget("bob"))
	if text := c.checked(); !strings.Contains(text, "8 entries") {
		t.Errorf("log check: %s\n%s", text, b.said())
	}
}

func TestRolesAreSplitOverProcesses(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.remember("alice", 2500)
	door, hand, clock := c.join(roleAPI), c.join(roleWorker), c.join(roleScheduler)
	id := door.forget("alice")
	if done := door.completed(id); done.Stores[0].Erased != 2500 {
		t.Errorf("the certificate says %s", said(done.Stores[0]))
	}
	if n := hand.erased(); n != 2500 || door.erased()+clock.erased() != 0 {
		t.Errorf("the worker erased %d, the others %d", n, door.erased()+clock.erased())
	}
	for name, m := range map[string]*member{"worker": hand, "scheduler": clock} {
		if _, status := m.get("/v1/requests"); status != http.StatusNotFound {
			t.Errorf("the %s answers requests: %d", name, status)
		}
	}
	for name, m := range map[string]*member{"api": door, "worker": hand, "scheduler": clock} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			if text, status := m.get(path); status != http.StatusOK {
				t.Errorf("%s of the %s: %d %s", path, name, status, text)
			}
		}
		m.stop()
	}
}

// A ledger whose database goes away is waited for: readyz says so, and what was
// begun ends once it is back.
func TestTheServiceWaitsForTheDatabaseOfItsLedger(t *testing.T) {
	t.Parallel()
	server := audittest.Start(t)
	c := newClusterAt(t, server.DSN("lethe", "postgres"))
	c.remember("alice", 20_000)
	m := c.join(allRoles)
	id := m.forget("alice")
	for end := time.Now().Add(patience); m.erased() == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	server.Down()
	text, status := m.get("/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "the ledger does not answer") {
		t.Errorf("readyz says %d %s", status, text)
	}
	if _, _, err := m.client.Submit(t.Context(), api.Submission{Selector: store.Selector{UserID: "bob"}}); err == nil {
		t.Error("a request was taken in")
	}
	server.Restart(t)
	if m.completed(id).Stores[0].Erased != 20_000 || c.memories("alice") != 0 {
		t.Error("alice was not erased")
	}
	if text, status := m.get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz says %d %s", status, text)
	}
	m.stop()
	if strings.Contains(m.said(), server.DSN("lethe", "postgres")) || strings.Count(m.said(), "\n") > 500 { // some for each second that it was away
		t.Errorf("it said too much:\n%s", m.said())
	}
}

// A second process must not begin while the first has an embedded queue, which
// nobody else hears.
func TestAnEmbeddedQueueIsForOneProcess(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, err := Load(c.config, Overrides{Queue: queueEmbedded})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, first, nil)
	c.remember("alice", 10)
	if done := r.completed(r.forget("alice")); done.Stores[0].Erased != 10 {
		t.Errorf("the certificate says %s", said(done.Stores[0]))
	}
	for fix, args := range map[string][]string{
		"a lethe serve with an embedded queue": {"serve"},
		"the same --queue redis://":            {"serve", "--queue", "embedded"},
		"stop lethe serve first":               {"log", "succeed", "--reason", "test"},
	} {
		text, err := c.command(args...).CombinedOutput()
		if err == nil || !strings.Contains(string(text), "ledger is in use: ") || !strings.Contains(string(text), fix) {
			t.Errorf("%v: %v\n%s", args, err, text)
		}
	}
	for _, roles := range []string{roleAPI, "worker,scheduler"} {
		if text, err := c.command("serve", "--check", "--queue", "embedded", "--roles", roles).CombinedOutput(); err == nil || !strings.Contains(string(text), "--roles must be") {
			t.Errorf("%s with an embedded queue: %v\n%s", roles, err, text)
		}
	}
}

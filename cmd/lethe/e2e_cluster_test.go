package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/audit/proof"
	"lethe/jobs/api"
	"lethe/jobs/queue/queuetest"
	"lethe/store"
)

// A cluster is processes of lethe serve that share a PostgreSQL ledger, a Redis
// and a data folder, over memories in PostgreSQL.
type cluster struct {
	t      testing.TB
	config string
	ledger string // its URL
	store  *sqlx.DB
	redis  *queuetest.Server
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	return newClusterAt(t, audittest.Schema(t))
}

func newClusterAt(t testing.TB, ledger string) *cluster {
	t.Helper()
	c := &cluster{t: t, ledger: ledger, redis: queuetest.Redis(t)}
	dsn := audittest.Schema(t)
	c.store = sqlx.MustOpen("pgx", dsn)
	t.Cleanup(func() { c.store.Close() })
	c.store.MustExec(`CREATE TABLE memories (id uuid PRIMARY KEY, vector real[], payload jsonb);
		CREATE TABLE memories_entities (LIKE memories INCLUDING ALL)`)
	c.config = writeConfig(t, "listen: 127.0.0.1:0\ndata: data\nledger_file: ledger\nqueue: "+c.redis.URL()+"\n"+
		"stores:\n  - {name: server, kind: mem0-postgres, dsn_file: dsn, history: none}\n")
	for name, text := range map[string]string{"dsn": dsn, "ledger": c.ledger} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(c.config), name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// remember writes n memories of a user.
func (c *cluster) remember(user string, n int) {
	c.t.Helper()
	c.store.MustExec(`INSERT INTO memories SELECT gen_random_uuid(), ARRAY[0.1, 0.2], jsonb_build_object('user_id', $1::text, 'data', 'likes tea ' || i) FROM generate_series(1, $2::int) i`, user, n)
}

func (c *cluster) memories(user string) (n int) {
	c.t.Helper()
	if err := c.store.Get(&n, `SELECT COUNT(*) FROM memories WHERE payload ->> 'user_id' = $1`, user); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// A member is one process.
type member struct {
	t      testing.TB
	cmd    *exec.Cmd
	url    string
	client *api.Client
	ended  chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

// join starts the real command with these roles, and returns once it serves.
func (c *cluster) join(roles string) *member {
	c.t.Helper()
	m := &member{t: c.t, ended: make(chan struct{})}
	m.cmd = c.command("serve", "--roles", roles)
	talk, err := m.cmd.StderrPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(m.kill)
	listen := make(chan string, 1)
	go m.listen(talk, listen)
	select {
	case addr := <-listen:
		m.url = "http://" + addr
	case <-m.ended:
		c.t.Fatalf("lethe serve --roles %s ended:\n%s", roles, m.said())
	case <-time.After(patience):
		c.t.Fatalf("lethe serve --roles %s does not serve:\n%s", roles, m.said())
	}
	if m.client, err = api.NewClient(m.url, "", nil); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// listen reads what the process says, to its end.
func (m *member) listen(talk io.Reader, listen chan<- string) {
	defer close(m.ended)
	lines := bufio.NewScanner(talk)
	for lines.Scan() {
		m.mu.Lock()
		m.log.WriteString(lines.Text() + "\n")
		m.mu.Unlock()
		var line struct{ Msg, Listen string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			listen <- line.Listen
		}
	}
	_ = m.cmd.Wait()
}

func (m *member) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// stop ends the process in good order.
func (m *member) stop() {
	m.t.Helper()
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(patience):
		m.t.Fatalf("it does not stop:\n%s", m.said())
	}
	if !m.cmd.ProcessState.Success() {
		m.t.Errorf("it ended with %s:\n%s", m.cmd.ProcessState, m.said())
	}
}

func (m *member) signal(s os.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// get returns a page, and the status of the answer.
func (m *member) get(path string) (string, int) {
	m.t.Helper()
	answer, err := http.Get(m.url + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text), answer.StatusCode
}

// metric returns a number that the process's metrics say.
func (m *member) metric(name string) int {
	m.t.Helper()
	text, _ := m.get("/metrics")
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` ([0-9.e+]+)$`).FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return int(n)
}

// erased is how many rows this process has erased.
func (m *member) erased() int { return m.metric(`lethe_ids_total{outcome="erased",store="server"}`) }

func (m *member) forget(user string) string {
	m.t.Helper()
	answer, _, err := m.client.Submit(m.t.Context(), api.Submission{Selector: store.Selector{UserID: user}})
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.said())
	}
	return answer.ID
}

// completed waits for the end and returns what the certificate says, verified.
func (m *member) completed(id string) *proof.Completed {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	if err := waitCompleted(ctx, m.client, id); err != nil {
		m.t.Fatalf("%v\n%s", err, m.said())
	}
	text, err := m.client.Certificate(ctx, id)
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.said())
	}
	key, err := m.client.Key(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(key))
	if err != nil {
		m.t.Fatal(err)
	}
	result, err := proof.Verify(text, keys)
	if err != nil {
		m.t.Fatal(err)
	}
	return result.Entry.(*proof.Completed)
}

// checked runs lethe log check on the ledger, beside its services.
func (c *cluster) checked() string {
	c.t.Helper()
	return c.lethe("log", "check")
}

// lethe runs a command with the configuration and returns what it answers.
func (c *cluster) lethe(args ...string) string {
	c.t.Helper()
	text, err := c.command(args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			text = append(text, exit.Stderr...)
		}
		c.t.Errorf("lethe %v: %v\n%s", args, err, text)
	}
	return string(text)
}

// command is the real one: what the test's binary is when it is called lethe.
func (c *cluster) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append(args, "--config", c.config)...)
	cmd.Args[0] = "lethe"
	return cmd
}

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
	if strings.Contains(m.said(), server.DSN("lethe", "postgres")) || strings.Count(m.said(), "\n") > 60 {
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
	for _, args := range [][]string{{"serve"}, {"serve", "--queue", "embedded"}, {"log", "succeed", "--reason", "test"}} {
		text, err := c.command(args...).CombinedOutput()
		if err == nil || !strings.Contains(string(text), "ledger is in use") {
			t.Errorf("%v: %v\n%s", args, err, text)
		}
	}
	for _, roles := range []string{roleAPI, "worker,scheduler"} {
		if text, err := c.command("serve", "--check", "--queue", "embedded", "--roles", roles).CombinedOutput(); err == nil || !strings.Contains(string(text), "--roles must be") {
			t.Errorf("%s with an embedded queue: %v\n%s", roles, err, text)
		}
	}
}

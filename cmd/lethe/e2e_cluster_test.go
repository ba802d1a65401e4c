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
	redis := queuetest.Redis(t)
	c := newClusterOn(t, ledger, "queue: "+redis.URL()+"\n")
	c.redis = redis
	return c
}

// newClusterOn has a queue as lines of the configuration say.
func newClusterOn(t testing.TB, ledger, queue string) *cluster {
	t.Helper()
	c := &cluster{t: t, ledger: ledger}
	dsn := audittest.Schema(t)
	c.store = sqlx.MustOpen("pgx", dsn)
	t.Cleanup(func() { c.store.Close() })
	c.store.MustExec(`CREATE TABLE memories (id uuid PRIMARY KEY, vector real[], payload jsonb);
		CREATE TABLE memories_entities (LIKE memories INCLUDING ALL)`)
	c.config = writeConfig(t, "listen: 127.0.0.1:0\ndata: data\nlimits: {max_rows: 10000000, max_fraction: 1}\nledger_file: ledger\n"+queue+
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

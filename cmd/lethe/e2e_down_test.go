package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0"
)

// A remotePG is a Mem0 server's database that may be away. Its user app has a
// password, and only what a test grants.
type remotePG struct {
	t      testing.TB
	server *audittest.Server
	name   string // of the database
	db     *sqlx.DB
	config StoreConfig
}

func newRemotePG(t testing.TB) *remotePG {
	t.Helper()
	p := &remotePG{t: t, server: audittest.Start(t, "fsync=off")}
	dsn := p.server.Database(t)
	p.name = dsn[strings.LastIndex(dsn, "/")+1 : strings.Index(dsn, "?")]
	p.db = sqlx.MustOpen("pgx", dsn+"&default_transaction_read_only=off")
	p.db.SetMaxIdleConns(0) // the server will be killed
	t.Cleanup(func() { p.db.Close() })
	hba := "local all app scram-sha-256\nlocal all all trust\n"
	if err := os.WriteFile(filepath.Join(p.server.Dir(), "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	p.do(`CREATE ROLE app LOGIN PASSWORD 'right'; REVOKE ALL ON DATABASE ` + p.name + ` FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC; SELECT pg_reload_conf()`)
	p.config = StoreConfig{Name: "server", Kind: KindMem0Postgres, DSNFile: filepath.Join(t.TempDir(), "dsn"), Table: "memories", Entities: "memories_entities"}
	p.password("right")
	return p
}

// do waits for a server that has just been started.
func (p *remotePG) do(sql string) {
	p.t.Helper()
	if _, err := p.db.Exec(sql); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

func (p *remotePG) password(word string) {
	p.t.Helper()
	dsn := strings.Replace(p.server.DSN("app", p.name), "app@", "app:"+word+"@", 1)
	if err := os.WriteFile(p.config.DSNFile, []byte(dsn+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

const (
	pgTables = `CREATE TABLE memories (id uuid PRIMARY KEY, vector real[], payload jsonb);
		CREATE TABLE memories_entities (LIKE memories INCLUDING ALL)`
	pgGrants = `GRANT SELECT, DELETE, UPDATE ON memories, memories_entities TO app`
)

// remember writes n memories of a user.
func (p *remotePG) remember(user string, n int) {
	p.t.Helper()
	p.do(fmt.Sprintf(`INSERT INTO memories SELECT gen_random_uuid(), '{1}', jsonb_build_object('user_id', '%s', 'data', 'tea ' || i) FROM generate_series(1, %d) i`, user, n))
}

// sound makes all as it should be.
func (p *remotePG) sound() {
	p.t.Helper()
	p.do(pgTables)
	p.do(`GRANT CONNECT ON DATABASE ` + p.name + ` TO app; GRANT USAGE ON SCHEMA public TO app; ` + pgGrants)
}

// quick makes a service try its stores again without delay.
func quick(s *service) {
	for _, l := range s.links {
		l.Pace = 20 * time.Millisecond
	}
}

// get returns the body of an answer that must have the status.
func (r *running) get(path string, status int) string {
	r.t.Helper()
	answer, err := http.Get(r.s.URL() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		r.t.Fatalf("%s: %d %s %v", path, answer.StatusCode, body, err)
	}
	return string(body)
}

// down waits until /readyz says that a store is down, and why. It is 200 all
// the same.
func (r *running) down(name, reason string) {
	r.t.Helper()
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		last = r.get("/readyz", http.StatusOK)
		head, state, ok := strings.Cut(last, `"store":"`+name+`","state":"down","reason":"`)
		if ok && strings.HasPrefix(head, `{"ready":true,"reasons":[]`) && strings.Contains(state, reason) {
			return
		}
	}
	r.t.Fatalf("never down for %q: %s", reason, last)
}

// listening returns a logger and what it is told, by one handler, which locks.
func listening() (*bytes.Buffer, *slog.Logger) {
	var b bytes.Buffer
	return &b, slog.New(slog.NewJSONHandler(&b, nil))
}

// TestAServiceStartsWithoutItsStoreAndResumesOnceItIsMended starts with a
// database of which nothing is right, and mends one thing after the other.
func TestAServiceStartsWithoutItsStoreAndResumesOnceItIsMended(t *testing.T) {
	t.Parallel()
	p := newRemotePG(t)
	p.password("wrong-hunter2")
	p.do(`ALTER DATABASE ` + p.name + ` SET default_transaction_read_only = on`)
	p.server.Halt()
	local := newMem0(t, filepath.Join(t.TempDir(), "mem0"), mem0.Memory{ID: "a1", UserID: "alice", Text: "tea"}, mem0.Memory{ID: "b1", UserID: "bob", Text: "tea"})
	log, logger := listening()
	r := startWith(t, configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, configured("local", local), p.config), logger, quick)

	id := r.forget("alice")
	if c := r.completed(r.forget("bob", "local")); c.Stores[0].Erased != 1 {
		t.Errorf("the other store: %s", said(c.Stores[0]))
	}
	r.down("server", "no answer from PostgreSQL")
	if body := r.get("/metrics", 200); !strings.Contains(body, `lethe_store_up{store="server"} 0`) || !strings.Contains(body, `lethe_store_up{store="local"} 1`) {
		t.Error("the metric does not say so")
	}
	r.wantWaiting(id)

	p.server.Restart(t)
	for _, step := range []struct{ reason, mend string }{
		{"does not accept the user or the password (28P01)", ""},
		{"GRANT CONNECT ON DATABASE", `GRANT CONNECT ON DATABASE ` + p.name + ` TO app`},
		{"the database is read only", `ALTER DATABASE ` + p.name + ` RESET default_transaction_read_only`},
		{"want table memories, found none", pgTables},
		{`GRANT USAGE ON SCHEMA \"public\" TO`, `GRANT USAGE ON SCHEMA public TO app`},
		{`GRANT SELECT, DELETE, UPDATE ON \"memories\" TO`, `GRANT SELECT, UPDATE ON memories TO app`},
		{`GRANT DELETE ON \"memories\" TO`, `GRANT DELETE ON memories TO app`},
		{`GRANT SELECT, DELETE, UPDATE ON \"memories_entities\" TO`, pgGrants},
	} {
		r.down("server", step.reason)
		if p.password("right"); step.mend != "" {
			p.do(step.mend)
		}
		if step.mend == pgTables {
			p.remember("alice", 3)
		}
	}
	c := r.completed(id)
	if got := said(c.Stores[1]); got != "requested 3 found 3 erased 3 absent 0 unattributable 0 rounds 1 verified" {
		t.Errorf("certificate: %s", got)
	}
	up := func() bool { return strings.Contains(r.get("/metrics", 200), `lethe_store_up{store="server"} 1`) }
	waitFor(t, "the metric says that it is up", up)
	p.server.Halt()
	r.down("server", "store unavailable") // though nobody had anything to ask of it
	p.server.Restart(t)
	waitFor(t, "the metric says that it is up again", up)
	r.stop()
	text := log.String()
	if n := strings.Count(text, "a store is back"); n != 2 {
		t.Errorf("%d times back:\n%s", n, text)
	}
	for _, secret := range []string{"hunter2", "right", p.server.Dir(), "postgres://", "a task failed"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q:\n%s", secret, text)
		}
	}
	if n := strings.Count(text, "a store is down"); n > 15 { // a catalog that is just being changed can give one of its own
		t.Errorf("%d lines for 9 reasons, though it was tried far more often:\n%s", n, text)
	}
}

// wantWaiting looks at what users see of a request whose store is down.
func (r *running) wantWaiting(id string) {
	r.t.Helper()
	_, err := r.client.Plan(r.t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}})
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Status != http.StatusServiceUnavailable || p.RetryAfter == 0 || !strings.Contains(p.Detail, "store server is down") {
		r.t.Errorf("plan: %v", err)
	}
	for _, args := range [][]string{{"status", id}, {"list"}} {
		var out, stderr bytes.Buffer
		if s := run(r.t.Context(), append(args, "--server", r.s.URL()), nil, &out, &stderr); s != exitDone || !strings.Contains(out.String(), jobs.NoteStoreDown) {
			r.t.Errorf("%v: %d %s %s", args, s, &out, &stderr)
		}
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	answer, err := r.client.Watch(ctx, id, func(q api.Request) {
		if q.Stores[1].Note == jobs.NoteStoreDown {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || answer.Stores[1].Note != jobs.NoteStoreDown {
		r.t.Errorf("events: %v", err)
	}
}

// TestAServerKilledMidwayIsWaitedFor kills PostgreSQL between two batches and
// in the middle of one.
func TestAServerKilledMidwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			p := newRemotePG(t)
			p.sound()
			p.remember("alice", 2500)
			p.remember("bob", 1)
			var erasing atomic.Int64
			killed := make(chan struct{})
			kill := func(_ context.Context, call string, ended bool) {
				if call == "Erase" && ended == after && erasing.Add(1) == 2 {
					p.server.Halt()
					close(killed)
				}
			}
			r := startWith(t, configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, p.config), slog.New(slog.DiscardHandler), func(s *service) {
				quick(s)
				for _, st := range s.stores {
					st.Concurrency = 1
				}
				s.watch(kill)
			})
			id := r.forget("alice")
			<-killed
			r.down("server", "store unavailable")
			p.server.Restart(t)
			if got := said(r.completed(id).Stores[0]); got != "requested 2500 found 2500 erased 2500 absent 0 unattributable 0 rounds 1 verified" {
				t.Errorf("certificate: %s", got)
			}
			var left []string
			if err := p.db.Select(&left, `SELECT payload->>'user_id' FROM memories`); err != nil || len(left) != 1 || left[0] != "bob" {
				t.Errorf("%d rows are left, error %v", len(left), err)
			}
		})
	}
}

// TestARevokedPermissionSaysWhichGrantToGive while the service runs.
func TestARevokedPermissionSaysWhichGrantToGive(t *testing.T) {
	t.Parallel()
	p := newRemotePG(t)
	p.sound()
	p.remember("alice", 5)
	r := startWith(t, configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, p.config), slog.New(slog.DiscardHandler), quick)
	p.do(`REVOKE DELETE ON memories FROM app`)
	id := r.forget("alice")
	r.down("server", `GRANT DELETE ON \"memories\" TO`)
	p.do(pgGrants)
	if got := said(r.completed(id).Stores[0]); got != "requested 5 found 5 erased 5 absent 0 unattributable 0 rounds 1 verified" {
		t.Errorf("certificate: %s", got)
	}
}

// TestAFileMovedAwayMidwayIsWaitedFor: SQLite alone would go on with the file
// that was moved, and certify it.
func TestAFileMovedAwayMidwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "a1", UserID: "alice", Text: "tea"}, mem0.Memory{ID: "b1", UserID: "bob", Text: "tea"})
	moved := filepath.Join(dir, "moved.db")
	for _, call := range []string{"Find", "Erase", "Purge"} {
		t.Run("at "+call, func(t *testing.T) {
			write(t, c, mem0.Memory{ID: "a-" + call, UserID: "alice", Text: "tea"})
			var once atomic.Bool
			r := startWith(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("local", c)), slog.New(slog.DiscardHandler), func(s *service) {
				quick(s)
				s.watch(func(_ context.Context, now string, ended bool) {
					if now == call && !ended && !once.Swap(true) {
						if err := os.Rename(c.Vectors, moved); err != nil {
							t.Error(err)
						}
					}
				})
			})
			defer r.stop()
			id := r.forget("alice")
			r.down("local", "vectors file: ")
			time.Sleep(200 * time.Millisecond) // ten attempts
			if _, err := os.Stat(c.Vectors); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("the file has been made: %v", err)
			}
			if err := os.Rename(moved, c.Vectors); err != nil {
				t.Fatal(err)
			}
			if s := r.completed(id).Stores[0]; s.Erased != s.Found || s.Found == 0 || s.Evidence != string(store.EvidencePurged) {
				t.Errorf("certificate: %s", said(s))
			}
		})
	}
	for name, row := range rowsOf(t, c) {
		if strings.Contains(row, "alice") {
			t.Errorf("alice is left in %s", name)
		}
	}
}

// TestAFaultOfTheConfigurationStopsTheStart: nobody could mend it while we run.
func TestAFaultOfTheConfigurationStopsTheStart(t *testing.T) {
	t.Parallel()
	c := newMem0(t, t.TempDir())
	if err := os.Link(c.Vectors, c.Vectors+".again"); err != nil {
		t.Fatal(err)
	}
	c.History = c.Vectors + ".again"
	s, err := openService(t.Context(), configFor(t.TempDir(), queueEmbedded, configured("local", c)), slog.New(slog.DiscardHandler))
	if !errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), "store local") || s != nil {
		t.Errorf("error %v", err)
	}
}

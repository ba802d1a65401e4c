package mem0_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/mem0"
	"lethe/store/storetest"
)

// The layout of Mem0's app database, as its migrations make it.
const appTables = `CREATE TABLE request_logs (id uuid PRIMARY KEY, method varchar(16) NOT NULL, path varchar(512) NOT NULL, status_code integer NOT NULL,
		latency_ms double precision NOT NULL, auth_type varchar(32) NOT NULL DEFAULT 'none', created_at timestamptz NOT NULL DEFAULT now());
	CREATE INDEX ix_request_logs_created_at ON request_logs USING brin (created_at);
	CREATE TABLE users (id uuid PRIMARY KEY, email varchar(255)); CREATE TABLE api_keys (id uuid PRIMARY KEY);
	CREATE TABLE settings (key varchar(64) PRIMARY KEY, value text); CREATE TABLE alembic_version (version_num varchar(32));
	CREATE TABLE refresh_token_jtis (jti uuid PRIMARY KEY)`

// A logged fixture is a pgFixture with the app database of the same server.
type logged struct {
	*pgFixture
	app *sqlx.DB
	s   store.Store
}

func newLogged(t *testing.T) logged {
	t.Helper()
	f := logged{pgFixture: newPG(t, true, true)}
	dsn := audittest.Schema(t)
	f.app = sqlx.MustOpen("pgx", dsn)
	t.Cleanup(func() { f.app.Close() })
	f.app.MustExec(appTables)
	var err error
	if f.s, err = mem0.OpenServer(t.Context(), mem0.ServerConfig{PostgresConfig: f.config, AppDSN: dsn}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.s.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// ask logs a request for each path.
func (f logged) ask(paths ...string) {
	f.app.MustExec(`INSERT INTO request_logs (id, method, path, status_code, latency_ms) SELECT gen_random_uuid(), 'GET', p, 200, 1.5 FROM unnest($1::text[]) p`, paths)
}

// paths are those that are in the log, sorted.
func (f logged) paths() (paths []string) {
	f.t.Helper()
	if err := f.app.Select(&paths, `SELECT path FROM request_logs ORDER BY path`); err != nil {
		f.t.Fatal(err)
	}
	return paths
}

func (f logged) Store() store.Store { return &renamed{f.s.(checked), f.pgFixture} }

// Add logs a request for each memory and each user.
func (f logged) Add(ctx context.Context, records ...storetest.Record) error {
	users := make(map[string]bool)
	var paths []string
	for _, r := range records {
		paths = append(paths, "/memories/"+f.key(r.ID))
		if r.UserID != "" && !users[r.UserID] && r.AgentID+r.RunID+r.AppID == "" {
			users[r.UserID] = true
			paths = append(paths, "/entities/user/"+r.UserID)
		}
	}
	f.ask(paths...)
	return f.pgFixture.Add(ctx, records...)
}

func (f logged) Rows(ctx context.Context) (map[string]string, error) {
	rows, err := f.pgFixture.Rows(ctx)
	if err != nil {
		return nil, err
	}
	var found []struct{ ID, Path string }
	if err := f.app.SelectContext(ctx, &found, `SELECT id, path FROM request_logs`); err != nil {
		return nil, err
	}
	for _, r := range found {
		text := r.Path
		if user, ok := strings.CutPrefix(r.Path, "/entities/user/"); ok {
			text = "SECRET-" + user
		}
		if id, ok := f.names.Load(strings.TrimPrefix(r.Path, "/memories/")); ok {
			text = "SECRET-" + strings.Split(id.(string), "-")[0] + " was asked for"
		}
		rows["request_logs "+r.ID] = text
	}
	return rows, nil
}

func TestAServerWithItsLogKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Fixture { return newLogged(t) })
}

func TestTheLogForgetsWhoIsForgotten(t *testing.T) {
	t.Parallel()
	f := newLogged(t)
	if err := f.Add(t.Context(), people("alice", "bob")...); err != nil {
		t.Fatal(err)
	}
	alice, bob := f.key("alice1"), f.key("bob1")
	theirs := []string{
		"/entities/user/alicette", "/entities/user/Alice", "/entities/user/ali%63e", "/entities/user/al%69ce", "/entities/agent/alice", "/entities/user/", "/entities/user/alice/x",
		"/entities", "/memories", "/alice", "/search", "/memories/" + bob + "/history", "/memories/" + bob, "/x/entities/user/alice",
	}
	hers := []string{
		"/entities/user/alice", "/entities/user/alice/", "/v1/entities/user/alice", "/v2/entities/user/alice/",
		"/memories/" + alice + "/history", "/v1/memories/" + strings.ToUpper(alice) + "/",
	}
	f.ask(append(slices.Clone(theirs), hers...)...)
	for _, k := range []string{"bob2", "bob3"} {
		theirs = append(theirs, "/memories/"+f.key(k))
	}
	theirs = append(theirs, "/memories/"+bob, "/entities/user/bob")
	census, err := f.s.Count(t.Context(), store.Selector{UserID: "alice"}.Only())
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, p := range census.Places {
		found[p.Place] = p.Found
	}
	want := map[string]int{"requests": 5, "memory_requests": 5, "memories": 3, "entities": 1, "messages": 3, "history": 3}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("count (-want +got)\n%s", diff)
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	if len(ids) != census.IDs() {
		t.Errorf("found %d, counted %d", len(ids), census.IDs())
	}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || !slices.Equal(left, ids) {
		t.Errorf("before: %d of %d remaining, error %v", len(left), len(ids), err)
	}
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != len(ids) {
		t.Fatalf("erased %d of %d, error %v", r.Count(store.Erased), len(ids), err)
	}
	slices.Sort(theirs)
	if diff := cmp.Diff(theirs, f.paths()); diff != "" {
		t.Errorf("paths (-want +got)\n%s", diff)
	}
	// A request for a memory that is gone is found by whoever has its ID.
	f.ask("/memories/" + alice)
	late := []store.ID{{Place: "memories", Key: alice}}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || !slices.Equal(left, late) {
		t.Errorf("%d remaining, error %v, want the memory that was asked for", len(left), err)
	}
	if got := find(t, f.s, store.Selector{IDs: []string{alice}}); !slices.Equal(got, late) {
		t.Errorf("found %d by its ID", len(got))
	}
	if r, err := f.s.Erase(t.Context(), late); err != nil || r[0] != store.Erased {
		t.Errorf("erased %s, error %v", outcomes(r), err)
	}
}

// TestACrashLeavesNoRowThatNobodyKnows fails between the two databases.
func TestACrashLeavesNoRowThatNobodyKnows(t *testing.T) {
	t.Parallel()
	f := newLogged(t)
	if err := f.Add(t.Context(), people("alice")...); err != nil {
		t.Fatal(err)
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	holder := f.db.MustBegin() // the database of the memories is busy
	holder.MustExec(`LOCK TABLE memories IN ACCESS EXCLUSIVE MODE`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := f.s.Erase(ctx, ids)
		done <- err
	}()
	for len(f.paths()) > 0 { // until the log has committed
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("an erasure that was stopped between has no error")
	}
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := f.db.Get(&rows, `SELECT count(*) FROM memories`); err != nil || rows != 3 {
		t.Errorf("%d memories, error %v, want all: the log must go first", rows, err)
	}
	again := find(t, f.s, store.Selector{UserID: "alice"})
	if r, err := f.s.Erase(t.Context(), again); err != nil || r.Count(store.Erased) != len(again) || len(again) == 0 {
		t.Errorf("again: receipt %s, error %v", outcomes(r), err)
	}
}

func TestACutPathIsUnattributable(t *testing.T) {
	t.Parallel()
	f := newLogged(t)
	long := "/entities/user/" + strings.Repeat("é", 512-len("/entities/user/"))
	f.ask(long, long[:len(long)-2])
	census, err := f.s.Count(t.Context(), store.Selector{UserID: "alice"}.Only())
	if err != nil || census.Unattributable != 1 {
		t.Errorf("unattributable %d, error %v, want the one that fills the column", census.Unattributable, err)
	}
}

func TestTheLogSaysWhatItCannotReach(t *testing.T) {
	t.Parallel()
	f := newLogged(t)
	said := maps.Collect(func(yield func(string, bool) bool) {
		for name, sel := range map[string]store.Selector{"user": {UserID: "u"}, "ids": {IDs: []string{"x"}}} {
			if !yield(name, slices.Contains(f.s.(store.Limiter).Unreached(sel), "requests")) {
				return
			}
		}
	})
	if diff := cmp.Diff(map[string]bool{"user": false, "ids": true}, said); diff != "" {
		t.Errorf("unreached (-want +got)\n%s", diff)
	}
}

// TestOneProcessAtATimeErasesWithTheLog: which rows of the log go with which
// memories is looked up before they are erased, and nobody else erases meanwhile.
func TestOneProcessAtATimeErasesWithTheLog(t *testing.T) {
	t.Parallel()
	f := newLogged(t)
	if err := f.Add(t.Context(), people("alice")...); err != nil {
		t.Fatal(err)
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	other, err := f.app.Connx(t.Context()) // another process, in the midst of its Erase
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	lock := func(call string) {
		t.Helper()
		if _, err := other.ExecContext(t.Context(), `SELECT `+call+`(x'6c657468'::int, 'request_logs'::regclass::oid::int)`); err != nil {
			t.Fatal(err)
		}
	}
	lock("pg_advisory_lock")
	done := make(chan error, 1)
	go func() {
		_, err := f.s.Erase(t.Context(), ids)
		done <- err
	}()
	for waiting := 0; waiting == 0; {
		if err := f.app.Get(&waiting, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 'request_logs'::regclass::oid`); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			t.Fatalf("it erased while another process did, error %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || !slices.Equal(left, ids) {
		t.Errorf("%d of %d remaining while it waits, error %v", len(left), len(ids), err)
	}
	lock("pg_advisory_unlock")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
}

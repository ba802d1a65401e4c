package mem0_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/store"
	"lethe/store/mem0"
)

// hold begins a transaction of another connection on a file, and returns what
// ends it.
func hold(t *testing.T, path string, statements ...string) (release func()) {
	t.Helper()
	db := database(t, path)
	conn, err := db.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

func seeded(t *testing.T, name string) (*fixture, []store.ID) {
	t.Helper()
	i := slices.IndexFunc(variants(), func(v variant) bool { return v.name == name })
	f := variants()[i].open(t)
	for _, user := range []string{"alice", "bob"} {
		if err := mem0.WriteSQLite(t.Context(), f.config, mem0.Sample(user, 200)); err != nil {
			t.Fatal(err)
		}
	}
	return f, find(t, f.s, store.Selector{UserID: "alice"})
}

func TestALockedFileIsATemporaryError(t *testing.T) {
	for i := range 3 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			locked(t, i)
		})
	}
}

func locked(t *testing.T, file int) {
	f, ids := seeded(t, "Plain")
	release := hold(t, f.paths()[file], "BEGIN IMMEDIATE")
	_, err := f.s.Erase(t.Context(), ids)
	if err == nil || errors.Is(err, store.ErrRefused) || errors.Is(err, store.ErrSchema) {
		t.Errorf("erase of a locked store: error %v, want a temporary one", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := f.s.Erase(soon, ids); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("erase without time: error %v, want DeadlineExceeded", err)
	}
	if err := f.s.Purge(t.Context()); !errors.Is(err, store.ErrBusy) {
		t.Errorf("purge of a locked store: error %v, want ErrBusy", err)
	}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || len(left) != len(ids) {
		t.Errorf("%d remaining, error %v; want all %d", len(left), err, len(ids))
	}
	release()
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != len(ids) {
		t.Errorf("erased %d of %d, error %v", r.Count(store.Erased), len(ids), err)
	}
	if err := f.s.Purge(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAReaderKeepsPurgeFromClaiming(t *testing.T) {
	for _, name := range []string{"Plain", "WAL"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, ids := seeded(t, name)
			release := hold(t, f.config.Vectors, "BEGIN", "SELECT count(*) FROM vectors")
			_, err := f.s.Erase(t.Context(), ids)
			if (err == nil) != (name == "WAL") {
				t.Errorf("erase: error %v", err)
			}
			if err := f.s.Purge(t.Context()); !errors.Is(err, store.ErrBusy) {
				t.Errorf("purge: error %v, want ErrBusy", err)
			}
			release()
			if _, err := f.s.Erase(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
			if err := f.s.Purge(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestALiveApplication writes and reads all the while, as Mem0 does, and loses
// nothing.
func TestALiveApplication(t *testing.T) {
	for _, name := range []string{"Plain", "WAL"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live(t, name)
		})
	}
}

func live(t *testing.T, name string) {
	f, ids := seeded(t, name)
	ctx, stop := context.WithCancel(t.Context())
	var written atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- application(ctx, f.config, &written) }()
	for batch := range slices.Chunk(ids, 20) {
		for before := written.Load(); written.Load() == before && len(ended) == 0; { // between any two batches
		}
		if _, err := f.s.Erase(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if left, err := f.s.Remaining(t.Context(), batch); err != nil || len(left) > 0 {
			t.Fatalf("%d remaining, error %v", len(left), err)
		}
		if err := f.s.Purge(t.Context()); err != nil && !errors.Is(err, store.ErrBusy) {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("the application: %v", err)
	}
	if left := find(t, f.s, store.Selector{UserID: "alice"}); len(left) > 0 {
		t.Errorf("%d left", len(left))
	}
	rows, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range written.Load() {
		key := "live-" + strconv.FormatInt(i, 10)
		if rows["vector_store.db vectors "+key] == "" {
			t.Errorf("memory %s of the application is lost", key)
		}
	}
	if err := f.s.Purge(t.Context()); err != nil {
		t.Errorf("purge once it is quiet: %v", err)
	}
}

func application(ctx context.Context, c mem0.SQLiteConfig, written *atomic.Int64) error {
	var dbs []*sqlx.DB
	for _, path := range []string{c.Vectors, c.History} {
		db, err := sqlx.Open("sqlite3", "file:"+path+"?mode=rw&_busy_timeout=5000")
		if err != nil {
			return err
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		dbs = append(dbs, db)
	}
	for ctx.Err() == nil {
		id := "live-" + strconv.FormatInt(written.Load(), 10)
		if _, err := dbs[0].Exec(`INSERT INTO vectors VALUES (?, x'00', '{"user_id":"live"}')`, id); err != nil {
			return err
		}
		if _, err := dbs[1].Exec(`INSERT INTO memory_history (memory_id, action) VALUES (?, 'ADD')`, id); err != nil {
			return err
		}
		var n int
		if err := dbs[0].Get(&n, `SELECT count(*) FROM vectors`); err != nil {
			return err
		}
		written.Add(1)
	}
	return nil
}

func TestFindNoticesRenumberedRows(t *testing.T) {
	f := variants()[0].open(t)
	if err := mem0.WriteSQLite(t.Context(), f.config, mem0.Sample("alice", 12_000)); err != nil {
		t.Fatal(err)
	}
	n := 0
	var failed error
	for id, err := range f.s.Find(t.Context(), store.Selector{UserID: "alice"}) {
		if id.Place == "memories" && n == 0 {
			sql(t, f.config.Vectors, "DELETE FROM vectors WHERE rowid < 1000; VACUUM")
		}
		if id.Place == "memories" {
			n++
		}
		failed = err
	}
	if failed == nil {
		t.Errorf("found %d without an error, though rows were renumbered", n)
	}
	if got := len(find(t, f.s, store.Selector{UserID: "alice"})); got < 11_000 {
		t.Errorf("found %d afterwards", got)
	}
}

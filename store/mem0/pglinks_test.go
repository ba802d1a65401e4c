package mem0_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
)

func memory(id string) []store.ID { return []store.ID{{Place: "memories", Key: id}} }

// link adds an entity that links to memories.
func (f *pgFixture) link(table, entity string, memories string) {
	f.t.Helper()
	f.db.MustExec(`INSERT INTO `+table+` VALUES ($1, '{1}', jsonb_build_object('entity_type', 'T', 'linked_memory_ids', $2::jsonb))`, entity, memories)
}

// linked counts the entities that link to a memory.
func (f *pgFixture) linked(id string) (n int) {
	f.t.Helper()
	if err := f.db.Get(&n, `SELECT count(*) FROM memories_entities WHERE payload->'linked_memory_ids' ? $1`, id); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// unlinks erases a memory to which an entity links, and which the store must
// find by that.
func (f *pgFixture) unlinks(id string) {
	f.t.Helper()
	left, err := f.s.Remaining(f.t.Context(), memory(id))
	if err != nil || len(left) != 1 {
		f.t.Errorf("before: %d remaining, error %v; want the memory that is linked to", len(left), err)
	}
	if r, err := f.s.Erase(f.t.Context(), memory(id)); err != nil || string(r) != "e" {
		f.t.Errorf("receipt %s, error %v", r, err)
	}
	if n := f.linked(id); n > 0 {
		f.t.Errorf("%d entities still link to what was erased", n)
	}
}

// look lets the store know the links that there are.
func (f *pgFixture) look() {
	f.t.Helper()
	if _, err := f.s.Erase(f.t.Context(), memory("nobody")); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.s.Remaining(f.t.Context(), memory("nobody")); err != nil {
		f.t.Fatal(err)
	}
}

// A server that took over from one that was ahead, or was given its files of
// yesterday, numbers transactions as the other one had: what it writes is new.
func TestLinksOfAServerThatWentBackAreFound(t *testing.T) {
	t.Parallel()
	server := audittest.Start(t, "fsync=off")
	f := newPGAt(t, server.Database(t), false, false).open()
	f.look()
	server.Halt()
	yesterday := filepath.Join(t.TempDir(), "yesterday")
	copyFolder(t, server.Dir(), yesterday)
	server.Restart(t)
	f.again()
	for range 50 {
		f.db.MustExec(`SELECT pg_current_xact_id()`)
	}
	f.look()
	server.Halt()
	if err := os.RemoveAll(server.Dir()); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, yesterday, server.Dir())
	server.Restart(t)
	f.again()
	f.link("memories_entities", "late", `["m"]`)
	for range 100 {
		f.db.MustExec(`SELECT pg_current_xact_id()`)
	}
	f.unlinks("m")
}

// again leaves the connections of before behind.
func (f *pgFixture) again() {
	f.t.Helper()
	f.db.SetMaxIdleConns(0)
	f.db.SetMaxIdleConns(2)
	for range 20 {
		if f.s.Ping(f.t.Context()) == nil {
			if _, err := f.s.Remaining(f.t.Context(), nil); err == nil {
				return
			}
		}
	}
	f.t.Fatal("the store does not come back")
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Rows can come with a table that was filled long ago.
func TestLinksOfATableThatIsAttachedAreFound(t *testing.T) {
	t.Parallel()
	f := newPG(t, false, false)
	f.db.MustExec(`DROP TABLE memories_entities;
		CREATE TABLE memories_entities (id text PRIMARY KEY, vector real[], payload jsonb) PARTITION BY RANGE (id);
		CREATE TABLE early PARTITION OF memories_entities FOR VALUES FROM ('a') TO ('m');
		CREATE TABLE late (id text PRIMARY KEY, vector real[], payload jsonb)`)
	f.open()
	f.link("late", "z", `["m"]`)
	f.look()
	f.db.MustExec(`ALTER TABLE memories_entities ATTACH PARTITION late FOR VALUES FROM ('m') TO ('zz')`)
	f.unlinks("m")
}

// Somebody links to a memory while it is being erased, which another erasure
// sees before the first one is over.
func TestALinkThatComesDuringAnErasureIsNotForgotten(t *testing.T) {
	t.Parallel()
	f := newPGAt(t, audittest.Postgres(t), false, false).open()
	f.db.MustExec(`INSERT INTO memories VALUES ('m', '{1}', '{"user_id": "alice"}')`)
	f.look()
	late := f.db.MustBegin() // the first of the three
	defer late.Rollback()
	late.MustExec(`INSERT INTO memories_entities VALUES ('late', '{1}', '{"entity_type": "T", "linked_memory_ids": ["m"]}')`)
	hold := f.db.MustBegin()
	defer hold.Rollback()
	hold.MustExec(`SELECT FROM memories WHERE id = 'm' FOR UPDATE`)
	erased := make(chan error, 1)
	go func() {
		_, err := f.s.Erase(t.Context(), memory("m"))
		erased <- err
	}()
	waits(t, f.db)
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	f.look()
	if err := hold.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	f.unlinks("m")
}

// waits returns when a transaction of the database waits for another.
func waits(t *testing.T, db *sqlx.DB) {
	t.Helper()
	for n := 0; n == 0; {
		if err := db.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`); err != nil {
			t.Fatal(err)
		}
	}
}

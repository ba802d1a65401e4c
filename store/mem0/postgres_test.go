package mem0_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"lethe/store"
	"lethe/store/mem0"
	"lethe/store/storetest"
)

func TestPostgresKeepsTheContract(t *testing.T) {
	for _, v := range []struct {
		name  string
		uuids bool
	}{{"Mem0", true}, {"TextKeys", false}} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Fixture { return newPG(t, v.uuids, true).open() })
		})
	}
}

func people(users ...string) []storetest.Record {
	var all []storetest.Record
	for _, u := range users {
		for _, n := range []string{"1", "2", "3"} {
			all = append(all, storetest.Record{ID: u + n, UserID: u, Text: "t", Entities: []string{"e"}, Message: true})
		}
	}
	return all
}

func TestPostgresRefusesAForeignKeyAlone(t *testing.T) {
	f := newPG(t, true, true).open()
	if err := f.Add(t.Context(), people("alice")...); err != nil {
		t.Fatal(err)
	}
	good := f.key("alice1")
	var ids []store.ID
	for _, k := range []string{"not-a-uuid", good, strings.ToUpper(good), "{" + good + "}", "a\x00b", "\xff"} {
		ids = append(ids, store.ID{Place: "memories", Key: k})
	}
	// A refused one is untouched beside the database too.
	if err := f.AddHistory(t.Context(), "x", "t"); err != nil {
		t.Fatal(err)
	}
	sql(t, f.config.History, `UPDATE history SET memory_id = 'not-a-uuid' WHERE memory_id = ?`, f.key("x"))
	if r, err := f.s.Erase(t.Context(), ids); err != nil || string(outcomes(r)) != "rerrrr" {
		t.Errorf("receipt %s, error %v", outcomes(r), err)
	}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	var n int
	db := database(t, f.config.History)
	defer db.Close()
	if err := db.Get(&n, `SELECT count(*) FROM history WHERE memory_id = 'not-a-uuid'`); err != nil || n != 1 {
		t.Errorf("%d rows of history of a refused key, error %v", n, err)
	}
	// Askers may write a UUID in capitals (RFC 9562, section 4).
	want := store.ID{Place: "memories", Key: f.key("alice2")}
	if ids := find(t, f.s, store.Selector{IDs: []string{"nope", "{" + f.key("alice3") + "}", strings.ToUpper(want.Key)}}); !slices.Equal(ids, []store.ID{want}) {
		t.Errorf("found %d by a key in capitals", len(ids))
	}
}

func outcomes(r store.Receipt) []byte {
	var b []byte
	for _, o := range r {
		b = append(b, byte(o))
	}
	return b
}

// TestPostgresCrashes fails an erasure between the commits of the two
// databases, and repeats it.
func TestPostgresCrashes(t *testing.T) {
	for _, c := range []struct {
		name, fault string // a statement of PostgreSQL
		want        error  // nil for any
	}{
		{"the database refuses after the file", `RAISE 'fault'`, nil},
		{"the connection goes after the file", `PERFORM pg_terminate_backend(pg_backend_pid())`, store.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newPG(t, true, true)
			f.db.MustExec(`CREATE TABLE fault ()`)
			f.db.MustExec(`CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF to_regclass('fault') IS NOT NULL THEN ` + c.fault + `; END IF; RETURN OLD; END $$`)
			f.db.MustExec(`CREATE CONSTRAINT TRIGGER fault AFTER DELETE ON memories DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fault()`)
			crash(t, f.open(), c.want)
		})
	}
}

func crash(t *testing.T, f *pgFixture, want error) {
	if err := f.Add(t.Context(), people("alice", "bob")...); err != nil {
		t.Fatal(err)
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	_, err := f.s.Erase(t.Context(), ids)
	if err == nil || want != nil && !errors.Is(err, want) || errors.Is(err, store.ErrRefused) {
		t.Fatalf("error %v, want a temporary one", err)
	}
	rows, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range rows {
		if strings.HasPrefix(name, "history.db history") && strings.Contains(row, f.key("alice1")) {
			t.Error("history is left where the database failed: it must go first")
		}
	}
	// Whoever lost the list of IDs finds what is left of them.
	again := find(t, f.s, store.Selector{UserID: "alice"})
	if len(again) != 4 { // the entity and three memories; the messages are gone
		t.Errorf("found %d after the crash, want 4", len(again))
	}
	f.db.MustExec(`DROP TABLE fault`)
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != 4 || r.Count(store.Absent) != 3 {
		t.Errorf("repeated: receipt %s, error %v", outcomes(r), err)
	}
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Absent) != len(ids) {
		t.Errorf("once more, as if the answer was lost: receipt %s, error %v", outcomes(r), err)
	}
	census, err := f.s.Count(t.Context(), store.Selector{UserID: "bob"}.Only())
	if err != nil || census.IDs() != 7 || census.Unattributable != 0 {
		t.Errorf("bob has %d, unattributable %d, error %v", census.IDs(), census.Unattributable, err)
	}
}

// TestTheLastLinkGoesOnce erases at once the two memories that an entity links
// to: one of them must see that its link is the last.
func TestTheLastLinkGoesOnce(t *testing.T) {
	f := newPG(t, true, false).open()
	for range 20 {
		if err := f.Add(t.Context(), people("alice")...); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, k := range []string{"alice1", "alice2", "alice3"} {
			wg.Go(func() {
				if _, err := f.s.Erase(t.Context(), []store.ID{{Place: "memories", Key: f.key(k)}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if rows, err := f.Rows(t.Context()); err != nil || len(rows) > 0 {
			t.Fatalf("%d rows left, error %v", len(rows), err)
		}
	}
}

func TestPostgresOpenSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name, change string
		want         error
		text         string
	}{
		{"no table", `DROP TABLE memories_entities`, store.ErrSchema, "want table memories_entities"},
		{"no payload", `ALTER TABLE memories DROP payload`, store.ErrSchema, "want column payload jsonb"},
		{"text ids", `ALTER TABLE memories ALTER id TYPE text`, store.ErrSchema, "want column id uuid"},
		{"a view", `ALTER TABLE memories RENAME TO m; CREATE VIEW memories AS SELECT * FROM m`, store.ErrSchema, "want table memories"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newPG(t, true, true)
			f.db.MustExec(c.change)
			_, err := mem0.OpenPostgres(t.Context(), f.config)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
	for _, dsn := range []string{"postgres://u:SECRET@127.0.0.1:1/SECRET", "postgres://u:SECRET@%zz", "host=/SECRET password=SECRET"} {
		_, err := mem0.OpenPostgres(t.Context(), mem0.PostgresConfig{DSN: dsn, Table: "memories"})
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("error %v, want one without the secret", err)
		}
	}
}

func TestPostgresSaysWhichGrantIsMissing(t *testing.T) {
	f := newPG(t, true, false)
	f.db.MustExec(`CREATE ROLE reader LOGIN; GRANT SELECT ON memories, memories_entities TO reader;
		DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || current_schema() || ' TO reader'; END $$`)
	f.config.DSN = strings.Replace(f.config.DSN, "lethe@", "reader@", 1)
	if _, err := mem0.OpenPostgres(t.Context(), f.config); err == nil || !strings.Contains(err.Error(), `GRANT DELETE, UPDATE ON "memories" TO the user of this store; GRANT DELETE, UPDATE ON "memories_entities"`) {
		t.Errorf("error %v, want the GRANT", err)
	}
}

func TestPostgresDriftIsFoundBeforeAnErasure(t *testing.T) {
	f := newPG(t, true, true).open()
	if err := f.Add(t.Context(), people("alice")...); err != nil {
		t.Fatal(err)
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	before, _ := f.Rows(t.Context())
	f.db.MustExec(`CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
		CREATE TRIGGER copy BEFORE DELETE ON memories FOR EACH ROW EXECUTE FUNCTION copy()`)
	if _, err := f.s.Erase(t.Context(), ids); !errors.Is(err, store.ErrSchema) {
		t.Errorf("error %v, want ErrSchema", err)
	}
	if after, err := f.Rows(t.Context()); err != nil || len(after) != len(before) {
		t.Errorf("%d of %d rows left, error %v", len(after), len(before), err)
	}
	findings, err := f.s.Check(t.Context())
	if err != nil || !slices.ContainsFunc(findings, func(f store.Finding) bool { return strings.Contains(f.Problem, "trigger") }) {
		t.Errorf("check does not name the trigger, error %v", err)
	}
}

// TestLinksWrittenMeanwhileGoToo writes links while a store is open that knows
// which rows link: by others, by who began before it looked, and to a memory
// that it has unlinked already.
func TestLinksWrittenMeanwhileGoToo(t *testing.T) {
	f := newPG(t, true, false).open()
	if err := f.Add(t.Context(), people("alice", "bob")...); err != nil {
		t.Fatal(err)
	}
	id := func(name string) []store.ID { return []store.ID{{Place: "memories", Key: f.key(name)}} }
	erase := func(name string, want string) {
		t.Helper()
		if r, err := f.s.Erase(t.Context(), id(name)); err != nil || string(outcomes(r)) != want {
			t.Errorf("%s: receipt %s, error %v; want %s", name, outcomes(r), err, want)
		}
		if left, err := f.s.Remaining(t.Context(), id(name)); err != nil || len(left) > 0 {
			t.Errorf("%s: %d remaining, error %v", name, len(left), err)
		}
	}
	const link = `UPDATE memories_entities SET payload = jsonb_set(payload, '{linked_memory_ids}', payload -> 'linked_memory_ids' || to_jsonb($1::text)) WHERE payload ->> 'user_id' = 'bob'`
	remaining := func(name string, want int) {
		t.Helper()
		if left, err := f.s.Remaining(t.Context(), id(name)); err != nil || len(left) != want {
			t.Errorf("%s: %d remaining, error %v; want %d", name, len(left), err, want)
		}
	}
	early := f.db.MustBegin()
	early.MustExec(`INSERT INTO memories VALUES ($1, '{1}', jsonb_build_object('entity_type', 'T', 'linked_memory_ids', ARRAY[$2::text, 'x']))`, f.key("stray"), f.key("alice2"))
	erase("alice1", "e")
	for range 3 {
		f.db.MustExec(`UPDATE memories SET payload = payload`) // others write too
		erase("alice1", "a")
	}
	if err := early.Commit(); err != nil {
		t.Fatal(err)
	}
	remaining("alice2", 1)
	erase("alice2", "e")
	erase("alice2", "a")
	f.db.MustExec(link, f.key("alice1"))
	remaining("alice1", 1)
	erase("alice1", "e")
	erase("alice1", "a")
	f.db.MustExec(link, f.key("alice3"))
	erase("alice3", "e")
	rows, err := f.Rows(t.Context())
	if err != nil || len(rows) != 5 { // bob's, and the stray entity with its other link
		t.Errorf("%d rows, error %v", len(rows), err)
	}
	for _, row := range rows {
		for _, name := range []string{"alice1", "alice2", "alice3"} {
			if strings.Contains(row, f.key(name)) {
				t.Errorf("%s is still linked to", name)
			}
		}
	}
}

// Each of two stores writes what the other has to see.
func TestTwoStoresSeeEachOthersWork(t *testing.T) {
	f := newPG(t, true, false).open()
	if err := f.Add(t.Context(), people("alice")...); err != nil {
		t.Fatal(err)
	}
	other, err := mem0.OpenPostgres(t.Context(), f.config)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i, name := range []string{"alice1", "alice2", "alice3"} {
		s := []store.Store{f.s, other}[i%2]
		id := []store.ID{{Place: "memories", Key: f.key(name)}}
		if r, err := s.Erase(t.Context(), id); err != nil || r[0] != store.Erased {
			t.Errorf("%s: receipt %s, error %v", name, outcomes(r), err)
		}
	}
	if rows, err := f.Rows(t.Context()); err != nil || len(rows) > 0 {
		t.Errorf("%d rows left, error %v", len(rows), err)
	}
}

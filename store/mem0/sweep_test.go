package mem0_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/audittest"
	"lethe/store"
)

// sweepOf erases what sel selects, as a sweep does, and purges.
func sweepOf(t *testing.T, s store.Store, sel store.Selector) []store.ID {
	t.Helper()
	ids := find(t, s, sel)
	r, err := s.Erase(store.WithStill(t.Context(), sel), ids)
	if err != nil || r.Count(store.Erased) != len(ids) {
		t.Fatalf("receipt %s, error %v; want %d erased", outcomes(r), err, len(ids))
	}
	if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	if p, ok := s.(store.Purger); ok {
		if err := p.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// Every tenth memory of the real installation has expired in January.
func TestRealExpiredMemoriesGoAndNothingElse(t *testing.T) {
	f := realFixture(t)
	before, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The last of January is over on the first of February at noon.
	over := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	if ids := find(t, f.s, store.Selector{ExpiredBefore: over.Add(-1)}); len(ids) > 0 {
		t.Errorf("%d memories have expired while it is still their last day somewhere", len(ids))
	}
	sel := store.Selector{ExpiredBefore: over}
	if undated, err := f.s.Undated(t.Context(), sel); err != nil || len(undated) > 0 {
		t.Errorf("undated %v, error %v; the others have no end", undated, err)
	}
	if got := f.s.Unreached(sel); !slices.Equal(got, []string{"entities", "messages"}) {
		t.Errorf("unreached %q", got)
	}
	ids := sweepOf(t, f.s, sel)
	if len(ids) != 12 {
		t.Errorf("%d expired, want four of each of three people", len(ids))
	}
	after, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := func(text string) bool {
		return slices.ContainsFunc(ids, func(id store.ID) bool { return strings.Contains(text, id.Key) })
	}
	for name, text := range before {
		expired := strings.Contains(text, `\"expiration_date\":\"2026-01-31\"`)
		now, there := after[name]
		switch {
		case expired && there:
			t.Errorf("row %s is left", name)
		case !expired && !gone(text+name) && now != text:
			t.Errorf("row %s has changed", name)
		case gone(now):
			t.Errorf("row %s still names a memory that is gone", name)
		}
	}
	all, err := f.Bytes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if bytes.Contains(all, []byte(id.Key)) {
			t.Error("the files still name a memory that is gone")
		}
	}
}

func TestRealMemoriesAreSelectedByTheirAge(t *testing.T) {
	f := realFixture(t)
	sel := store.Selector{UserID: "bob", CreatedBefore: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	census, err := f.s.Count(t.Context(), sel.Only())
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, p := range census.Places {
		found[p.Place] = p.Found
	}
	if diff := cmp.Diff(map[string]int{"entities": 0, "messages": 8, "memories": 38, "history": 41}, found); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	oldest, newest, err := f.s.Span(t.Context(), sel)
	if err != nil || oldest.Format(time.DateOnly) != "2026-11-22" || !newest.After(oldest) || newest.After(sel.CreatedBefore) {
		t.Errorf("span %v to %v, error %v", oldest, newest, err)
	}
	sel.CreatedBefore = oldest
	if ids := find(t, f.s, sel); len(ids) > 0 {
		t.Errorf("%d are older than the oldest", len(ids))
	}
	got := make(map[string]int)
	for id, err := range f.s.Identifiers(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if id.Name == "user_id" {
			got[id.Value] = id.Rows - id.Undated // entities are undated
		}
	}
	if diff := cmp.Diff(map[string]int{"alice": 46, "bob": 46, "carol": 46}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Mem0's own delete leaves a history, with the text once more.
func TestRealOrphansLeaveNoByte(t *testing.T) {
	f := realFixture(t)
	texts := orphanTexts(t, f)
	if len(texts) != 6 {
		t.Fatalf("%d texts in the history of memories that are gone, want 6", len(texts))
	}
	sel := store.Selector{Orphaned: true}
	linked := find(t, f.s, store.Selector{UserID: "carol"})[0] // by an entity
	if linked.Place != "entities" {
		t.Fatal("the first that is found is no entity")
	}
	memory := linkedFrom(t, f, linked.Key)
	if r, err := f.s.Erase(store.WithStill(t.Context(), sel), []store.ID{memory}); err != nil || r[0] != store.Kept {
		t.Errorf("receipt %s of a memory that is there, error %v", outcomes(r), err)
	}
	sql(t, f.config.Vectors, `DELETE FROM vectors WHERE id = ?`, memory.Key)
	if r, err := f.s.Erase(store.WithStill(t.Context(), sel), []store.ID{memory}); err != nil || r[0] != store.Kept {
		t.Errorf("receipt %s of a memory that is gone and linked to, error %v", outcomes(r), err)
	}
	before, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	census, err := f.s.Count(t.Context(), sel.Only())
	if err != nil || census.Unattributable != 0 || census.IDs() != 6 {
		t.Errorf("%d orphans and %d rows of nobody, error %v", census.IDs(), census.Unattributable, err)
	}
	for _, p := range census.Places {
		if p.Place == "history" && p.Found != 12 {
			t.Errorf("%d rows of history hang on them, want 12", p.Found)
		}
	}
	sweepOf(t, f.s, sel)
	after, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if gone := len(before) - len(after); gone != 12 {
		t.Errorf("%d rows went, want 12", gone)
	}
	var rows strings.Builder
	for name, text := range after {
		rows.WriteString(text)
		if text != before[name] {
			t.Errorf("row %s has changed", name)
		}
	}
	all, err := f.Bytes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		// Three of them are raw messages too, which no delete of Mem0 touches.
		if inFiles, inRows := bytes.Count(all, []byte(text)), strings.Count(rows.String(), text); inFiles != inRows || inRows > 1 {
			t.Errorf("%d copies in the files, and %d in rows", inFiles, inRows)
		}
	}
	if got := find(t, f.s, sel); len(got) > 0 {
		t.Errorf("%d orphans are left", len(got))
	}
}

// linkedFrom returns a memory to which an entity links.
func linkedFrom(t *testing.T, f *fixture, entity string) store.ID {
	t.Helper()
	db := database(t, f.config.Entities)
	defer db.Close()
	id := store.ID{Place: "memories"}
	if err := db.Get(&id.Key, `SELECT payload ->> '$.linkedMemoryIds[0]' FROM vectors WHERE id = ?`, entity); err != nil {
		t.Fatal(err)
	}
	return id
}

func orphanTexts(t *testing.T, f *fixture) (texts []string) {
	t.Helper()
	db := database(t, f.config.History)
	defer db.Close()
	if err := db.Select(&texts, `SELECT previous_value FROM memory_history WHERE action = 'DELETE'`); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		texts[i] = regexp.MustCompile(`SECRET-A-\w+-\d+ `).FindString(text)
	}
	return texts
}

// deleteAsMem0 deletes a memory as Mem0's server does: its row, its links, and then
// one more row of history.
func (f *pgFixture) deleteAsMem0(id string) {
	f.t.Helper()
	f.db.MustExec(`DELETE FROM memories_entities WHERE payload -> 'linked_memory_ids' = jsonb_build_array($1::text)`, id)
	f.db.MustExec(`UPDATE memories_entities SET payload = jsonb_set(payload, '{linked_memory_ids}', (payload -> 'linked_memory_ids') - $1::text)`, id)
	f.db.MustExec(`DELETE FROM memories WHERE id = $1`, id)
	db := database(f.t, f.config.History)
	defer db.Close()
	db.MustExec(`INSERT INTO history (id, memory_id, old_memory, event, is_deleted) SELECT 'deleted ' || id, memory_id, new_memory, 'DELETE', 1 FROM history WHERE memory_id = ?`, id)
}

func TestRealPostgresOrphansGo(t *testing.T) {
	t.Parallel()
	f := realPG(t, "testdata/realpg")
	sel := store.Selector{Orphaned: true}
	if ids := find(t, f.s, sel); len(ids) > 0 {
		t.Fatalf("%d orphans in an installation that has none", len(ids))
	}
	var ids []string
	if err := f.db.Select(&ids, `SELECT id::text FROM memories ORDER BY id LIMIT 3`); err != nil {
		t.Fatal(err)
	}
	linked := ids[2] // gone, but an entity still tells whose it was
	f.deleteAsMem0(ids[0])
	f.deleteAsMem0(ids[1])
	f.db.MustExec(`DELETE FROM memories WHERE id = $1`, linked)
	var links int
	if err := f.db.Get(&links, `SELECT count(*) FROM memories_entities WHERE payload -> 'linked_memory_ids' ? $1`, linked); err != nil || links == 0 {
		t.Fatalf("%d links, error %v", links, err)
	}
	got := find(t, f.s, sel)
	slices.SortFunc(got, func(a, b store.ID) int { return strings.Compare(a.Key, b.Key) })
	if want := []store.ID{{Place: "memories", Key: ids[0]}, {Place: "memories", Key: ids[1]}}; !slices.Equal(got, want) {
		t.Errorf("%d orphans, want the two", len(got))
	}
	if held, err := f.s.Matching(t.Context(), sel, append(got, store.ID{Place: "memories", Key: linked})); err != nil || len(held) != 2 {
		t.Errorf("%d match, error %v", len(held), err)
	}
	if r, err := f.s.Erase(store.WithStill(t.Context(), sel), []store.ID{{Place: "memories", Key: linked}}); err != nil || r[0] != store.Kept {
		t.Errorf("receipt %s of the one that is linked to, error %v", outcomes(r), err)
	}
	sweepOf(t, f.s, sel)
	rows, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range rows {
		if strings.Contains(text, ids[0]) || strings.Contains(text, ids[1]) {
			t.Errorf("row %s is left", name)
		}
	}
	if left, err := f.s.Remaining(t.Context(), []store.ID{{Place: "memories", Key: linked}}); err != nil || len(left) != 1 {
		t.Errorf("%d remaining of the one that is linked to, error %v", len(left), err)
	}
}

// A memory that comes back while its history is swept keeps it.
func TestAMemoryThatComesBackKeepsItsHistory(t *testing.T) {
	t.Parallel()
	f := newPGAt(t, audittest.Postgres(t), true, true).open()
	id := f.key("m")
	if err := f.AddHistory(t.Context(), "m", "once"); err != nil {
		t.Fatal(err)
	}
	sel := store.Selector{Orphaned: true}
	ids := find(t, f.s, sel)
	if len(ids) != 1 {
		t.Fatalf("%d orphans, want one", len(ids))
	}
	back := f.db.MustBegin()
	defer back.Rollback()
	back.MustExec(`INSERT INTO memories (id, payload) VALUES ($1, '{"user_id": "alice"}')`, id)
	var r store.Receipt
	done := make(chan error, 1)
	go func() (err error) {
		defer func() { done <- err }()
		r, err = f.s.Erase(store.WithStill(t.Context(), sel), ids)
		return err
	}()
	for n := 0; n == 0; { // until it waits for the one who brings it back
		if n = waiting(t, f); len(done) > 0 {
			t.Fatalf("it did not wait, error %v", <-done)
		}
	}
	if err := back.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || r[0] != store.Kept {
		t.Fatalf("receipt %s, error %v; want that it is kept", outcomes(r), err)
	}
	if n := count(t, f.config.History, `SELECT count(*) FROM history`); n != 1 {
		t.Errorf("%d rows of history, want the one", n)
	}
}

func waiting(t *testing.T, f *pgFixture) (n int) {
	t.Helper()
	if err := f.db.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`); err != nil {
		t.Fatal(err)
	}
	return n
}

func count(t *testing.T, path, query string) (n int) {
	t.Helper()
	db := database(t, path)
	defer db.Close()
	if err := db.Get(&n, query); err != nil {
		t.Fatal(err)
	}
	return n
}

// What the log says of a memory goes with its orphaned history, and of a memory that
// stays it stays.
func TestTheLogIsSweptWithWhatItNames(t *testing.T) {
	t.Parallel()
	f := newLogged(t)
	if err := f.Add(t.Context(), people("alice", "bob")...); err != nil {
		t.Fatal(err)
	}
	gone, only := f.key("alice1"), f.key("never was")
	f.deleteAsMem0(gone)
	f.ask("/memories/" + only) // which is no reason to sweep it
	sel := store.Selector{Orphaned: true}
	before := f.paths()
	census, err := f.s.Count(t.Context(), sel.Only())
	if err != nil || census.IDs() != 1 {
		t.Errorf("%d orphans, error %v", census.IDs(), err)
	}
	for _, p := range census.Places {
		if p.Place == "memory_requests" && p.Found != 1 || p.Place == "requests" && p.Found != 0 {
			t.Errorf("%s: %d found", p.Place, p.Found)
		}
	}
	live := []store.ID{{Place: "memories", Key: f.key("bob1")}, {Place: "requests", Key: "00000000-0000-0000-0000-000000000000"}}
	r, err := f.s.Erase(store.WithStill(t.Context(), sel), append(find(t, f.s, sel), live...))
	if err != nil || string(outcomes(r)) != "eka" {
		t.Errorf("receipt %s, error %v", outcomes(r), err)
	}
	want := slices.DeleteFunc(before, func(path string) bool { return path == "/memories/"+gone })
	if diff := cmp.Diff(want, f.paths()); diff != "" {
		t.Errorf("paths (-want +got)\n%s", diff)
	}
	// No age selects a row of the log, whomever it names.
	old := store.Selector{UserID: "alice", CreatedBefore: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)}
	if !slices.Contains(f.s.(store.Limiter).Unreached(old), "requests") {
		t.Error("the log is not named as out of reach")
	}
	for _, id := range find(t, f.s, old) {
		if id.Place == "requests" {
			t.Error("a row of the log is found by its age")
		}
	}
	asked := find(t, f.s, store.Selector{UserID: "bob"})
	kept, err := f.s.(store.Sweepable).Kept(t.Context(), store.Selector{UserID: "alice", CreatedBefore: old.CreatedBefore}, asked)
	if err != nil || len(kept) != len(asked) {
		t.Errorf("%d of bob's %d rows would be kept, error %v", len(kept), len(asked), err)
	}
	names := make(map[string]int)
	for id, err := range f.s.(store.Identifying).Identifiers(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names[id.Name+" "+id.Value] = id.Rows
	}
	for _, user := range []string{"alice", "bob"} {
		if n := len(find(t, f.s, store.Selector{UserID: user})); names["user_id "+user] != n {
			t.Errorf("%d rows of a user, find yields %d", names["user_id "+user], n)
		}
	}
}

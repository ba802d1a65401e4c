package tables_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
	"lethe/store/tables"
)

// chats opens a store whose messages both have owners and hang on chats, and
// whose foreign keys would do more than the map says.
func chats(t *testing.T, more string) (*tables.Store, func(query string) []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := database(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.MustExec(`CREATE TABLE chats (id INTEGER PRIMARY KEY, owner TEXT);
		CREATE TABLE messages (id INTEGER PRIMARY KEY, chat INTEGER REFERENCES chats (id) ON DELETE RESTRICT, author TEXT,
			reply_to INTEGER REFERENCES messages (id) ON DELETE CASCADE);
		CREATE TABLE files (id INTEGER PRIMARY KEY, message INTEGER REFERENCES messages (id) ON DELETE SET NULL);
		CREATE TABLE likes (message INTEGER REFERENCES Messages (id) ON DELETE CASCADE);
		INSERT INTO chats VALUES (1, 'alice'), (2, 'bob');
		INSERT INTO messages VALUES (1, 1, 'alice', NULL), (2, 1, 'bob', 1), (3, 2, 'alice', NULL), (4, 2, 'bob', 3), (5, 9, 'carol', NULL);
		INSERT INTO files VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 99), (7, NULL);
		INSERT INTO likes VALUES (1), (4);` + more)
	owner := func(column string) map[string]tables.Member {
		return map[string]tables.Member{"user_id": {Column: column}}
	}
	s := openMap(t, tables.Map{Files: []tables.File{{Name: "f", Path: path}}, Places: []tables.Place{
		{Name: "chats", File: "f", Table: "chats", ID: []string{"id"}, Match: owner("owner")},
		{Name: "messages", File: "f", Table: "messages", ID: []string{"id"}, Match: owner("author")},
		{Name: "messages", File: "f", Table: "messages", ID: []string{"id"}, With: "chats", By: []string{"chat"}},
		{Name: "files", File: "f", Table: "files", ID: []string{"id"}, With: "messages", By: []string{"message"}},
	}})
	return s, func(query string) []string {
		rows := []string{}
		if err := db.Select(&rows, query); err != nil {
			t.Fatal(err)
		}
		return rows
	}
}

// Rows can stand on their own and hang on others: alice's chat goes with bob's
// message in it, and her message in bob's chat goes alone.
func TestRowsMayHaveOwnersAndParents(t *testing.T) {
	s, read := chats(t, "")
	alice := store.Selector{UserID: "alice"}
	census, err := s.Count(t.Context(), alice.Only())
	if err != nil {
		t.Fatal(err)
	}
	want := store.Census{Places: []store.PlaceCount{
		{Place: "chats", Found: 1, Total: 2}, {Place: "messages", Found: 2, Total: 5}, {Place: "messages.chats", Found: 2, Total: 5, With: "chats"}, {Place: "files", Found: 3, Total: 7, With: "messages"},
	}, Unattributable: 2}
	if diff := cmp.Diff(want, census); diff != "" {
		t.Errorf("census: (-want +got)\n%s", diff)
	}
	ids := found(t, s, alice)
	if r, err := s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != 3 || len(r) != 3 {
		t.Errorf("receipt %s, error %v", r, err)
	}
	if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	got := read(`SELECT 'chat ' || id FROM chats UNION ALL SELECT 'message ' || id FROM messages UNION ALL SELECT 'file ' || id || ' of ' || coalesce(message, '-') FROM files`)
	if diff := cmp.Diff([]string{"chat 2", "message 4", "message 5", "file 4 of 4", "file 5 of 5", "file 6 of 99", "file 7 of -"}, got); diff != "" {
		t.Errorf("left: (-want +got)\n%s", diff)
	}
}

// What the map does not say is not done: a reply to an erased message stays,
// and so does a row of a table that the map does not know, whatever foreign
// keys would do to them. Check says which tables those are.
func TestForeignKeysDoNothing(t *testing.T) {
	s, read := chats(t, "")
	id := []store.ID{{Place: "messages", Key: "3"}, {Place: "messages", Key: "1"}}
	if r, err := s.Erase(t.Context(), id); err != nil || string(r) != "ee" {
		t.Fatalf("receipt %s, error %v", r, err)
	}
	if got := read(`SELECT id FROM messages`); !slices.Equal(got, []string{"2", "4", "5"}) {
		t.Errorf("messages %v left", got)
	}
	if got := read(`SELECT message FROM likes`); !slices.Equal(got, []string{"1", "4"}) {
		t.Errorf("likes of %v left", got)
	}
	findings, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(findings, func(f store.Finding) bool { return f.Table == "likes" && f.Column == "" })
	if i < 0 || !strings.Contains(findings[i].Problem, "it will name rows that are gone") {
		t.Errorf("findings %+v", findings)
	}
}

// An erasure that follows rows down any number of levels goes far beyond one
// batch, and keeps to the rows below its own.
func TestManyRowsBelowOne(t *testing.T) {
	s, read := chats(t, `WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 5099)
		INSERT INTO messages SELECT i, 1 + i % 2, 'carol', NULL FROM n;
		INSERT INTO files SELECT id, id FROM messages WHERE id >= 100; INSERT INTO files SELECT id + 10000, id FROM messages WHERE id >= 100`)
	if r, err := s.Erase(t.Context(), []store.ID{{Place: "chats", Key: "1"}}); err != nil || string(r) != "e" {
		t.Fatalf("receipt %s, error %v", r, err)
	}
	if got := read(`SELECT count(*) FROM files UNION ALL SELECT count(*) FROM messages`); !slices.Equal(got, []string{"5005", "2503"}) {
		t.Errorf("%v files and messages left", got)
	}
}

// A place whose rows lack a key that is asked for selects nothing, and is named.
func TestPlacesThatLackAKeyAreNamed(t *testing.T) {
	a := openApp(t, "wal")
	s, _ := chats(t, "")
	for _, c := range []struct {
		s    *tables.Store
		sel  store.Selector
		want []string
	}{
		{a.s, store.Selector{UserID: "alice", AgentID: "x", AppID: "x", RunID: "x", Metadata: map[string]store.Value{"k": store.BoolValue(true)}}, nil},
		{a.s, store.Selector{IDs: []string{"alice"}}, []string{"notes"}},
		{s, store.Selector{UserID: "alice"}, nil},
		{s, store.Selector{UserID: "alice", RunID: "x"}, []string{"chats", "messages"}},
		{s, store.Selector{Metadata: map[string]store.Value{"k": store.BoolValue(true)}}, []string{"chats", "messages"}},
		{s, store.Selector{IDs: []string{"1"}}, []string{"chats", "messages"}},
	} {
		if got := c.s.Unreached(c.sel); !slices.Equal(got, c.want) {
			t.Errorf("%d keys: unreached %v, want %v", len(c.sel.Identity()), got, c.want)
		}
		if ids := found(t, c.s, c.sel); len(c.want) > 1 && len(ids) > 0 {
			t.Errorf("%d found all the same", len(ids))
		}
	}
}

package mem0_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
	"lethe/store/mem0"
)

// realFixture copies files that the real Mem0 3.3.1 has written: 38 memories
// each of alice, bob and carol, and the history of two more that Mem0 deleted.
func realFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/real")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { return cmpErr(err, os.Chmod(path, 0o700)) })
	if err != nil {
		t.Fatal(err)
	}
	c := mem0.SQLiteConfig{
		Vectors: filepath.Join(dir, "vector_store.db"), Entities: filepath.Join(dir, "vector_store_entities.db"), History: filepath.Join(dir, "memory.db"),
	}
	return &fixture{config: c, s: openStore(t, c)}
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func find(t *testing.T, s store.Store, sel store.Selector) []store.ID {
	t.Helper()
	var ids []store.ID
	for id, err := range s.Find(t.Context(), sel) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestRealCounts(t *testing.T) {
	f := realFixture(t)
	metadata := func(k string, v store.Value) store.Selector {
		return store.Selector{UserID: "alice", Metadata: map[string]store.Value{k: v}}
	}
	three, _ := store.NumberValue("3")
	for _, c := range []struct {
		sel  store.Selector
		want string
	}{
		{store.Selector{UserID: "alice"}, "entities 43 messages 8 memories 38 history 41"},
		{store.Selector{UserID: "Alice"}, "entities 0 messages 0 memories 0 history 0"},
		{store.Selector{AgentID: "support-bot"}, "entities 39 messages 6 memories 36 history 39"},
		{store.Selector{UserID: "alice", AgentID: "support-bot"}, "entities 13 messages 2 memories 12 history 13"},
		{store.Selector{RunID: "run-2"}, "entities 27 messages 3 memories 15 history 18"},
		{metadata("channel", store.StringValue("email")), "entities 0 messages 0 memories 19 history 20"},
		{metadata("tier", three), "entities 0 messages 0 memories 7 history 7"},
		{metadata("tier", store.StringValue("3")), "entities 0 messages 0 memories 0 history 0"},
		{metadata("expiration_date", store.StringValue("2026-01-31")), "entities 0 messages 0 memories 4 history 5"},
	} {
		census, err := f.s.Count(t.Context(), c.sel.Only())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range census.Places {
			got = append(got, fmt.Sprintf("%s %d", p.Place, p.Found))
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if census.Unattributable != 12 {
			t.Errorf("unattributable %d, want 12: four history rows a user", census.Unattributable)
		}
	}
}

func TestRealErasure(t *testing.T) {
	f := realFixture(t)
	before, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	r, err := f.s.Erase(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != 89 || r.Count(store.Erased) != 89 {
		t.Errorf("found %d, erased %d; want 89", len(ids), r.Count(store.Erased))
	}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	if err := f.s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	orphans := 0
	for name, row := range before {
		alice := strings.Contains(row, "alice")
		orphan := alice && after[name] == row
		if orphan {
			orphans++
		}
		if !alice && after[name] != row {
			t.Errorf("row %s has changed", name)
		}
		if orphan && !strings.Contains(name, "memory_history") {
			t.Errorf("row %s is still there", name)
		}
	}
	if orphans != 4 {
		t.Errorf("%d rows of history without a memory, want 4", orphans)
	}
	// Mem0 itself deleted memories 3 and 4 of each user and kept their texts.
	if got, want := tokens(t, f, "alice"), orphanTokens(before, after); !slices.Equal(got, want) || len(want) != 2 {
		t.Errorf("tokens in the files: %v, want only %v", got, want)
	}
	if got := tokens(t, f, "bob"); len(got) != 40 {
		t.Errorf("%d of bob's tokens left, want 40", len(got))
	}
}

func TestRealOrphansGoByID(t *testing.T) {
	f := realFixture(t)
	var orphans []string
	db := database(t, f.config.History)
	defer db.Close()
	if err := db.Select(&orphans, `SELECT DISTINCT memory_id FROM memory_history WHERE action = 'DELETE'`); err != nil {
		t.Fatal(err)
	}
	ids := find(t, f.s, store.Selector{IDs: orphans})
	if len(ids) != 6 {
		t.Fatalf("found %d, want 6", len(ids))
	}
	census, err := f.s.Count(t.Context(), store.Selector{IDs: orphans}.Only())
	if err != nil || census.Unattributable != 0 {
		t.Errorf("unattributable %d, error %v; want none, for they are asked for", census.Unattributable, err)
	}
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != 6 {
		t.Errorf("erased %d, error %v", r.Count(store.Erased), err)
	}
	if census, err = f.s.Count(t.Context(), store.Selector{UserID: "nobody"}.Only()); err != nil || census.Unattributable != 0 {
		t.Errorf("unattributable %d, error %v; want none", census.Unattributable, err)
	}
}

// tokens returns the distinct tokens of a user in all files.
func tokens(t *testing.T, f *fixture, user string) []string {
	t.Helper()
	all, err := f.Bytes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if user == "alice" && bytes.Contains(all, []byte("user_id=alice")) {
		t.Error("a session scope of alice is left")
	}
	return distinct(string(all), user)
}

func orphanTokens(before, after map[string]string) []string {
	var left strings.Builder
	for name, row := range after {
		if before[name] == row {
			left.WriteString(row)
		}
	}
	return distinct(left.String(), "alice")
}

func distinct(text, user string) []string {
	found := regexp.MustCompile(`SECRET-A-`+user+`-\d+`).FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// Nothing ties a raw message to a memory, and the store says so.
func TestRealMessagesAreNamedWhereTheyCannotBeReached(t *testing.T) {
	var l store.Limiter = realFixture(t).s
	for _, sel := range []store.Selector{
		{IDs: []string{"x"}}, {AppID: "x"}, {UserID: "alice", Metadata: map[string]store.Value{"tier": store.StringValue("3")}},
	} {
		if got := l.Unreached(sel); !slices.Equal(got, []string{"messages"}) {
			t.Errorf("unreached %q, want messages", got)
		}
	}
	if got := l.Unreached(store.Selector{UserID: "alice", RunID: "run-2"}); got != nil {
		t.Errorf("unreached %q by user and run, want none", got)
	}
}

package tables_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"
	"pgregory.net/rapid"

	"lethe/store"
	"lethe/store/tables"
)

// documents opens a store of one table of documents.
func documents(t *testing.T) (*tables.Store, *sqlx.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sqlx.Open("sqlite3", path+"?_synchronous=OFF&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.MustExec(`CREATE TABLE notes (id TEXT PRIMARY KEY, doc TEXT)`)
	s, err := tables.Open(t.Context(), tables.Map{
		Files: []tables.File{{Name: "only", Path: path}},
		Places: []tables.Place{{Name: "notes", File: "only", Table: "notes", ID: []string{"id"}, Document: &tables.Document{
			Column: "doc", Metadata: true, Keys: map[string][]string{"user_id": {"user_id", "userId"}, "run_id": {"run_id", "runId"}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, db
}

// A doc is the text of a JSON object, and its members as a plain model reads
// them: in order, each with the text of its value.
type doc struct {
	text    string
	members [][2]string
}

func drawDoc(t *rapid.T) doc {
	values := []string{
		`"alice"`, `"\u0061lice"`, `"Alice"`, `"7"`, `"07"`, `7`, `7.0`, `0.7e1`, `-0`, `0`, `true`, `false`, `"true"`, `null`, `"null"`, `"0"`,
		`{}`, `[]`, `["alice"]`, `{"user_id":"alice"}`, `""`, `1e400`, `9007199254740993`, `9007199254740992`, `9223372036854775807`, `"zo\u00eb"`, `"zoë"`,
	}
	keys := []string{`"user_id"`, `"userId"`, `"user\u005fid"`, `"run_id"`, `"runId"`, `"k"`, `"K"`, `"7"`, `"a.b"`, `"$.k"`, `"a\"b"`, `"[0]"`}
	var d doc
	var parts []string
	for range rapid.IntRange(0, 6).Draw(t, "members") {
		k, v := rapid.SampledFrom(keys).Draw(t, "key"), rapid.SampledFrom(values).Draw(t, "value")
		parts = append(parts, k+rapid.SampledFrom([]string{":", " : "}).Draw(t, "colon")+v)
		var name string
		if err := json.Unmarshal([]byte(k), &name); err != nil {
			t.Fatal(err)
		}
		d.members = append(d.members, [2]string{name, v})
	}
	d.text = "{" + strings.Join(parts, ",") + "}"
	return d
}

// last is the value of the last member of a name, or "".
func (d doc) last(name string) string {
	v := ""
	for _, m := range d.members {
		if m[0] == name {
			v = m[1]
		}
	}
	return v
}

// equal is what a Value equals: text its text, a number its number, and so on.
func equal(literal string, v store.Value) bool {
	var text string
	isText := json.Unmarshal([]byte(literal), &text) == nil && strings.HasPrefix(literal, `"`)
	switch v.Kind() {
	case store.KindString:
		return isText && text == v.Literal()
	case store.KindBool:
		return literal == v.Literal()
	default:
		n, err := store.NumberValue(literal)
		return err == nil && !isText && n == v
	}
}

func (d doc) selected(sel store.Selector) bool {
	names := map[string][]string{"user_id": {"user_id", "userId"}, "run_id": {"run_id", "runId"}}
	for _, f := range sel.Identity() {
		v := d.last(names[f.Name][0])
		if v == "" {
			v = d.last(names[f.Name][1])
		}
		if !equal(v, store.StringValue(f.Value)) {
			return false
		}
	}
	for k, v := range sel.Metadata {
		if !equal(d.last(k), v) {
			return false
		}
	}
	return true
}

func drawSelector(t *rapid.T) store.Selector {
	var sel store.Selector
	who := []string{"", "alice", "Alice", "7", "07", "true", "null", "zoë", `["alice"]`}
	sel.UserID = rapid.SampledFrom(who).Draw(t, "user")
	sel.RunID = rapid.SampledFrom(who[:5]).Draw(t, "run")
	sel.Metadata = make(map[string]store.Value)
	values := []store.Value{store.StringValue("alice"), store.StringValue("7"), store.BoolValue(true), store.BoolValue(false), store.StringValue("true")}
	for _, literal := range []string{"7", "0", "9007199254740993", "9007199254740992", "9223372036854775807", "0.5"} {
		v, err := store.NumberValue(literal)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	for range rapid.IntRange(0, 2).Draw(t, "metadata") {
		k := rapid.SampledFrom([]string{"k", "K", "7", "a.b", "$.k", `a"b`, "[0]", "user_id", "userId"}).Draw(t, "name")
		sel.Metadata[k] = rapid.SampledFrom(values).Draw(t, "wanted")
	}
	if sel.Validate() != nil {
		sel.UserID = "alice"
	}
	return sel
}

func TestMatchEqualsTheModel(t *testing.T) {
	s, db := documents(t)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		db.MustExec(`DELETE FROM notes`)
		docs := rapid.SliceOfN(rapid.Custom(drawDoc), 1, 20).Draw(t, "docs")
		for i, d := range docs {
			db.MustExec(`INSERT INTO notes VALUES (?, ?)`, string(rune('a'+i)), d.text)
		}
		sel := drawSelector(t)
		var want, got []string
		for i, d := range docs {
			if d.selected(sel) {
				want = append(want, string(rune('a'+i)))
			}
		}
		for id, err := range s.Find(ctx, sel) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, id.Key)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("user %q run %q metadata %v: found %v, want %v", sel.UserID, sel.RunID, sel.Metadata, got, want)
		}
	})
}
